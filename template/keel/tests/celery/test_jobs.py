"""Jobs in the table of tasks."""

from collections.abc import Mapping
from typing import Any, cast

import pytest
import structlog
from fastapi import FastAPI

from keel.celery.tasks.jobs import DurableJobs
from keel.db.database import Session
from keel.messaging import mail
from keel.messaging.mail import Mail
from keel.services import services_of
from keel.testing.support import Outbox
from keel.tests.celery.support import RecordingPublisher, stored

MAIL = Mail(to="ada@example.com", subject="Hello", text="Hello", html="<p>Hello</p>")


async def test_mail_is_sent_by_a_task(app: FastAPI, outbox: Outbox, recorder: RecordingPublisher) -> None:
    """The mail is stored, published after the commit, sent, and deleted."""
    async with services_of(app).database.transaction() as session:
        await mail.enqueue(services_of(app).jobs, session, MAIL)
        assert recorder.published == []
    (task_id,) = recorder.published
    await services_of(app).celery.executor.run(task_id)

    assert outbox.mails == [MAIL]
    assert await stored(app, task_id) is None


async def test_job_of_a_rolled_back_transaction_is_not_published(app: FastAPI, recorder: RecordingPublisher) -> None:
    """The task is part of the transaction."""
    with pytest.raises(LookupError):
        async with services_of(app).database.transaction() as session:
            await mail.enqueue(services_of(app).jobs, session, MAIL)
            raise LookupError

    assert recorder.published == []


async def test_unknown_job_is_refused(app: FastAPI) -> None:
    """It is refused at once, in the transaction."""
    async with services_of(app).database.transaction() as session:
        with pytest.raises(KeyError):
            await services_of(app).jobs.enqueue(session, "no such job", {})


async def test_request_id_is_bound_in_the_task(app: FastAPI, recorder: RecordingPublisher) -> None:
    """The id is stored with the task, and is in the log lines of the process that runs it."""
    jobs, bound = services_of(app).celery.jobs, []

    async def handle(_: Session, payload: Mapping[str, Any]) -> None:
        bound.append(structlog.contextvars.get_contextvars()["request_id"])

    jobs.register("test", handle)
    with structlog.contextvars.bound_contextvars(request_id="the request's"):
        async with services_of(app).database.transaction() as session:
            await jobs.enqueue(session, "test", {})
    with structlog.contextvars.bound_contextvars(request_id="another"):
        await services_of(app).celery.executor.run(recorder.published[0])
        bound.append(structlog.contextvars.get_contextvars()["request_id"])

    assert bound == ["the request's", "another"]


async def test_earlier_registered_handlers_are_kept(app: FastAPI) -> None:
    """Handlers registered before the plugin's installation are kept."""
    jobs = cast("DurableJobs", services_of(app).jobs)

    assert jobs.find_handler(mail.JOB) is not None
    assert jobs.find_handler("no such job") is None
