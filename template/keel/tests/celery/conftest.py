"""What only tests of tasks need."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from keel.celery.state import Worker
from keel.tests.celery.support import Silence


@pytest.fixture
def silence(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> Silence:
    """Tell nobody of tasks, so that a test decides when they are done."""
    silence = Silence()
    monkeypatch.setattr(Worker.of(app).jobs, "announcer", silence)
    return silence


@pytest.fixture(autouse=True)
def _no_job_of_a_test_stays(app: FastAPI) -> Iterator[None]:
    yield
    Worker.of(app).jobs.handlers.pop("test", None)
