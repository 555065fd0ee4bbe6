"""Plugging personal access tokens into the application."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from keel import clock
from keel.auth.audit import Audit
from keel.auth.personal_tokens.callers import PersonalTokenCallers
from keel.auth.personal_tokens.repository import PersonalTokenRepository
from keel.auth.personal_tokens.usage import PersonalTokenUsage
from keel.db.database import Session
from keel.services import services_of


def install_personal_tokens(app: FastAPI, audit: Audit) -> PersonalTokenCallers:
    """Add endpoints and the purge; return who calls. Uses that were gathered are written when the application stops."""
    from keel.auth.personal_tokens.router import router

    usage = PersonalTokenUsage(audit)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        yield
        await usage.settle()

    callers = services_of(app).personal_tokens = PersonalTokenCallers(usage)
    services_of(app).retention.register("auth personal tokens", _purge)
    app.include_router(router, prefix="/api/v1")
    app.include_router(APIRouter(lifespan=lifespan))
    return callers


async def _purge(session: Session) -> int:
    return await PersonalTokenRepository(session).purge(clock.now())
