"""HTTP for authors."""

from collections.abc import AsyncIterable

from fastapi import APIRouter
from fastapi.sse import EventSourceResponse, ServerSentEvent

from keel.identity import CallerDep
from keel.web.event_stream import EndingDep

router = APIRouter(prefix="/authors", tags=["authors"])


@router.get("/changes", response_class=EventSourceResponse)
async def author_changes(_: CallerDep, ending: EndingDep) -> AsyncIterable[ServerSentEvent]:
    """Follow changes, of which there are none; the answer has no end of its own."""
    await ending()
    yield ServerSentEvent(event="end", data={})


@router.get("/{author_id}")
async def read_author(author_id: int, _: CallerDep) -> int:
    """Return an author, for those who may call."""
    return author_id
