"""Exports of notes."""

import csv
import json
from io import StringIO
from typing import Any

import pytest
from httpx2 import AsyncClient

from keel.tests.celery.support import TASKS, export, finished
from tests.examples.notes.api import create


async def exported(client: AsyncClient, **body: Any) -> tuple[dict[str, Any], str]:
    """Export the caller's notes; return the task and the file."""
    task = await finished(client, (await export(client, "notes", **body))["id"])
    answer = await client.get(f"{TASKS}/{task['id']}/result")
    assert answer.status_code == 200, answer.text
    return task, answer.text


async def test_json_lines(client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line is a note as in the API, oldest first, across pages."""
    monkeypatch.setattr("app.examples.notes.exports.PAGE", 2)
    notes = [await create(client, title=f"Note {number}") for number in range(5)]
    task, content = await exported(client)

    assert [json.loads(line) for line in content.splitlines()] == notes
    assert (task["progress"], task["result"]["rows"]) == (1, 5)


async def test_csv(client: AsyncClient) -> None:
    """Tags are a JSON array in a cell."""
    await create(client, title="First", tags=["b", "a"])
    await create(client, title="Second", tags=[])
    _, content = await exported(client, format="csv")

    rows = list(csv.DictReader(StringIO(content, newline="")))
    assert [row["title"] for row in rows] == ["First", "Second"]
    assert [json.loads(row["tags"]) for row in rows] == [["a", "b"], []]
