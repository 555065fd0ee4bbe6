"""Administration of accounts."""

import asyncio

import pytest
from httpx2 import AsyncClient

from keel.tests.auth.fixtures import AUTH, PASSWORD, NewPerson, Person

USERS = "/api/v1/users"


async def user_id(client: AsyncClient, admin: Person, person: Person) -> str:
    """Return the id of an account."""
    answer = await client.get(USERS, params={"q": person.email}, headers=admin.headers)
    return answer.json()["items"][0]["id"]


async def test_others_administer_nothing(anonymous: AsyncClient, ada: Person) -> None:
    """Without the scope, every operation is refused."""
    assert (await anonymous.get(USERS)).status_code == 401
    assert (await anonymous.get(USERS, headers=ada.headers)).status_code == 403
    assert (await anonymous.patch(f"{USERS}/{'0' * 32}", json={}, headers=ada.headers)).status_code == 403


async def test_list_and_search(anonymous: AsyncClient, admin: Person, new_person: NewPerson) -> None:
    """Accounts are listed newest first, in pages, and found by part of their address."""
    for name in ("a", "b", "c"):
        await new_person(f"{name}@example.com")

    seen, cursor = [], None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await anonymous.get(USERS, params=query, headers=admin.headers)).json()
        seen += [user["email"] for user in page["items"]]
        if (cursor := page["next"]) is None:
            break

    assert seen == ["c@example.com", "b@example.com", "a@example.com", admin.email]
    found = (await anonymous.get(USERS, params={"q": "B@EX"}, headers=admin.headers)).json()
    assert [user["email"] for user in found["items"]] == ["b@example.com"]
    wild = (await anonymous.get(USERS, params={"q": "%"}, headers=admin.headers)).json()
    assert wild["items"] == []


async def test_closing_an_account(anonymous: AsyncClient, admin: Person, ada: Person) -> None:
    """A closed account cannot refresh, and is refused at once where the account is loaded."""
    url = f"{USERS}/{await user_id(anonymous, admin, ada)}"

    closed = await anonymous.patch(url, json={"is_active": False}, headers=admin.headers)

    assert closed.json()["is_active"] is False
    refreshed = await anonymous.post(f"{AUTH}/refresh", json={"refresh_token": ada.tokens["refresh_token"]})
    assert refreshed.status_code == 400
    assert (await anonymous.get(f"{AUTH}/me", headers=ada.headers)).status_code == 401
    opened = await anonymous.patch(url, json={"is_active": True}, headers=admin.headers)
    assert opened.json()["is_active"] is True


async def test_making_an_administrator(anonymous: AsyncClient, admin: Person, ada: Person) -> None:
    """A new administrator must log in again; a former one loses the rights at once."""
    url = f"{USERS}/{await user_id(anonymous, admin, ada)}"
    await anonymous.patch(url, json={"is_admin": True}, headers=admin.headers)
    form = {"username": ada.email, "password": PASSWORD}
    tokens = (await anonymous.post(f"{AUTH}/token", data=form)).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}

    assert (await anonymous.get(USERS, headers=ada.headers)).status_code == 403
    assert (await anonymous.get(USERS, headers=headers)).status_code == 200
    await anonymous.patch(url, json={"is_admin": False}, headers=admin.headers)
    assert (await anonymous.get(USERS, headers=headers)).status_code == 403


async def test_limiting_scopes(anonymous: AsyncClient, admin: Person, ada: Person) -> None:
    """Limiting an account's scopes ends its logins; new ones get no more, until the limit is lifted."""
    url = f"{USERS}/{await user_id(anonymous, admin, ada)}"
    form = {"username": ada.email, "password": PASSWORD}

    limited = await anonymous.patch(url, json={"scopes": ["widgets:read"]}, headers=admin.headers)
    refreshed = await anonymous.post(f"{AUTH}/refresh", json={"refresh_token": ada.tokens["refresh_token"]})
    tokens = (await anonymous.post(f"{AUTH}/token", data=form)).json()
    lifted = await anonymous.patch(url, json={"scopes": None}, headers=admin.headers)
    later = (await anonymous.post(f"{AUTH}/token", data=form)).json()

    assert limited.json()["scopes"] == ["widgets:read"]
    assert refreshed.status_code == 400
    assert tokens["scope"] == "widgets:read"
    assert lifted.json()["scopes"] is None
    granted = set(later["scope"].split())
    assert {"widgets:read", "widgets:write"} <= granted
    assert "admin" not in granted


async def test_empty_scopes(anonymous: AsyncClient, admin: Person, ada: Person) -> None:
    """An account with an empty list of scopes gets no tokens."""
    url = f"{USERS}/{await user_id(anonymous, admin, ada)}"
    await anonymous.patch(url, json={"scopes": []}, headers=admin.headers)
    form = {"username": ada.email, "password": PASSWORD}

    assert (await anonymous.post(f"{AUTH}/token", data=form)).json()["error"] == "invalid_scope"


async def test_scopes_that_cannot_be_set(anonymous: AsyncClient, admin: Person, ada: Person) -> None:
    """Unknown scopes are refused, and `admin` can only be set by `is_admin`."""
    url = f"{USERS}/{await user_id(anonymous, admin, ada)}"

    for scopes in (["everything"], ["admin"], ["widgets:read", ""], ["a b"], "widgets:read"):
        answer = await anonymous.patch(url, json={"scopes": scopes}, headers=admin.headers)
        assert answer.status_code in {400, 422}, scopes

    assert (await anonymous.get(url, headers=admin.headers)).json()["scopes"] is None


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_admin": False}])
async def test_last_administrator_stays(anonymous: AsyncClient, admin: Person, change: dict[str, bool]) -> None:
    """The last administrator cannot be removed."""
    url = f"{USERS}/{await user_id(anonymous, admin, admin)}"

    answer = await anonymous.patch(url, json=change, headers=admin.headers)

    assert answer.status_code == 409
    assert (await anonymous.get(url, headers=admin.headers)).json()["is_admin"] is True


async def test_administrators_who_demote_each_other(
    anonymous: AsyncClient, admin: Person, new_person: NewPerson
) -> None:
    """Of two administrators who demote each other concurrently, one remains."""
    for number in range(5):
        other = await new_person(f"admin{number}@example.com", is_admin=True)
        pair = (admin, other)
        urls = [f"{USERS}/{await user_id(anonymous, admin, person)}" for person in pair]
        answers = await asyncio.gather(
            *(
                anonymous.patch(url, json={"is_admin": False}, headers=person.headers)
                for url, person in zip(urls, reversed(pair), strict=True)
            )
        )

        statuses = [answer.status_code for answer in answers]
        assert sorted(statuses) in ([200, 403], [200, 409])
        admin = pair[statuses.index(200) - 1]
        assert (await anonymous.get(urls[pair.index(admin)], headers=admin.headers)).json()["is_admin"] is True


async def test_last_administrator_cannot_delete_the_account(
    anonymous: AsyncClient, admin: Person, new_person: NewPerson
) -> None:
    """Unless there is another administrator; a closed one does not count."""
    await new_person("closed@example.com", is_admin=True, is_active=False)
    refused = await anonymous.post(f"{AUTH}/me/delete", json={"password": PASSWORD}, headers=admin.headers)
    await new_person("other@example.com", is_admin=True)
    deleted = await anonymous.post(f"{AUTH}/me/delete", json={"password": PASSWORD}, headers=admin.headers)

    assert (refused.status_code, refused.json()["type"]) == (409, "urn:problem:last-admin")
    assert deleted.status_code == 204


async def test_unknown_account(anonymous: AsyncClient, admin: Person) -> None:
    """An unknown account is not found."""
    url = f"{USERS}/00000000-0000-0000-0000-000000000000"

    assert (await anonymous.get(url, headers=admin.headers)).status_code == 404
    assert (await anonymous.patch(url, json={}, headers=admin.headers)).status_code == 404


async def test_fields_that_cannot_be_changed(anonymous: AsyncClient, admin: Person) -> None:
    """Administrators open and close accounts; they cannot change other fields."""
    url = f"{USERS}/{await user_id(anonymous, admin, admin)}"

    for body in ({"is_active": None}, {"email": "x@example.com"}, {"password_hash": "x"}):
        assert (await anonymous.patch(url, json=body, headers=admin.headers)).status_code == 422, body
