"""CloudEvents 1.0 in structured mode (JSON format 1.0.2, Kafka protocol binding 1.0.2)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import orjson
from pydantic import BaseModel, Field, ValidationError

from keel import about
from keel.clock import UtcDatetime
from keel.kafka.cloudevents.event import Event

E = TypeVar("E", bound=Event)

SOURCE = f"/{about.SLUG}"
CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"

Text = Annotated[str, Field(min_length=1, max_length=1000)]


class InvalidEvent(ValueError):
    """A message is not a CloudEvent in structured mode, or its data is invalid."""


class Envelope(BaseModel):
    """An event's attributes and data."""

    specversion: Literal["1.0"]
    id: Text
    source: Text
    type: Text
    subject: str = ""
    time: UtcDatetime | None = None
    dataschema: str = ""
    data: Any = None

    @cached_property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of source and id, which together identify the event."""
        return hashlib.sha256(orjson.dumps([self.source, self.id])).hexdigest()


@dataclass(frozen=True, slots=True)
class Received:
    """An event as passed to a consumer's handler."""

    envelope: Envelope
    topic: str
    partition: int
    offset: int
    key: str | None
    headers: Mapping[str, str]

    def is_a(self, kind: type[Event]) -> bool:
        """Whether this event has the type and version of a class."""
        return self.envelope.type == kind.event_type and self.envelope.dataschema == kind.schema_name()

    def data_as(self, kind: type[E]) -> E:
        """Return the data as an instance of a class.

        Raises:
            InvalidEvent: the data is not valid for it.
        """
        try:
            return kind.model_validate(self.envelope.data)
        except ValidationError as error:
            raise InvalidEvent(f"{self.envelope.type}: {error.error_count()} errors in its data") from None


def encode(event: Event, id_: UUID, *, subject: str, key: str, time: datetime, headers: Mapping[str, str]) -> bytes:
    """Return an event as JSON. `partitionkey` and the trace are attributes of documented CloudEvents extensions."""
    trace = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": str(id_),
            "source": SOURCE,
            "type": event.event_type,
            "subject": subject,
            "time": time,
            "datacontenttype": "application/json",
            "dataschema": event.schema_name(),
            "partitionkey": key,
            **trace,
            "data": event.model_dump(mode="json"),
        },
        option=orjson.OPT_UTC_Z,
    )


def decode(value: bytes | None) -> Envelope:
    """Parse a message.

    Raises:
        InvalidEvent: it is not a CloudEvent in structured mode.
    """
    try:
        return Envelope.model_validate_json(value or b"")
    except ValidationError as error:
        raise InvalidEvent(f"not a CloudEvent: {error.error_count()} errors") from None
