"""Idempotency keys: a POST that is sent again with its key gets the first answer, and nothing is done twice.

After draft-ietf-httpapi-idempotency-key-header-07. An answer is stored in the transaction of its request, so that there
is one exactly where something was done.
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
    """Have old answers purged; packages choose `keel.idempotency.route.IdempotentRoute` for their routers."""
    services_of(app).retention.register("idempotency keys", _purge)


async def _purge(session: Session) -> int:
    old = delete(StoredAnswer).where(StoredAnswer.created_at < clock.now() - KEPT)
    return cast("CursorResult[Any]", await session.execute(old)).rowcount
