"""Tasks as callers see them."""

import asyncio
import json
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.caller import Caller
from keel.celery.repository import TaskReader
from keel.celery.run import Run
from keel.celery.state import Worker
from keel.identity import current_caller
from keel.services import services_of
from keel.testing.identity import sign_in
from keel.testing.server import Server
from keel.tests.celery.support import TASKS, Silence, export, finished
from tests.examples.notes.api import create
from tests.examples.notes.test_events import events


async def test_list(client: AsyncClient) -> None:
    """The latest first, a page at a time."""
    tasks = [await export(client) for _ in range(3)]
    for task in tasks:
        await finished(client, task["id"])
    first = await client.get(TASKS, params={"limit": 2})
    second = await client.get(TASKS, params={"limit": 2, "cursor": first.json()["next"]})

    ids = [item["id"] for page in (first, second) for item in page.json()["items"]]
    assert ids == [task["id"] for task in reversed(tasks)]
    assert second.json()["next"] is None
    assert 'rel="next"' in first.headers["Link"]


async def test_tasks_of_others_are_not_found(app: FastAPI, client: AsyncClient) -> None:
    """In every verb, the tasks of others are as if they were not there."""
    task = await export(client)
    await finished(client, task["id"])
    url = f"{TASKS}/{task['id']}"
    app.dependency_overrides[current_caller] = lambda: Caller("stranger")

    assert (await client.get(url)).status_code == 404
    assert (await client.get(f"{url}/result")).status_code == 404
    assert (await client.get(f"{url}/events")).status_code == 404
    assert (await client.post(f"{url}/cancel")).status_code == 404
    assert (await client.get(TASKS)).json()["items"] == []


async def test_unknown_task(client: AsyncClient) -> None:
    """What never was is answered in the same way."""
    answer = await client.get(f"{TASKS}/{uuid4()}")

    assert (answer.status_code, answer.json()["type"]) == (404, "urn:problem:task-not-found")


async def test_cancelling_a_task_that_waits(app: FastAPI, client: AsyncClient, silence: Silence) -> None:
    """It is never begun."""
    task = await export(client)
    cancelled = await client.post(f"{TASKS}/{task['id']}/cancel")
    await Worker.of(app).executor.run(UUID(task["id"]))

    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert (await client.get(f"{TASKS}/{task['id']}")).json()["state"] == "cancelled"


async def test_cancelling_a_task_that_runs(
    app: FastAPI, client: AsyncClient, silence: Silence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stops at the next piece of its result, nothing makes it a success, and nothing of its result stays."""
    monkeypatch.setattr("keel.celery.exports.CHUNK", 1)
    await create(client)
    task = await export(client)
    reading, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Run):
        async def add(self, data: bytes, done: float) -> None:
            await super().add(data, done)
            reading.set()
            await go_on.wait()

    monkeypatch.setattr("keel.celery.execution.Run", Slow)
    running = asyncio.create_task(Worker.of(app).executor.run(UUID(task["id"])))
    await reading.wait()
    assert (await client.get(f"{TASKS}/{task['id']}")).json()["state"] == "running"
    await client.post(f"{TASKS}/{task['id']}/cancel")
    go_on.set()
    await running

    assert (await client.get(f"{TASKS}/{task['id']}")).json()["state"] == "cancelled"
    assert (await client.get(f"{TASKS}/{task['id']}/result")).status_code == 409
    assert await TaskReader(services_of(app).database.read).chunks(UUID(task["id"])) == 0


async def test_what_is_finished_cannot_be_cancelled(client: AsyncClient) -> None:
    """It is too late, and the result stays."""
    task = await finished(client, (await export(client))["id"])
    answer = await client.post(f"{TASKS}/{task['id']}/cancel")

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:task-finished")
    assert (await client.get(f"{TASKS}/{task['id']}/result")).status_code == 200


async def test_events_until_the_end(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream says where the task stands, then how it ended, and ends itself."""
    monkeypatch.setattr("keel.celery.events.LOOK", 0.01)
    monkeypatch.setattr(Worker.of(server.app).jobs, "announcer", Silence())
    async with server.client() as client:
        await sign_in(client)
        task = await export(client)
        async with client.stream("GET", f"{TASKS}/{task['id']}/events") as answer:
            heard = events(answer)
            first = json.loads((await anext(heard))["data"])
            await client.post(f"{TASKS}/{task['id']}/cancel")
            rest = [json.loads(event["data"]) async for event in heard]

    assert first == task
    assert [event["state"] for event in rest] == ["cancelled"]
