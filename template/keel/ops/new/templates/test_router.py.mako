"""${r.plural.words.capitalize()} over HTTP."""
<%
    database = bool(r.made or r.parent or r.read_only)
    optional = [field for field in r.fields if field.default]
    narrowing = [field for field in r.filters if not field.target or field.target.module]
    # Changes the first field that is not a reference, and sets nullable fields to None.
    plain = next((field for field in r.fields if not field.target), None)
    changes = [f'"{plain.name}": {plain.sample(2)}'] if plain else []
    changes += [f'"{field.name}": None' for field in r.fields if field.nullable and field is not plain]
    given = ["client: AsyncClient", *(["database: Database"] if database else []), *(["url: str"] if r.parent else [])]
    sent = ["client", *(["database"] if database and (r.made or r.read_only) else []), *(["url"] if r.parent else [])]
    url = "url" if r.parent else r.plural.upper()
    signature, arguments = ", ".join(given), ", ".join(sent)
    used = lambda *names: ", ".join(text for text in given if text.split(":")[0] in {"client", *(["url"] if r.parent else []), *(["database"] if r.made or r.read_only else []), *names})
    body = (lambda number: f"await body(client, database, {number})") if r.made else (lambda number: f"body({number})")
%>\

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.${r.plural} import models
from app.${r.plural}.schemas import ${r.singular.pascal}
% for line in r.imports:
${line}
% endfor
from keel.caller import Caller
from keel.db.database import Database
from keel.db.repository import insert_one
from keel.identity import current_caller
from keel.testing.identity import sign_in

% if "from itertools import count" in r.imports:
NUMBERS = count()  # short texts that do not repeat


% endif
% if r.parent:
@pytest.fixture
async def url(client: AsyncClient, database: Database) -> str:
    """Return the URL of the ${r.plural.words} of ${r.parent.singular.one}."""
% if "owner_id" in r.inserted(r.parent):
    owner_id = await sign_in(client)
% endif
    async with database.transaction() as session:
        id_ = ${r.inserted(r.parent)}
    return f"/api/v1/${r.parent.table.slug}/{id_}/${r.plural.slug}"
% else:
${r.plural.upper()} = "/api/v1/${r.plural.slug}"
% endif


${"async " if r.made else ""}def body(${"client: AsyncClient, database: Database, " if r.made else ""}number: int) -> dict[str, Any]:
    """Return a valid body; a higher number sorts later in every order."""
% if r.made:
% if any("owner_id" in r.inserted(field.target) for field in r.made):
    owner_id = await sign_in(client)
% endif
    async with database.transaction() as session:
% for field in r.made:
        ${field.name} = ${r.inserted(field.target)}
% endfor
% endif
    return {
% for field in r.fields:
        "${field.name}": ${f"str({field.name})" if field in r.made else field.sample()},
% endfor
    }


async def create(${used()}, number: int, **fields: Any) -> dict[str, Any]:
    """${"Add" if r.read_only else "Create"} ${r.singular.one}; return it as JSON."""
% if r.read_only:
% if r.owned:
    owner_id = await sign_in(client)
% endif
    ${r.singular.variable} = ${r.singular.pascal}.model_validate({**${body("number")}, **fields, "id": uuid4()${f', "{r.parent_id}": url.split("/")[-2]' if r.parent else ""}})
    async with database.transaction() as session:
        await insert_one(session, models.${r.singular.pascal}, ${"owner_id=owner_id, " if r.owned else ""}**${r.singular.variable}.model_dump())
    answer = await client.get(f"{${url}}/{${r.singular.variable}.id}")
    assert answer.status_code == 200, answer.text
% else:
    answer = await client.post(${url}, json={**${body("number")}, **fields})
    assert answer.status_code == 201, answer.text
% endif
    return answer.json()
% if r.read_only:


async def test_read(${used()}) -> None:
    """The list and the single resource show the same values."""
    ${r.singular.variable} = await create(${arguments}, 1)

    assert (await client.get(${url})).json()["items"] == [${r.singular.variable}]
% else:


async def test_create_and_read(${used()}) -> None:
    """A new ${r.singular.words} can be read at its `Location`."""
    sent = ${body(1)}

    answer = await client.post(${url}, json=sent)

    assert answer.status_code == 201
    assert answer.json() == {**sent, "id": answer.json()["id"]${f', "{r.parent_id}": answer.json()["{r.parent_id}"]' if r.parent else ""}}
    assert (await client.get(answer.headers["Location"])).json() == answer.json()
% if optional:


async def test_defaults(${used()}) -> None:
    """Omitted fields get their defaults."""
    defaults = {${", ".join(f'"{field.name}": {field.absent}' for field in optional)}}
    sent = {name: value for name, value in ${f"({body(1)})" if r.made else body(1)}.items() if name not in defaults}

    answer = await client.post(${url}, json=sent)

    assert answer.json().items() >= {**sent, **defaults}.items()
% endif


async def test_update_and_delete(${used()}) -> None:
    """An update changes only the fields sent; a deleted ${r.singular.words} is not found."""
    ${r.singular.variable} = await create(${arguments}, 1)
    address = f"{${url}}/{${r.singular.variable}['id']}"
    changes = {${", ".join(changes)}}

    changed = await client.patch(address, json=changes)

    assert changed.json() == {**${r.singular.variable}, **changes}
    assert (await client.get(address)).json() == changed.json()
    assert (await client.delete(address)).status_code == 204
    assert (await client.get(address)).json()["type"] == "urn:problem:${r.singular.slug}-not-found"
% endif


async def test_unknown_${r.singular}(client: AsyncClient${", url: str" if r.parent else ""}) -> None:
    """Every operation responds with 404."""
    address = f"{${url}}/{uuid4()}"

% if r.read_only:
    assert (await client.get(address)).status_code == 404
% else:
    answers = [await client.get(address), await client.patch(address, json={}), await client.delete(address)]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
% endif
% if r.parent:


async def test_unknown_${r.parent.singular}(client: AsyncClient, url: str) -> None:
    """The list of an unknown ${r.parent.singular.words} responds with 404."""
    address = url.replace(url.split("/")[-2], str(uuid4()))

    assert (await client.get(address)).json()["type"] == "urn:problem:${r.parent.singular.slug}-not-found"
% endif
% if not r.read_only:
% for field in r.unique:


async def test_${field.name}_is_unique(${used()}) -> None:
    """A second ${r.singular.words} with the same ${field.label} is a conflict, on creation and on update."""
    first, second = await create(${arguments}, 1), await create(${arguments}, 2)
    same = {"${field.name}": first["${field.name}"]}

    answers = [
        await client.post(${url}, json={**${body(3)}, **same}),
        await client.patch(f"{${url}}/{second['id']}", json=same),
    ]

    assert [answer.status_code for answer in answers] == [409, 409]
    assert answers[0].json()["type"] == "urn:problem:${r.singular.slug}-exists"
% endfor
% for field in r.references:


async def test_unknown_${field.short}(${used()}) -> None:
    """A reference to a missing row is refused."""
    answer = await client.post(${url}, json={**${body(1)}, "${field.name}": str(uuid4())})

    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:problem:${field.short.slug}-not-found"
% endfor


@pytest.mark.parametrize("wrong", [${", ".join([*(f'{{"{field.name}": {field.wrong}}}' for field in r.fields), '{"no_such_field": 1}'])}])
async def test_invalid_${r.singular}(${used()}, wrong: dict[str, Any]) -> None:
    """Invalid fields are rejected."""
    assert (await client.post(${url}, json={**${body(1)}, **wrong})).status_code == 422
% endif


@pytest.mark.parametrize("sort", [${", ".join(f'"{name}"' for name in r.sorts)}])
async def test_pages(${used()}, sort: str) -> None:
    """Following the links shows every ${r.singular.words} once, in order and in reverse."""
% if r.sorts == ["id"]:
    ids = [(await create(${arguments}, number))["id"] for number in (1, 2, 3)]
% else:
    ids = [(await create(${arguments}, number))["id"] for number in (2, 3, 1)]
    ids = [ids[2], *ids[:2]]
% endif

    async def listed(order: str) -> list[str]:
        seen, page = [], f"{${url}}?sort={order}&limit=1"
        while page:
            answer = await client.get(page)
            seen += [item["id"] for item in answer.json()["items"]]
            page = answer.links.get("next", {}).get("url")
        return seen

    assert await listed(sort) == ids
    assert await listed(f"-{sort}") == ids[::-1]
% if narrowing:


@pytest.mark.parametrize("name", [${", ".join(f'"{field.name}"' for field in narrowing)}])
async def test_filters(${used()}, name: str) -> None:
    """A filter returns only the rows that match."""
    first, _ = await create(${arguments}, 1), await create(${arguments}, 2)

    answer = await client.get(${url}, params={name: first[name]})

    assert [item["id"] for item in answer.json()["items"]] == [first["id"]]
% endif
% if r.caller:


async def test_${r.plural}_of_others(app: FastAPI, ${used()}) -> None:
    """Other callers can't see or change them."""
    address = f"{${url}}/{(await create(${arguments}, 1))['id']}"
    app.dependency_overrides[current_caller] = lambda: Caller("stranger")

% if r.read_only:
    answers = [await client.get(address)]
% else:
    answers = [await client.get(address), await client.patch(address, json={}), await client.delete(address)]
% endif

    assert {answer.status_code for answer in answers} == {404}
% if r.parent and r.parent.owned:
    assert (await client.get(${url})).status_code == 404
% else:
    assert (await client.get(${url})).json()["items"] == []
% endif
% endif
