"""Jobs that run after the response, so that response times do not reveal which addresses have accounts."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from keel.auth.dependencies import make_accounts
from keel.db.database import Session
from keel.services import services_of

FORGET_PASSWORD = "auth.forget_password"  # noqa: S105 - a name
REQUEST_VERIFICATION = "auth.request_verification"


def register_jobs(app: FastAPI) -> None:
    """Register the handlers of auth's jobs."""

    async def forget_password(session: Session, payload: Mapping[str, Any]) -> None:
        await make_accounts(app, session).forget_password(payload["email"])

    async def request_verification(session: Session, payload: Mapping[str, Any]) -> None:
        await make_accounts(app, session).request_verification(payload["email"])

    services_of(app).jobs.register(FORGET_PASSWORD, forget_password)
    services_of(app).jobs.register(REQUEST_VERIFICATION, request_verification)
