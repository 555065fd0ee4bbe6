"""Core's jobs, kept in the table of tasks."""

from collections.abc import Mapping
from typing import Any, cast

import pytest
import structlog
from fastapi import FastAPI

from keel.celery.jobs import DurableJobs
from keel.celery.state import Worker
from keel.db.database import Session
from keel.messaging import mail
from keel.messaging.mail import Mail
from keel.services import services_of
from keel.testing.support import Outbox
from keel.tests.celery.support import Silence, stored

MAIL = Mail(to="ada@example.com", subject="Hello", text="Hello", html="<p>Hello</p>")


async def test_mail_is_a_task(app: FastAPI, outbox: Outbox, silence: Silence) -> None:
    """Whoever sends mail need not know: it is stored, announced after the commit, and sent."""
    async with services_of(app).database.transaction() as session:
        await mail.enqueue(services_of(app).jobs, session, MAIL)
        assert silence.announced == []
    (task_id,) = silence.announced
    await Worker.of(app).executor.run(task_id)

    assert outbox.mails == [MAIL]
    assert await stored(app, task_id) is None


async def test_job_of_a_failed_transaction_does_not_exist(app: FastAPI, silence: Silence) -> None:
    """What did not happen has no consequences."""
    with pytest.raises(LookupError):
        async with services_of(app).database.transaction() as session:
            await mail.enqueue(services_of(app).jobs, session, MAIL)
            raise LookupError

    assert silence.announced == []


async def test_job_of_an_unknown_name_is_refused(app: FastAPI) -> None:
    """Whoever misspells a name learns it at once."""
    async with services_of(app).database.transaction() as session:
        with pytest.raises(KeyError):
            await services_of(app).jobs.enqueue(session, "no such job", {})


async def test_what_goes_along(app: FastAPI, silence: Silence) -> None:
    """The request's id is stored with the task, so that it is in the log lines of whichever process does it."""
    jobs, bound = Worker.of(app).jobs, []

    async def handle(_: Session, payload: Mapping[str, Any]) -> None:
        bound.append(structlog.contextvars.get_contextvars()["request_id"])

    jobs.register("test", handle)
    with structlog.contextvars.bound_contextvars(request_id="the request's"):
        async with services_of(app).database.transaction() as session:
            await jobs.enqueue(session, "test", {})
    with structlog.contextvars.bound_contextvars(request_id="another"):
        await Worker.of(app).executor.run(silence.announced[0])
        bound.append(structlog.contextvars.get_contextvars()["request_id"])

    assert bound == ["the request's", "another"]


async def test_handlers_are_those_of_core(app: FastAPI) -> None:
    """What was registered before the worker came is not forgotten."""
    jobs = cast("DurableJobs", services_of(app).jobs)

    assert jobs.find(mail.JOB) is not None
    assert jobs.find("no such job") is None
