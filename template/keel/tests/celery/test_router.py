"""The task endpoints."""

import asyncio
import json
import time
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.caller import GUEST, Caller, Verification, VerifiedCaller
from keel.celery.repository import TaskReader
from keel.celery.tasks.context import TaskContext
from keel.identity import current_caller
from keel.services import services_of
from keel.testing.identity import sign_in
from keel.testing.server import Server
from keel.tests.celery.support import TASKS, RecordingPublisher, export, finished
from keel.tests.widgets.api import create, events
from keel.web.errors import Forbidden


async def test_list_is_paginated(client: AsyncClient) -> None:
    """The newest task comes first."""
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
    """No endpoint shows another owner's task."""
    task = await export(client)
    await finished(client, task["id"])
    url = f"{TASKS}/{task['id']}"
    app.dependency_overrides[current_caller] = lambda: Caller("stranger")

    assert (await client.get(url)).status_code == 404
    assert (await client.get(f"{url}/result")).status_code == 404
    assert (await client.get(f"{url}/events")).status_code == 404
    assert (await client.post(f"{url}/cancel")).status_code == 404
    assert (await client.get(TASKS)).json()["items"] == []


async def test_unknown_task_is_not_found(client: AsyncClient) -> None:
    """The problem is the same as for another owner's task."""
    answer = await client.get(f"{TASKS}/{uuid4()}")

    assert (answer.status_code, answer.json()["type"]) == (404, "urn:problem:task-not-found")


async def test_cancelled_pending_task_does_not_start(
    app: FastAPI, client: AsyncClient, recorder: RecordingPublisher
) -> None:
    """Its message finds no task to claim."""
    task = await export(client)
    cancelled = await client.post(f"{TASKS}/{task['id']}/cancel")
    await services_of(app).celery.executor.run(UUID(task["id"]))

    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert (await client.get(f"{TASKS}/{task['id']}")).json()["state"] == "cancelled"


async def test_cancelled_running_task_stops(
    app: FastAPI, client: AsyncClient, recorder: RecordingPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stops at its next checkpoint; its partial result is deleted."""
    monkeypatch.setattr("keel.celery.export.handler.CHUNK", 1)
    await create(client)
    task = await export(client)
    reading, go_on = asyncio.Event(), asyncio.Event()

    class Slow(TaskContext):
        async def write(self, data: bytes, done: float) -> None:
            await super().write(data, done)
            reading.set()
            await go_on.wait()

    monkeypatch.setattr("keel.celery.tasks.executor.TaskContext", Slow)
    running = asyncio.create_task(services_of(app).celery.executor.run(UUID(task["id"])))
    await reading.wait()
    assert (await client.get(f"{TASKS}/{task['id']}")).json()["state"] == "running"
    await client.post(f"{TASKS}/{task['id']}/cancel")
    go_on.set()
    await running

    assert (await client.get(f"{TASKS}/{task['id']}")).json()["state"] == "cancelled"
    assert (await client.get(f"{TASKS}/{task['id']}/result")).status_code == 409
    assert await TaskReader(services_of(app).database.read).count_chunks(UUID(task["id"])) == 0


async def test_finished_task_cannot_be_cancelled(client: AsyncClient) -> None:
    """Its result is kept."""
    task = await finished(client, (await export(client))["id"])
    answer = await client.post(f"{TASKS}/{task['id']}/cancel")

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:task-finished")
    assert (await client.get(f"{TASKS}/{task['id']}/result")).status_code == 200


async def test_event_stream_ends_with_the_final_state(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts with the current state, and ends by itself."""
    monkeypatch.setattr("keel.celery.events.POLL_SECONDS", 0.01)
    monkeypatch.setattr(services_of(server.app).celery.jobs, "publisher", RecordingPublisher())
    async with server.client() as client:
        await sign_in(client)
        task = await export(client)
        async with client.stream("GET", f"{TASKS}/{task['id']}/events") as answer:
            received = events(answer)
            first = json.loads((await anext(received))["data"])
            await client.post(f"{TASKS}/{task['id']}/cancel")
            rest = [json.loads(event["data"]) async for event in received]

    assert first == task
    assert [event["state"] for event in rest] == ["cancelled"]


async def test_event_stream_ends_with_its_token(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscriber whose token expires gets the reason, and no further change."""

    async def again() -> VerifiedCaller:
        raise Forbidden("Not any more.")

    made = Verification(VerifiedCaller(GUEST, time.time()), again)
    monkeypatch.setattr("keel.web.event_stream.verification_of", lambda _: made)
    monkeypatch.setattr(services_of(server.app).celery.jobs, "publisher", RecordingPublisher())
    async with server.client() as client:
        await sign_in(client)
        task = await export(client)
        async with client.stream("GET", f"{TASKS}/{task['id']}/events") as answer:
            *_, last = [event async for event in events(answer)]

    assert (last["event"], json.loads(last["data"])["detail"]) == ("closed", "Not any more.")
