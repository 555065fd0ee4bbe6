"""Which changes of an event break consumers; every package's events are as they were published."""

from datetime import datetime
from pathlib import Path
from typing import Literal

import pytest
from fastapi import FastAPI
from pydantic import Field, create_model

from keel.kafka.cloudevents.compatibility import breaking_changes, file_of, read, schemas, write
from keel.kafka.cloudevents.event import Event
from keel.services import services_of


def event(**fields: object) -> type[Event]:
    """Return a class of events, given its fields as pydantic's `create_model` takes them."""

    class Base(Event):
        aggregate_type = "things"
        event_type = "things.changed"

    return create_model("Changed", __base__=Base, **fields)  # ty: ignore[no-matching-overload] - as its own signature has it


class Place(Event):
    """A part of another event."""

    aggregate_type = "things"
    event_type = "things.place"

    city: str


class Street(Event):
    """The same with a field more."""

    aggregate_type = "things"
    event_type = "things.place"

    city: str
    street: str


BEFORE = {
    "id": (int, ...),
    "name": (str, Field(max_length=10)),
    "kind": (Literal["a", "b"], ...),
    "places": (list[Place], ...),
}


def changes(**fields: object) -> list[str]:
    """Return what breaks if some fields change; None: the field goes."""
    after = {name: field for name, field in {**BEFORE, **fields}.items() if field is not None}
    return breaking_changes(schemas([event(**BEFORE)]), schemas([event(**after)]))


def test_nothing_breaks_where_nothing_changes() -> None:
    """And a field with a default may be added."""
    assert changes() == []
    assert changes(note=(str, "")) == []
    assert changes(seen=(datetime | None, None)) == []


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"id": None}, "data.id is gone"),
        ({"extra": (int, ...)}, "data.extra is new and has no default"),
        ({"id": (str, ...)}, "data.id was integer and is string"),
        ({"id": (int | None, None)}, "data.id was integer and is integer or null"),
        ({"name": (str, Field(max_length=20))}, "data.name had maxLength 10 and has 20"),
        ({"kind": (Literal["a", "b", "c"], ...)}, "data.kind had enum"),
        ({"places": (list[Street], ...)}, "data.places.items.street is new and has no default"),
    ],
)
def test_what_breaks(fields: dict[str, object], problem: str) -> None:
    """Consumers of either release read events of both."""
    (change,) = changes(**fields)
    assert change.startswith(f"urn:event:things.changed:1: {problem}")


def test_event_that_is_gone() -> None:
    """Events of it may still be in topics."""
    (change,) = breaking_changes(schemas([event(**BEFORE)]), {})
    assert "is gone" in change


def test_schemas_are_written_and_read(tmp_path: Path) -> None:
    """As they are."""
    published, path = schemas([event(**BEFORE)]), tmp_path / "outbox.json"
    assert read(path) == {}
    write(path, published)
    assert read(path) == published


def test_events_are_as_they_were_published(app: FastAPI) -> None:
    """Of every package. Where this fails: `python -m app kafka schemas` tells what breaks, and --write stores what does not."""
    for package, kinds in services_of(app).kafka.event_types.items():
        assert read(file_of(package)) == schemas(kinds), package
