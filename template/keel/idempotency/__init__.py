"""Idempotency keys: a POST repeated with its key gets the first response, and nothing is done twice.

After draft-ietf-httpapi-idempotency-key-header-07. A response is stored in the transaction of its request, so that it
exists exactly if the request took effect.
"""

from datetime import timedelta
from typing import Any, cast

from fastapi import FastAPI
from sqlalchemy import CursorResult, delete

from keel import clock
from keel.db.database import Session
from keel.idempotency.models import StoredAnswer
from keel.services import services_of

KEPT = timedelta(hours=24)


def install(app: FastAPI) -> None:
    """Register the purge of old responses; packages use `keel.idempotency.route.IdempotentRoute` in their routers."""
    services_of(app).retention.register("idempotency keys", _purge)


async def _purge(session: Session) -> int:
    old = delete(StoredAnswer).where(StoredAnswer.created_at < clock.now() - KEPT)
    return cast("CursorResult[Any]", await session.execute(old)).rowcount
