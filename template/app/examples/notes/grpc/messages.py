"""Conversion between protobuf messages and the schemas that HTTP uses too."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel, Field

from app.examples.notes.grpc.stubs.keel.notes.v1 import notes_pb2
from app.examples.notes.schemas import Note, NoteCreate, NoteOrder, NoteQuery, NoteUpdate
from keel.grpc.errors import InvalidRequest, Violation, validated
from keel.messaging.pubsub import Message
from keel.text import SafeStr
from keel.web.conditional import Precondition, etag

CHANGEABLE = ("title", "body", "tags")

ORDERS: Mapping[int, NoteOrder] = MappingProxyType(
    {
        notes_pb2.NOTE_ORDER_UNSPECIFIED: NoteOrder.CREATED_LAST,
        notes_pb2.NOTE_ORDER_CREATED_AT: NoteOrder.CREATED,
        notes_pb2.NOTE_ORDER_CREATED_AT_DESC: NoteOrder.CREATED_LAST,
        notes_pb2.NOTE_ORDER_UPDATED_AT: NoteOrder.UPDATED,
        notes_pb2.NOTE_ORDER_UPDATED_AT_DESC: NoteOrder.UPDATED_LAST,
        notes_pb2.NOTE_ORDER_TITLE: NoteOrder.TITLE,
        notes_pb2.NOTE_ORDER_TITLE_DESC: NoteOrder.TITLE_LAST,
    }
)

LIMIT = 100
"""The most notes on a page."""


class _Named(BaseModel):
    id: UUID
    etag: Annotated[SafeStr, Field(max_length=200)] = ""


class _Resumed(BaseModel):
    resume_token: Annotated[SafeStr, Field(max_length=200)] = ""


def note_message(note: Note) -> notes_pb2.Note:
    """Return a note as a message."""
    return notes_pb2.Note(
        id=str(note.id),
        title=note.title,
        body=note.body,
        tags=note.tags,
        etag=etag(note.version),
        created_at=note.created_at,
        updated_at=note.updated_at,
    )


def named(id_: str, etag_: str = "", *, inside: str = "") -> tuple[UUID, Precondition]:
    """Return the id of a note, and the precondition of a change.

    Args:
        id_: the id in the request.
        etag_: the entity tag in the request; empty if there is none.
        inside: the path of both in the request, with a trailing dot.

    Raises:
        InvalidRequest: the id is not a UUID.
    """
    found = validated(_Named, {"id": id_, "etag": etag_}, {"id": f"{inside}id", "etag": f"{inside}etag"})
    return found.id, Precondition(found.etag or None)


def new_note(note: notes_pb2.Note) -> NoteCreate:
    """Return the note to create.

    Raises:
        InvalidRequest: a field is not valid.
    """
    return validated(NoteCreate, _values(note, CHANGEABLE), _inside_note(CHANGEABLE))


def changes(request: notes_pb2.UpdateNoteRequest) -> NoteUpdate:
    """Return the fields to change (AIP-134).

    Raises:
        InvalidRequest: the mask names an unknown field, or a field is not valid.
    """
    note, asked = request.note, list(request.update_mask.paths)
    if unknown := [path for path in asked if path not in {*CHANGEABLE, "*"}]:
        text = f"Only {', '.join(CHANGEABLE)} and * can be changed."
        raise InvalidRequest(Violation("update_mask", text, "UNKNOWN_PATH") for _ in unknown)
    fields = CHANGEABLE if "*" in asked else (asked or [name for name in CHANGEABLE if getattr(note, name)])
    return validated(NoteUpdate, _values(note, fields), _inside_note(fields))


def query(request: notes_pb2.ListNotesRequest) -> NoteQuery:
    """Return the query for a list.

    Raises:
        InvalidRequest: there is no such order, or a field is not valid.
    """
    if request.order not in ORDERS:
        raise InvalidRequest([Violation("order", "There is no such order.", "UNKNOWN_ORDER")])
    values: dict[str, Any] = {"sort": ORDERS[request.order], "tag": list(request.tags)}
    if request.page_size:
        values["limit"] = min(request.page_size, LIMIT)
    if request.page_token:
        values["cursor"] = request.page_token
    if request.query:
        values["q"] = request.query
    for name in ("created_from", "created_before"):
        if request.HasField(name):
            values[name] = _moment(name, getattr(request, name))
    names = {"sort": "order", "tag": "tags", "limit": "page_size", "cursor": "page_token", "q": "query"}
    return validated(NoteQuery, values, names)


def resumed_after(request: notes_pb2.WatchNotesRequest) -> str | None:
    """Return the id of the last change seen; None to watch from now on.

    Raises:
        InvalidRequest: the token is not valid.
    """
    return validated(_Resumed, {"resume_token": request.resume_token}, {}).resume_token or None


def change(message: Message | None) -> notes_pb2.WatchNotesResponse:
    """Return a change as a message, or for None the message that changes were missed."""
    if message is None:
        return notes_pb2.WatchNotesResponse(event=notes_pb2.NOTE_EVENT_RESET)
    return notes_pb2.WatchNotesResponse(
        event=f"NOTE_EVENT_{message.event.upper()}",
        note=note_message(Note.model_validate_json(message.data)),
        resume_token=message.id,
    )


def _values(note: notes_pb2.Note, fields: "tuple[str, ...] | list[str]") -> dict[str, Any]:
    return {name: list(note.tags) if name == "tags" else getattr(note, name) for name in fields}


def _inside_note(fields: "tuple[str, ...] | list[str]") -> dict[str, str]:
    return {name: f"note.{name}" for name in fields}


def _moment(name: str, timestamp: Timestamp) -> datetime:
    try:
        return timestamp.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest([Violation(name, "The time is out of range.", "OUT_OF_RANGE")]) from error
