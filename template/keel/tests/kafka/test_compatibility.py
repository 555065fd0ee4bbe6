"""Breaking changes of events are detected; each package's events match its published schemas."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from fastapi import FastAPI
from pydantic import Field, create_model

from keel.kafka.cloudevents.compatibility import breaking_changes, file_of, read, schemas, write
from keel.kafka.cloudevents.event import Event
from keel.services import services_of


def event(**fields: object) -> type[Event]:
    """Return an event class with fields in the form of pydantic's `create_model`."""

    class Base(Event):
        aggregate_type = "things"
        event_type = "things.changed"

    return create_model("Changed", __base__=Base, **fields)  # ty: ignore[no-matching-overload] - as documented


class Place(Event):
    """A nested part of another event."""

    aggregate_type = "things"
    event_type = "things.place"

    city: str


class Street(Event):
    """The same with an additional field."""

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
    """Return the breaking changes if some fields change; None removes a field."""
    after = {name: field for name, field in {**BEFORE, **fields}.items() if field is not None}
    return breaking_changes(schemas([event(**BEFORE)]), schemas([event(**after)]))


def test_compatible_changes() -> None:
    """No change, or a new field with a default."""
    assert changes() == []
    assert changes(note=(str, "")) == []
    assert changes(seen=(datetime | None, None)) == []


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"id": None}, "data.id was removed"),
        ({"extra": (int, ...)}, "data.extra is new and has no default"),
        ({"id": (str, ...)}, "data.id changed from integer to string"),
        ({"id": (int | None, None)}, "data.id changed from integer to integer or null"),
        ({"name": (str, Field(max_length=20))}, "data.name: maxLength changed from 10 to 20"),
        ({"kind": (Literal["a", "b", "c"], ...)}, "data.kind: enum changed from"),
        ({"places": (list[Street], ...)}, "data.places.items.street is new and has no default"),
    ],
)
def test_breaking_changes(fields: dict[str, object], problem: str) -> None:
    """Consumers of either release must be able to read events of both."""
    (change,) = changes(**fields)
    assert change.startswith(f"urn:event:things.changed:1: {problem}")


@pytest.mark.parametrize(
    ("wider", "narrower", "constraint"),
    [
        (int, Annotated[int, Field(ge=1)], "minimum"),
        (int, Annotated[int, Field(gt=1)], "exclusiveMinimum"),
        (int, Annotated[int, Field(le=1)], "maximum"),
        (int, Annotated[int, Field(lt=1)], "exclusiveMaximum"),
        (str, Annotated[str, Field(min_length=1)], "minLength"),
        (str, Annotated[str, Field(max_length=1)], "maxLength"),
        (str, Annotated[str, Field(pattern="^a")], "pattern"),
        (str, datetime, "format"),
        (str, Literal["a"], "const"),
        (list[int], Annotated[list[int], Field(min_length=1)], "minItems"),
        (list[int], Annotated[list[int], Field(max_length=1)], "maxItems"),
        (dict[str, int], Annotated[dict[str, int], Field(min_length=1)], "minProperties"),
        (dict[str, int], Annotated[dict[str, int], Field(max_length=1)], "maxProperties"),
        (dict[str, Any], dict[str, int], "additionalProperties"),
    ],
)
def test_constraints(wider: object, narrower: object, constraint: str) -> None:
    """Neither a new nor a removed constraint is compatible, within lists and choices either."""
    for shape in (lambda field: field, lambda field: dict[str, field], lambda field: field | bool):
        one, other = (schemas([event(field=(shape(field), ...))]) for field in (wider, narrower))
        for change in (breaking_changes(one, other), breaking_changes(other, one)):
            assert [f": {constraint} changed from " in text for text in change] == [True], change


def test_removed_event() -> None:
    """Removing an event class is a breaking change: topics may still contain its events."""
    (change,) = breaking_changes(schemas([event(**BEFORE)]), {})
    assert "was removed" in change


def test_schemas_are_written_and_read(tmp_path: Path) -> None:
    """Schemas survive a round trip through the file; a missing file has none."""
    published, path = schemas([event(**BEFORE)]), tmp_path / "outbox.json"
    assert read(path) == {}
    write(path, published)
    assert read(path) == published


def test_events_match_published_schemas(app: FastAPI) -> None:
    """In every package. If not, `python -m app kafka schemas` lists breaking changes, and --write stores others."""
    for package, kinds in services_of(app).kafka.event_types.items():
        assert read(file_of(package)) == schemas(kinds), package
