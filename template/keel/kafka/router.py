"""The outbox endpoint, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import TypeAdapter

from keel.dependencies import ReadSessionDep
from keel.identity import RESPONSES, CurrentAdmin
from keel.kafka import repository
from keel.kafka.schemas import OutboxEvent, OutboxQuery
from keel.web import errors
from keel.web.pagination import InvalidCursor, LinksDep, Page, decode, encode

router = APIRouter(prefix="/events", tags=["events"], responses=RESPONSES)

_ORDER = "-position"
_POSITION: TypeAdapter[int] = TypeAdapter(int)


@router.get("", responses=errors.responses(InvalidCursor, errors.Forbidden))
async def list_events(
    query: Annotated[OutboxQuery, Query()], _: CurrentAdmin, session: ReadSessionDep, links: LinksDep
) -> Page[OutboxEvent]:
    """List the events in the outbox, waiting and sent, latest first."""
    before = decode(query.cursor, _ORDER, [_POSITION])[0] if query.cursor is not None else None
    rows = await repository.page(session, waiting=query.waiting, before=before, limit=query.limit + 1)
    items = [OutboxEvent.model_validate(row) for row in rows[: query.limit]]
    more = len(rows) > query.limit
    return links.add(Page(items=items, next=encode(_ORDER, [rows[query.limit - 1].position]) if more else None))
