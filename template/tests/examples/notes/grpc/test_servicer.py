"""Notes over gRPC: the same notes and the same rules as over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from fastapi import FastAPI
from google.protobuf.timestamp_pb2 import Timestamp
from httpx2 import AsyncClient
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from app.examples.notes.grpc import servicer
from app.examples.notes.grpc.stubs.keel.notes.v1 import notes_pb2
from keel.services import services_of
from keel.tests.grpc.support import no_listeners, refused
from tests.examples.notes.api import NOTES, create
from tests.examples.notes.grpc.support import Notes

INVALID = grpc.StatusCode.INVALID_ARGUMENT


async def test_note_is_the_same_over_both_protocols(notes: Notes, client: AsyncClient) -> None:
    """Including its etag."""
    made = await notes.create("Ahoy", body="There.", tags=["b", "a"])
    answer = await client.get(f"{NOTES}/{made.id}")
    read = await notes.get(made.id)

    assert answer.headers["ETag"] == made.etag == read.etag
    shown = answer.json()
    assert (shown["title"], shown["body"], shown["tags"]) == ("Ahoy", "There.", ["a", "b"])
    assert datetime.fromisoformat(shown["created_at"]) == read.created_at.ToDatetime(UTC)
    assert read == made


async def test_list_is_the_same_over_both_protocols(notes: Notes, client: AsyncClient) -> None:
    """Filters and orders are the same, and the page token is the HTTP cursor."""
    for title, tags in (("Buy rope", ["shop"]), ("Mend the sail", []), ("Buy tar", ["shop"])):
        await create(client, title=title, tags=tags)

    page = await notes.list(page_size=1, query="buy", tags=["shop"], order="NOTE_ORDER_TITLE")
    following = await notes.list(
        page_size=1, page_token=page.next_page_token, query="buy", tags=["shop"], order="NOTE_ORDER_TITLE"
    )
    same = await client.get(NOTES, params={"limit": 1, "q": "buy", "tag": "shop", "sort": "title"})

    assert [note.title for note in (*page.notes, *following.notes)] == ["Buy rope", "Buy tar"]
    assert following.next_page_token == ""
    assert same.json()["next"] == page.next_page_token
    assert [note.title for note in (await notes.list()).notes] == ["Buy tar", "Mend the sail", "Buy rope"]


async def test_list_by_time(notes: Notes) -> None:
    """Created after, or before, a time."""
    made = await notes.create()
    moment = made.created_at
    later = Timestamp()
    later.FromDatetime(made.created_at.ToDatetime() + timedelta(seconds=1))

    assert len((await notes.list(created_from=moment)).notes) == 1
    assert len((await notes.list(created_before=moment)).notes) == 0
    assert len((await notes.list(created_from=later)).notes) == 0


async def test_page_sizes(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes are capped at the maximum; a page that would be too large has fewer notes, and none is lost."""
    for number in range(3):
        await notes.create(f"{number}", body="x" * 500)
    assert len((await notes.list(page_size=2**31 - 1)).notes) == 3

    monkeypatch.setattr(servicer, "PAGE_BYTES", 1500)
    found, token = list[str](), ""
    for _ in range(2):
        page = await notes.list(page_size=3, page_token=token)
        token = page.next_page_token
        found += [note.title for note in page.notes]
    assert (found, token) == (["2", "1", "0"], "")

    monkeypatch.setattr(servicer, "PAGE_BYTES", 1)
    assert len((await notes.list(page_size=3)).notes) == 1


@pytest.mark.parametrize(
    ("mask", "fields", "expected"),
    [
        (("title",), {"title": "new", "body": "ignored"}, ("new", "old", ["old"])),
        (("body", "tags"), {"title": "ignored"}, ("old", "", [])),
        (("*",), {"title": "new"}, ("new", "", [])),
        ((), {"tags": ["new"]}, ("old", "old", ["new"])),
        ((), {}, ("old", "old", ["old"])),
    ],
)
async def test_update_mask(notes: Notes, mask: tuple[str, ...], fields: dict[str, Any], expected: object) -> None:
    """It names the fields to update; without one, those that are not empty are updated."""
    made = await notes.create("old", body="old", tags=["old"])
    changed = await notes.update(made.id, *mask, **fields)

    assert (changed.title, changed.body, list(changed.tags)) == expected
    assert await notes.get(made.id) == changed


async def test_stale_etag_is_refused(notes: Notes) -> None:
    """For updates and deletions; with the current etag, both succeed."""
    made = await notes.create()
    changed = await notes.update(made.id, title="new", etag=made.etag)
    again = await refused(notes.update(made.id, title="newer", etag=made.etag))
    gone = await refused(notes.delete(made.id, made.etag))
    assert again.code is gone.code is grpc.StatusCode.ABORTED
    assert again.reason == "NOTE_CHANGED"
    assert await notes.get(made.id) == changed

    await notes.delete(made.id, changed.etag)
    assert (await refused(notes.get(made.id))).reason == "NOTE_NOT_FOUND"


@pytest.mark.parametrize("method", ["get", "update", "delete"])
async def test_unknown_note(notes: Notes, method: str) -> None:
    """Each method returns NOT_FOUND."""
    assert (await refused(getattr(notes, method)(str(uuid4())))).code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (notes_pb2.CreateNoteRequest(), ["note.title"]),
        (notes_pb2.CreateNoteRequest(note={"title": "a\0", "tags": ["b", ""]}), ["note.tags[1]", "note.title"]),
        (notes_pb2.CreateNoteRequest(note={"title": "a", "body": "b" * 100_001}), ["note.body"]),
        (notes_pb2.GetNoteRequest(id="none"), ["id"]),
        (notes_pb2.DeleteNoteRequest(id=str(uuid4()), etag="\0"), ["etag"]),
        (notes_pb2.UpdateNoteRequest(note={"id": "none"}), ["note.id"]),
        (notes_pb2.UpdateNoteRequest(note={"id": str(uuid4())}, update_mask={"paths": ["title"]}), ["note.title"]),
        (notes_pb2.UpdateNoteRequest(note={"id": str(uuid4())}, update_mask={"paths": ["id"]}), ["update_mask"]),
        (notes_pb2.ListNotesRequest(page_size=-1, tags=["a"] * 6), ["page_size", "tags"]),
        (notes_pb2.ListNotesRequest(query="a" * 201), ["query"]),
        (notes_pb2.ListNotesRequest.FromString(b"\x18\x63"), ["order"]),
        (notes_pb2.ListNotesRequest(created_from=Timestamp(seconds=2**60)), ["created_from"]),
        (notes_pb2.WatchNotesRequest(resume_token="\0"), ["resume_token"]),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else type(value).__name__,
)
async def test_invalid_requests(notes: Notes, request_: Any, fields: list[str]) -> None:
    """Each violation has the path of its field; input is not repeated."""
    method = type(request_).__name__.removesuffix("Request")
    call = notes.call(method, request_)
    refusal = await refused(call.read() if method == "WatchNotes" else call)

    assert (refusal.code, refusal.reason, refusal.fields) == (INVALID, "INVALID_REQUEST", fields)


async def test_page_token_of_another_order(notes: Notes) -> None:
    """A page token is valid only for its own list."""
    for _ in range(2):
        await notes.create()
    token = (await notes.list(page_size=1)).next_page_token

    assert (await refused(notes.list(page_token=token, order="NOTE_ORDER_TITLE"))).reason == "INVALID_CURSOR"


async def test_commit_before_response(app: FastAPI, notes: Notes, client: AsyncClient) -> None:
    """If the commit fails, the call fails, and no change is published."""

    def refuse(connection: Connection) -> None:
        connection.invalidate()
        raise OperationalError("COMMIT", {}, Exception("connection lost"))

    watching = await notes.watch()
    event.listen(services_of(app).database.writer.sync_engine, "commit", refuse)
    try:
        assert (await refused(notes.create("lost"))).code is grpc.StatusCode.UNAVAILABLE
    finally:
        event.remove(services_of(app).database.writer.sync_engine, "commit", refuse)
    await notes.create("kept")

    assert (await watching.read()).note.title == "kept"
    watching.cancel()
    await no_listeners(app)
    assert [note.title for note in (await notes.list()).notes] == ["kept"]
