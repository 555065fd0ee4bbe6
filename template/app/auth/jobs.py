"""Work that is done after the answer, so that its time tells nobody which addresses are known."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from app.auth.dependencies import make_accounts
from app.core.database import Database

FORGET_PASSWORD = "auth.forget_password"  # noqa: S105 - a name
REQUEST_VERIFICATION = "auth.request_verification"


def register_jobs(app: FastAPI) -> None:
    """Say what does the jobs of auth."""
    database: Database = app.state.database

    async def forget_password(payload: Mapping[str, Any]) -> None:
        async with database.transaction() as session:
            await make_accounts(app, session).forget_password(payload["email"])

    async def request_verification(payload: Mapping[str, Any]) -> None:
        async with database.transaction() as session:
            await make_accounts(app, session).request_verification(payload["email"])

    app.state.jobs.register(FORGET_PASSWORD, forget_password)
    app.state.jobs.register(REQUEST_VERIFICATION, request_verification)
