"""E-mails that would have been sent."""

import pytest
from fastapi import FastAPI

from keel.services import services_of
from keel.testing.support import Outbox


@pytest.fixture
def outbox(running_app: FastAPI) -> Outbox:
    """Return the e-mails of a test."""
    outbox = services_of(running_app).mailer = Outbox()
    return outbox
