"""Fixtures of the tests of tasks."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from keel.services import services_of
from keel.tests.celery.support import RecordingPublisher


@pytest.fixture
def recorder(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> RecordingPublisher:
    """Record tasks instead of publishing them, so that a test decides when they run."""
    recorder = RecordingPublisher()
    monkeypatch.setattr(services_of(app).celery.jobs, "publisher", recorder)
    return recorder


@pytest.fixture(autouse=True)
def _unregister_job(app: FastAPI) -> Iterator[None]:
    yield
    services_of(app).celery.jobs.handlers.pop("test", None)
