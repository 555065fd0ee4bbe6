"""Gauges of tasks."""

import re
from datetime import timedelta
from typing import Any

from fastapi import FastAPI

from keel import clock
from keel.celery.enums import TaskState
from keel.celery.gauges import AGE, DEPTH, FAILED, read
from keel.celery.models import Task
from keel.services import services_of


async def store(app: FastAPI, **fields: Any) -> None:
    """Store a task that is an hour old."""
    usual = {"name": "x", "payload": {}, "headers": {}, "progress": 0.0, "attempt": 0, "publish_count": 0} | fields
    async with services_of(app).database.transaction() as session:
        session.add(Task(**usual, created_at=clock.now() - timedelta(hours=1)))


async def test_without_tasks(app: FastAPI) -> None:
    """Each gauge has a value, a unit, and a name that follows OpenTelemetry's conventions."""
    values = await read(app)

    assert values == {DEPTH: 0, AGE: 0, FAILED: 0}
    for gauge in values:
        assert re.fullmatch(r"[a-z]+(\.[a-z_]+)+", gauge.name)
        assert gauge.unit


async def test_queued_and_failed_tasks(app: FastAPI) -> None:
    """A task that waits for a retry does not count as queued."""
    await store(app, state=TaskState.PENDING)
    await store(app, state=TaskState.FAILED)
    await store(app, state=TaskState.PENDING, attempt=1, due_at=clock.now() + timedelta(hours=1))
    values = await read(app)

    assert (values[DEPTH], values[FAILED]) == (1, 1)
    assert 3600 <= values[AGE] < 3700
