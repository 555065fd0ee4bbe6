"""Streams over a real server: followed, disconnected, resumed, stopped, refused."""

import asyncio
import json

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.main import create_app
from keel.llm.model.turns import Usage
from keel.services import services_of
from keel.testing.identity import sign_in
from keel.testing.scripted_model import Pause, ScriptedModel
from keel.testing.server import Server
from keel.testing.support import PATIENCE, eventually, running
from tests.examples.assistant.api import CONVERSATIONS, events, open_conversation, read, stream


async def begin(client: AsyncClient, conversation: str, pause: Pause) -> None:
    """Ask, and leave once the model waits."""
    path = f"{CONVERSATIONS}/{conversation}/messages"
    async with client.stream("POST", path, json={"content": "Ahoy"}) as answer:
        async for name, _, _ in events(answer):
            if name == "token":
                break
    await reached(pause)


async def reached(pause: Pause) -> None:
    """Wait until the model, in the event loop of the server, waits."""
    await eventually(pause.reached.is_set)


async def go_on(server: Server, pause: Pause) -> None:
    """Let the model go on."""

    async def set_over() -> None:
        pause.over.set()

    await server.run(set_over())


async def test_disconnected_client_loses_nothing(server: Server, scripted: ScriptedModel) -> None:
    """The answer continues; a client that reconnects gets the rest, and the whole answer."""
    pause = Pause()
    scripted.scripts.append(["Ships ", pause, "sail."])
    async with server.client() as client:
        await sign_in(client)
        conversation = await open_conversation(client, title="Harbour")
        await begin(client, conversation, pause)
        message = (await read(client, conversation))["messages"][1]
        assert message["state"] == "streaming"
        async with client.stream(
            "GET", f"{CONVERSATIONS}/{conversation}/messages/current", headers={"Last-Event-ID": "5-0"}
        ) as answer:
            following = events(answer)
            first = await anext(following)
            await go_on(server, pause)
            rest = [event async for event in following]

    assert first == ("token", "6-0", {"text": " ", "offset": 5})
    assert [(name, id_) for name, id_, _ in rest] == [("token", "11-0"), ("message", None)]
    assert rest[0][2] == {"text": "sail.", "offset": 6}
    assert rest[1][2]["content"] == "Ships sail."


async def test_an_answer_is_stopped(server: Server, client: AsyncClient, scripted: ScriptedModel) -> None:
    """Any process accepts the request; the answer is stored as stopped, with its partial text."""
    pause = Pause()
    scripted.scripts.append(["Ships ", pause, "sail."])
    async with server.client() as other:
        await sign_in(other)
        conversation = await open_conversation(other, title="Harbour")
        await begin(other, conversation, pause)
        # `client` calls another application, on the same database.
        stopped = await client.delete(f"{CONVERSATIONS}/{conversation}/messages/current")
        assert stopped.status_code == 202
        found = await stream(other, "GET", stopped.headers["Location"].removeprefix(f"{CONVERSATIONS}/"))
        again = await client.delete(f"{CONVERSATIONS}/{conversation}/messages/current")

    assert (found[-1][2]["state"], found[-1][2]["content"]) == ("stopped", "Ships ")
    assert (again.status_code, again.json()["type"]) == (404, "urn:problem:no-answer-under-way")


async def test_an_answer_is_followed_in_another_process(
    server: Server, client: AsyncClient, scripted: ScriptedModel
) -> None:
    """Whichever process gets the request, the whole answer arrives."""
    pause = Pause()
    scripted.scripts.append(["Ships ", pause, "sail."])
    async with server.client() as other:
        await sign_in(other)
        conversation = await open_conversation(other, title="Harbour")
        await begin(other, conversation, pause)
        answer_id = (await read(other, conversation))["current_id"]
        following = asyncio.create_task(stream(client, "GET", f"{conversation}/messages/{answer_id}/events"))
        await go_on(server, pause)
        found = await following

    assert found[-1][2]["content"] == "Ships sail."


async def test_one_answer_at_a_time(server: Server, scripted: ScriptedModel) -> None:
    """A second question in a conversation during an answer is refused, and nothing is stored."""
    pause = Pause()
    scripted.scripts.append(["Ships ", pause])
    async with server.client() as client:
        await sign_in(client)
        conversation = await open_conversation(client, title="Harbour")
        await begin(client, conversation, pause)
        path = f"{CONVERSATIONS}/{conversation}/messages"
        question = (await read(client, conversation))["messages"][0]["id"]
        refused = [
            await client.post(path, json={"content": "And now?"}),
            await client.post(f"{path}/{question}/regenerate"),
        ]
        await go_on(server, pause)

    assert [(each.status_code, each.json()["type"]) for each in refused] == [(409, "urn:problem:answer-under-way")] * 2


async def test_conversation_deleted_during_an_answer(server: Server, scripted: ScriptedModel) -> None:
    """Its answer is stopped, and nothing of it is stored."""
    pause = Pause()
    scripted.scripts.append(["Ships ", pause])
    async with server.client() as client:
        await sign_in(client)
        conversation = await open_conversation(client, title="Harbour")
        await begin(client, conversation, pause)
        assert (await client.delete(f"{CONVERSATIONS}/{conversation}")).status_code == 204
        await eventually(lambda: not services_of(server.app).llm.answers.running)
        assert (await client.get(f"{CONVERSATIONS}/{conversation}")).status_code == 404


async def test_failing_model(client: AsyncClient, app: FastAPI, scripted: ScriptedModel) -> None:
    """The stream and the stored answer have the reason and the partial text; later questions get 503."""
    scripted.scripts += [["Ships ", ConnectionResetError()], ["It is back."]]
    conversation = await open_conversation(client, title="Harbour")
    found = await stream(client, "POST", f"{conversation}/messages", json={"content": "Ahoy"})
    (name, _, problem), (_, _, message) = found[-2:]
    assert (name, problem["type"], problem["status"]) == ("error", "urn:problem:model-failed", 502)
    assert (message["state"], message["content"], message["error"]) == ("failed", "Ships ", problem)

    llm = services_of(app).llm
    for _ in range(llm.settings.breaker_failures):
        llm.model.breaker.failed()
    refused = await client.post(f"{CONVERSATIONS}/{conversation}/messages", json={"content": "Ahoy"})
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:problem:model-unavailable")
    assert 0 < int(refused.headers["Retry-After"]) <= 30
    assert len((await read(client, conversation))["messages"]) == 2


async def test_used_up_tokens(client: AsyncClient, app: FastAPI) -> None:
    """The question is refused with the time until the limit resets; nothing is stored."""
    conversation = await open_conversation(client, title="Harbour")
    services = services_of(app)
    subject = await sign_in(client)
    async with services.database.transaction() as session:
        await services.llm.budget.spend(session, subject, Usage(services.llm.settings.tokens_per_day))
    refused = await client.post(f"{CONVERSATIONS}/{conversation}/messages", json={"content": "Ahoy"})

    assert (refused.status_code, refused.json()["type"]) == (429, "urn:problem:tokens-used-up")
    assert any(value.startswith('"llm-tokens";r=0;') for value in refused.headers.get_list("RateLimit"))
    assert 0 < int(refused.headers["Retry-After"]) <= 86_400
    assert (await read(client, conversation))["messages"] == []


async def test_stopping_process(server: Server, scripted: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams end with an event on which a client resumes elsewhere; the answer is completed in time."""
    from app.main import create_app

    pause = Pause()
    scripted.scripts.append(["Ships ", pause, "sail."])
    monkeypatch.setenv("LLM_SHUTDOWN_SECONDS", str(PATIENCE))
    stopping = Server(create_app())
    with stopping:
        async with stopping.client() as client:
            await sign_in(client)
            conversation = await open_conversation(client, title="Harbour")
            found = []
            path = f"{CONVERSATIONS}/{conversation}/messages"
            async with client.stream("POST", path, json={"content": "Ahoy"}) as answer:
                async for event in events(answer):
                    found.append(event)
                    if event[0] == "token":
                        services_of(stopping.app).shutdown.begin()
            assert [name for name, _, _ in found] == ["started", "token", "restart"]
            refused = await client.post(path, json={"content": "Ahoy"})
            assert refused.status_code == 503
        await go_on(stopping, pause)
    async with server.client() as client:
        await sign_in(client)
        answer_id = found[0][2]["answer"]["id"]
        rest = await stream(
            client, "GET", f"{conversation}/messages/{answer_id}/events", headers={"Last-Event-ID": found[1][1]}
        )

    assert (rest[-1][2]["state"], rest[-1][2]["content"]) == ("complete", "Ships sail.")


@pytest.mark.parametrize("body", [{}, {"content": ""}, {"content": "x" * 32_001}, {"content": "a", "role": "system"}])
async def test_invalid_question(client: AsyncClient, body: object) -> None:
    """It is refused before anything starts."""
    conversation = await open_conversation(client)
    refused = await client.post(f"{CONVERSATIONS}/{conversation}/messages", content=json.dumps(body))

    assert refused.status_code == 422


async def test_question_exceeds_the_context(client: AsyncClient) -> None:
    """It is refused, and nothing is stored."""
    conversation = await open_conversation(client)
    refused = await client.post(f"{CONVERSATIONS}/{conversation}/messages", json={"content": "x" * 20_000})

    assert (refused.status_code, refused.json()["type"]) == (400, "urn:problem:question-too-long")
    assert (await read(client, conversation))["messages"] == []


async def test_a_full_conversation(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of messages in a conversation is limited."""
    monkeypatch.setenv("ASSISTANT_MAX_MESSAGES", "2")
    async with running(create_app()) as client:
        conversation = await open_conversation(client)
        await stream(client, "POST", f"{conversation}/messages", json={"content": "Ahoy"})
        refused = await client.post(f"{CONVERSATIONS}/{conversation}/messages", json={"content": "Ahoy"})

    assert (refused.status_code, refused.json()["type"]) == (409, "urn:problem:conversation-full")
