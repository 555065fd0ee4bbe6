"""Conversations: ownership, list, branches, titles."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.examples.assistant.answers.jobs import TITLE
from keel.db.database import Session
from keel.services import services_of
from keel.testing.plans import WatchQueries
from tests.examples.assistant.api import CONVERSATIONS, ask, open_conversation, read, stream


async def test_a_question_and_its_answer(client: AsyncClient) -> None:
    """Both are stored, and the branch shows them in order."""
    conversation = await open_conversation(client)
    found = await stream(client, "POST", f"{conversation}/messages", json={"content": "Ahoy there"})
    detail = await read(client, conversation)

    names = [name for name, _, _ in found]
    assert (names[0], names[-1], set(names[1:-1])) == ("started", "message", {"token"})
    assert "".join(data["text"] for name, _, data in found if name == "token") == "You said: Ahoy there"
    assert [(each["role"], each["content"], each["state"]) for each in detail["messages"]] == [
        ("user", "Ahoy there", "complete"),
        ("assistant", "You said: Ahoy there", "complete"),
    ]
    assert detail["messages"][1] == found[-1][2]
    assert detail["messages"][1]["usage"]["output_tokens"] == 4
    assert detail["earlier"] is None


async def test_the_model_is_sent_the_branch(client: AsyncClient) -> None:
    """A later answer sees the earlier messages."""
    conversation = await open_conversation(client)
    first = await ask(client, conversation, "Ahoy there")
    second = await ask(client, conversation, "Ahoy there")

    assert second["usage"]["input_tokens"] > first["usage"]["input_tokens"]


async def test_headers_of_a_stream(client: AsyncClient) -> None:
    """They name the answer, and the caller's remaining tokens."""
    conversation = await open_conversation(client)
    path = f"{CONVERSATIONS}/{conversation}/messages"
    async with client.stream("POST", path, json={"content": "Ahoy"}) as answer:
        await answer.aread()
        left = answer.headers.get_list("RateLimit")
    again = await client.get(answer.headers["Location"])

    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert any(value.startswith('"llm-tokens";r=200000;') for value in left)
    assert again.text.count("event: message") == 1


async def test_title_is_generated(app: FastAPI, client: AsyncClient) -> None:
    """After the first answer the model generates a title; a given title is kept."""
    nameless, named = await open_conversation(client), await open_conversation(client, title="Mine")
    for conversation in (nameless, named):
        await ask(client, conversation, "What do the harbour lights mean at night?")
    await services_of(app).jobs.drain(patient=True)

    assert (await read(client, nameless))["title"] == "What do the harbour lights mean"
    assert (await read(client, named))["title"] == "Mine"


async def test_lost_title_is_generated_later(
    app: FastAPI, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the job was lost with its process, the next answer enqueues it again, for the first question."""
    conversation, jobs = await open_conversation(client), services_of(app).jobs

    async def lose(session: Session, payload: Mapping[str, Any]) -> None:
        pass

    with monkeypatch.context() as patch:
        patch.setitem(jobs.handlers, TITLE, lose)
        await ask(client, conversation, "What do the harbour lights mean?")
        await jobs.drain(patient=True)
        assert (await read(client, conversation))["title"] is None
    await ask(client, conversation, "And by day?")
    await jobs.drain(patient=True)

    assert (await read(client, conversation))["title"] == "What do the harbour lights mean?"


async def test_a_long_conversation_is_summarised(app: FastAPI, client: AsyncClient) -> None:
    """Near the context limit, the model gets a summary instead of older messages."""
    conversation = await open_conversation(client, title="Long")
    long = "harbour " * 160
    usage = []
    for _ in range(4):
        usage.append((await ask(client, conversation, f"{long}?"))["usage"]["input_tokens"])
        await services_of(app).jobs.drain(patient=True)

    assert usage[0] < usage[1] < usage[2] > usage[3]


async def test_list_is_ordered_by_last_use(client: AsyncClient) -> None:
    """A question moves a conversation up; pages are consistent."""
    first, second = await open_conversation(client, title="A"), await open_conversation(client, title="B")
    await ask(client, first, "Ahoy")
    page = (await client.get(CONVERSATIONS, params={"limit": 1})).json()
    rest = (await client.get(CONVERSATIONS, params={"limit": 1, "cursor": page["next"]})).json()

    assert [item["id"] for item in page["items"] + rest["items"]] == [first, second]
    assert rest["next"] is None


async def test_renaming(client: AsyncClient) -> None:
    """The title can be changed; an empty body changes nothing."""
    conversation = await open_conversation(client)
    renamed = await client.patch(f"{CONVERSATIONS}/{conversation}", json={"title": "Harbour"})
    same = await client.patch(f"{CONVERSATIONS}/{conversation}", json={})

    assert renamed.json()["title"] == same.json()["title"] == "Harbour"


async def test_regenerating_an_answer(client: AsyncClient) -> None:
    """The second answer is a sibling of the first, and is shown; the first can be shown again."""
    conversation = await open_conversation(client)
    first = await ask(client, conversation, "Ahoy")
    found = await stream(client, "POST", f"{conversation}/messages/{first['parent_id']}/regenerate")
    second = found[-1][2]
    assert second["siblings"] == [first["id"], second["id"]]
    assert (await read(client, conversation))["messages"][1]["id"] == second["id"]
    shown = await client.patch(f"{CONVERSATIONS}/{conversation}", json={"current_id": first["id"]})

    assert shown.json()["current_id"] == first["id"]
    assert (await read(client, conversation))["messages"][1]["id"] == first["id"]


async def test_editing_a_question(client: AsyncClient) -> None:
    """The new question is a sibling of the old one, whose branch is kept."""
    conversation = await open_conversation(client)
    before = await ask(client, conversation, "Ahoy")
    old = await ask(client, conversation, "One")
    new = await ask(client, conversation, "Two", parent_id=before["id"])
    beginning = await ask(client, conversation, "Three", parent_id=None)
    assert [each["content"] for each in (await read(client, conversation))["messages"]][::2] == ["Three"]
    await client.patch(f"{CONVERSATIONS}/{conversation}", json={"current_id": old["parent_id"]})
    detail = await read(client, conversation)

    assert [each["content"] for each in detail["messages"]][::2] == ["Ahoy", "One"]
    assert detail["messages"][2]["siblings"] == [old["parent_id"], new["parent_id"]]
    assert detail["messages"][0]["siblings"][1] == beginning["parent_id"]


async def test_deletion(client: AsyncClient) -> None:
    """A conversation is deleted with its messages."""
    conversation = await open_conversation(client)
    answer = await ask(client, conversation, "Ahoy")
    assert (await client.delete(f"{CONVERSATIONS}/{conversation}")).status_code == 204

    assert (await client.get(f"{CONVERSATIONS}/{conversation}")).status_code == 404
    assert (await client.get(f"{CONVERSATIONS}/{conversation}/messages/{answer['id']}/events")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "data"),
    [
        ("GET", "", None),
        ("PATCH", "", {"title": "Mine"}),
        ("DELETE", "", None),
        ("POST", "/messages", {"content": "Ahoy"}),
        ("POST", f"/messages/{uuid4()}/regenerate", None),
        ("GET", "/messages/current", None),
        ("GET", f"/messages/{uuid4()}/events", None),
        ("DELETE", "/messages/current", None),
    ],
)
async def test_unknown_conversation(client: AsyncClient, method: str, path: str, data: object) -> None:
    """Every operation returns 404, before a stream begins."""
    refused = await client.request(method, f"{CONVERSATIONS}/{uuid4()}{path}", json=data)

    assert refused.status_code == 404
    assert refused.json()["type"] == "urn:problem:conversation-not-found"


@pytest.mark.parametrize(
    ("method", "path", "data"),
    [
        ("PATCH", "", {"current_id": str(uuid4())}),
        ("GET", f"?before={uuid4()}", None),
        ("POST", "/messages", {"content": "Ahoy", "parent_id": str(uuid4())}),
        ("POST", f"/messages/{uuid4()}/regenerate", None),
        ("GET", f"/messages/{uuid4()}/events", None),
    ],
)
async def test_unknown_message(client: AsyncClient, method: str, path: str, data: object) -> None:
    """Every operation with a message id returns 404."""
    conversation = await open_conversation(client)
    refused = await client.request(method, f"{CONVERSATIONS}/{conversation}{path}", json=data)

    assert refused.status_code == 404
    assert refused.json()["type"] == "urn:problem:message-not-found"


async def test_queries_have_indexes(client: AsyncClient, watch_queries: WatchQueries) -> None:
    """The list, its next page, a conversation and its messages."""
    conversation = await open_conversation(client)
    await open_conversation(client)
    await ask(client, conversation, "Ahoy")
    async with watch_queries() as faults:
        page = (await client.get(CONVERSATIONS, params={"limit": 1})).json()
        assert (await client.get(CONVERSATIONS, params={"cursor": page["next"]})).status_code == 200
        await read(client, conversation)
        assert (await client.get(f"{CONVERSATIONS}/{conversation}/messages/current")).status_code == 404

    assert faults == []
