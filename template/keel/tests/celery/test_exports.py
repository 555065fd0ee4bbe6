"""Exports: asked for, made elsewhere, fetched."""

import asyncio
import csv
import json
from io import StringIO
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.caller import Caller
from keel.celery import exports
from keel.celery.state import Worker
from keel.identity import current_caller
from keel.tests.celery.support import TASKS, Silence, export, finished
from tests.examples.notes.api import create

NOTES = [{"title": "First", "tags": ["b", "a"]}, {"title": 'Gräße, "quoted"\nand broken', "body": "=1+1"}]


async def made(client: AsyncClient, **body: Any) -> tuple[dict[str, Any], bytes]:
    """Have an export made; return the task and what was made."""
    task = await finished(client, (await export(client, **body))["id"])
    answer = await client.get(f"{TASKS}/{task['id']}/result")
    assert answer.status_code == 200, answer.text
    assert len(answer.content) == task["result"]["bytes"]
    return task, answer.content


async def test_json_lines(client: AsyncClient) -> None:
    """Each line is a note as the API shows it, the oldest first."""
    notes = [await create(client, **note) for note in NOTES]
    task, content = await made(client)

    assert (task["state"], task["progress"], task["error"]) == ("succeeded", 1, None)
    assert task["result"] == {"kind": "notes", "format": "jsonl", "rows": 2, "bytes": len(content)}
    assert [json.loads(line) for line in content.splitlines()] == notes


async def test_csv(client: AsyncClient) -> None:
    """A table with a head, in which commas, quotes and line breaks are what they were."""
    notes = [await create(client, **note) for note in NOTES]
    task, content = await made(client, format="csv")

    rows = list(csv.DictReader(StringIO(content.decode(), newline="")))
    assert task["result"]["rows"] == 2
    assert [row["title"] for row in rows] == [note["title"] for note in notes]
    assert [json.loads(row["tags"]) for row in rows] == [["a", "b"], []]


async def test_many_pieces(client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is longer than a page and a piece is whole, and in order."""
    monkeypatch.setattr(exports, "CHUNK", 100)
    monkeypatch.setattr("app.examples.notes.exports.PAGE", 2)
    notes = [await create(client, title=f"Note {number}") for number in range(5)]
    _, content = await made(client)

    assert [json.loads(line) for line in content.splitlines()] == notes


async def test_nothing_to_export(client: AsyncClient) -> None:
    """An empty file is a result too."""
    task, content = await made(client)

    assert (task["result"]["rows"], content) == (0, b"")


async def test_same_key_is_the_same_request(client: AsyncClient, silence: Silence) -> None:
    """Whoever asks again because the answer was lost gets the task that they began; other keys are other requests."""
    answers = [
        await client.post(f"{TASKS}/exports", json={}, headers={"Idempotency-Key": key}) for key in ("a", "a", "b")
    ]
    first, again, other = [answer.json()["id"] for answer in answers]

    assert first == again != other
    assert len(silence.announced) == 2


async def test_key_of_another_request(client: AsyncClient, silence: Silence) -> None:
    """A key that was used for something else is a mistake, and said to be one."""
    key = {"Idempotency-Key": "a"}
    await client.post(f"{TASKS}/exports", json={}, headers=key)
    answer = await client.post(f"{TASKS}/exports", json={"format": "csv"}, headers=key)

    assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem:idempotency-key-reused")


async def test_same_request_at_the_same_time(client: AsyncClient, silence: Silence) -> None:
    """Of many that come at one moment, one stores a task, and all are answered with it."""
    requests = (client.post(f"{TASKS}/exports", json={}, headers={"Idempotency-Key": "a"}) for _ in range(10))
    answers = await asyncio.gather(*requests)

    assert {(answer.status_code, answer.json()["id"]) for answer in answers} == {(202, answers[0].json()["id"])}
    assert len(silence.announced) == 1


async def test_not_too_many_at_a_time(client: AsyncClient, app: FastAPI, silence: Silence) -> None:
    """A caller cannot fill the queue; what is finished does not count."""
    for _ in range(3):
        task = await export(client)
    refused = await client.post(f"{TASKS}/exports", json={})
    await client.post(f"{TASKS}/{task['id']}/cancel")

    assert refused.status_code == 429
    assert refused.json()["type"] == "urn:problem:too-many-exports"
    await export(client)


async def test_not_too_many_at_the_same_time(client: AsyncClient, silence: Silence) -> None:
    """Requests that come at one moment see each other's tasks."""
    answers = await asyncio.gather(*(client.post(f"{TASKS}/exports", json={}) for _ in range(10)))

    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [429] * 7
    assert len(silence.announced) == 3


async def test_unknown_kind(client: AsyncClient) -> None:
    """What nobody can export is refused before there is a task."""
    answer = await client.post(f"{TASKS}/exports", json={"kind": "secrets"})

    assert (answer.status_code, answer.json()["type"]) == (400, "urn:problem:unknown-export")
    assert (await client.get(TASKS)).json()["items"] == []


async def test_who_may_not_read_may_not_export(app: FastAPI, client: AsyncClient) -> None:
    """Beginning a task lets nobody have what their token does not let them read."""
    app.dependency_overrides[current_caller] = lambda: Caller("narrow", frozenset({"tasks:write"}))
    answer = await client.post(f"{TASKS}/exports", json={})

    assert (answer.status_code, answer.json()["type"]) == (403, "urn:problem:missing-scope")


async def test_an_export_that_fails_says_so_and_no_more(
    app: FastAPI, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its attempts the owner reads that it failed; why is for the operator."""

    async def broken(*_: object) -> int:
        raise RuntimeError("password of the database")

    monkeypatch.setattr("app.examples.notes.exports.NoteExporter.count", broken)
    task = await finished(client, (await export(client))["id"])
    result = await client.get(f"{TASKS}/{task['id']}/result")

    assert task["state"] == "failed"
    assert task["error"] == "The task failed, and will not be tried again."
    assert "password" not in json.dumps(task)
    assert (result.status_code, result.json()["type"]) == (409, "urn:problem:no-result")


async def test_second_attempt_begins_anew(
    app: FastAPI, client: AsyncClient, silence: Silence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an attempt has written before it failed is not in the result of the next."""
    monkeypatch.setattr(exports, "CHUNK", 1)
    note = await create(client)
    task = await export(client)
    executor = Worker.of(app).executor
    with monkeypatch.context() as patch:
        patch.setattr("keel.celery.run.Run.finishing", None)
        await executor.run(silence.announced[0])
    await executor.run(silence.announced[0])

    content = (await client.get(f"{TASKS}/{task['id']}/result")).content
    assert [json.loads(line) for line in content.splitlines()] == [note]
