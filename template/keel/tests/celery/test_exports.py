"""Exports: started, run by a task, downloaded."""

import asyncio
import csv
import json
from io import StringIO
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from keel.caller import Caller
from keel.celery.export import handler
from keel.celery.export.formats import Format, encoder
from keel.identity import current_caller
from keel.services import services_of
from keel.tests.celery.support import TASKS, RecordingPublisher, export, finished
from keel.tests.widgets.api import create

EXPORTS = f"{TASKS}/exports"
CREATED = [{"title": "First"}, {"title": 'Gräße, "quoted"\nand broken', "body": "=1+1"}]


async def exported(client: AsyncClient, **body: Any) -> tuple[dict[str, Any], bytes]:
    """Run an export; return the task and the file."""
    task = await finished(client, (await export(client, **body))["id"])
    answer = await client.get(f"{TASKS}/{task['id']}/result")
    assert answer.status_code == 200, answer.text
    assert len(answer.content) == task["result"]["bytes"]
    return task, answer.content


async def test_json_lines_export(client: AsyncClient) -> None:
    """Each line is a widget as in the API, oldest first."""
    widgets = [await create(client, **fields) for fields in CREATED]
    task, content = await exported(client)

    assert (task["state"], task["progress"], task["error"]) == ("succeeded", 1, None)
    assert task["result"] == {"kind": "widgets", "format": "jsonl", "rows": 2, "bytes": len(content)}
    assert [json.loads(line) for line in content.splitlines()] == widgets


async def test_csv_export(client: AsyncClient) -> None:
    """The file has a header; commas, quotes and line breaks are escaped."""
    widgets = [await create(client, **fields) for fields in CREATED]
    task, content = await exported(client, format="csv")

    rows = list(csv.DictReader(StringIO(content.decode(), newline="")))
    assert task["result"]["rows"] == 2
    assert [row["title"] for row in rows] == [widget["title"] for widget in widgets]
    assert [row["body"] for row in rows] == ["", "'=1+1"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_csv_has_no_formulas(start: str) -> None:
    """Formulas are escaped in rows and header; numbers and other text are unchanged."""
    formula = f"{start}cmd|' /C calc'!A0"
    row = {formula: formula, "number": -1.5, "text": "1 = 1", "none": None, "list": [formula]}
    head, encode = encoder(Format.CSV, list(row))
    (names, values) = csv.reader(StringIO((head + encode(row)).decode(), newline=""))

    assert names[0] == values[0] == f"'{formula}"
    assert values[1:4] == ["-1.5", "1 = 1", ""]
    assert json.loads(values[4]) == [formula]
    assert json.loads(encoder(Format.JSON_LINES, list(row))[1](row))["text"] == "1 = 1"


async def test_export_of_many_pages_and_chunks(client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is complete and in order."""
    monkeypatch.setattr(handler, "CHUNK", 100)
    monkeypatch.setattr("keel.tests.widgets.exports.PAGE", 2)
    widgets = [await create(client, title=f"Widget {number}") for number in range(5)]
    _, content = await exported(client)

    assert [json.loads(line) for line in content.splitlines()] == widgets


async def test_empty_export(client: AsyncClient) -> None:
    """An export without rows yields an empty file."""
    task, content = await exported(client)

    assert (task["result"]["rows"], content) == (0, b"")


async def test_idempotency_key_returns_the_same_task(client: AsyncClient, recorder: RecordingPublisher) -> None:
    """A retry starts no new task; another key does."""
    answers = [
        await client.post(EXPORTS, json={"kind": "widgets"}, headers={"Idempotency-Key": key})
        for key in ("a", "a", "b")
    ]
    first, again, other = [answer.json()["id"] for answer in answers]

    assert first == again != other
    assert len(recorder.published) == 2


async def test_reused_idempotency_key_is_refused(client: AsyncClient, recorder: RecordingPublisher) -> None:
    """A key is refused if the request differs."""
    key = {"Idempotency-Key": "a"}
    await client.post(EXPORTS, json={"kind": "widgets"}, headers=key)
    answer = await client.post(EXPORTS, json={"kind": "widgets", "format": "csv"}, headers=key)

    assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem:idempotency-key-reused")


async def test_concurrent_requests_with_one_key_start_one_task(
    client: AsyncClient, recorder: RecordingPublisher
) -> None:
    """All requests get the same task."""
    requests = (client.post(EXPORTS, json={"kind": "widgets"}, headers={"Idempotency-Key": "a"}) for _ in range(10))
    answers = await asyncio.gather(*requests)

    assert {(answer.status_code, answer.json()["id"]) for answer in answers} == {(202, answers[0].json()["id"])}
    assert len(recorder.published) == 1


async def test_unfinished_exports_are_limited(client: AsyncClient, app: FastAPI, recorder: RecordingPublisher) -> None:
    """Finished exports do not count."""
    for _ in range(3):
        task = await export(client)
    refused = await client.post(EXPORTS, json={"kind": "widgets"})
    await client.post(f"{TASKS}/{task['id']}/cancel")

    assert refused.status_code == 429
    assert refused.json()["type"] == "urn:problem:too-many-exports"
    await export(client)


async def test_concurrent_exports_are_limited(client: AsyncClient, recorder: RecordingPublisher) -> None:
    """The limit holds for concurrent requests."""
    answers = await asyncio.gather(*(client.post(EXPORTS, json={"kind": "widgets"}) for _ in range(10)))

    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [429] * 7
    assert len(recorder.published) == 3


async def test_unknown_kind_is_refused(client: AsyncClient) -> None:
    """It is refused before a task is stored."""
    answer = await client.post(EXPORTS, json={"kind": "secrets"})

    assert (answer.status_code, answer.json()["type"]) == (400, "urn:problem:unknown-export")
    assert (await client.get(TASKS)).json()["items"] == []


async def test_export_needs_the_scope_to_read(app: FastAPI, client: AsyncClient) -> None:
    """`tasks:write` alone gives no access to widgets."""
    app.dependency_overrides[current_caller] = lambda: Caller("narrow", frozenset({"tasks:write"}))
    answer = await client.post(EXPORTS, json={"kind": "widgets"})

    assert (answer.status_code, answer.json()["type"]) == (403, "urn:problem:missing-scope")


async def test_failed_export_hides_the_error_from_its_owner(
    app: FastAPI, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only operators see the exception."""

    async def broken(*_: object) -> int:
        raise RuntimeError("password of the database")

    monkeypatch.setattr("keel.tests.widgets.exports.WidgetExporter.count", broken)
    task = await finished(client, (await export(client))["id"])
    result = await client.get(f"{TASKS}/{task['id']}/result")

    assert task["state"] == "failed"
    assert task["error"] == "The task failed, and will not be retried."
    assert "password" not in json.dumps(task)
    assert (result.status_code, result.json()["type"]) == (409, "urn:problem:no-result")


async def test_second_attempt_starts_from_the_beginning(
    app: FastAPI, client: AsyncClient, recorder: RecordingPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result has no chunks from a failed attempt."""
    monkeypatch.setattr(handler, "CHUNK", 1)
    widget = await create(client)
    task = await export(client)
    executor = services_of(app).celery.executor
    with monkeypatch.context() as patch:
        patch.setattr("keel.celery.tasks.context.TaskContext.finishing", None)
        await executor.run(recorder.published[0])
    await executor.run(recorder.published[0])

    content = (await client.get(f"{TASKS}/{task['id']}/result")).content
    assert [json.loads(line) for line in content.splitlines()] == [widget]
