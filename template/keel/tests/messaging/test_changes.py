"""Changes reach listeners at once, in their transaction, and live streams after the commit."""

import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from keel.db.database import Session
from keel.messaging.changes import Change, Changes
from keel.services import services_of


class Row(BaseModel):
    """A row as in the API."""

    id: int


class Recorder:
    """A pub/sub that only records."""

    def __init__(self) -> None:
        self.published: list[tuple[str, str, str]] = []

    async def publish(self, topic: str, event: str, data: str) -> None:
        """Record."""
        self.published.append((topic, event, data))


async def test_listeners_then_streams(app: FastAPI) -> None:
    """Listeners of the kind come first; each row is one message, none before the commit."""
    recorder, heard = Recorder(), list[Change]()
    changes = Changes(lambda: recorder)  # ty: ignore[invalid-argument-type] - as much of it as is needed

    async def listen(_: Session, change: Change) -> None:
        heard.append(change)

    changes.listen("rows", listen)
    changes.listen("others", listen)
    change = Change("rows", "ada", "created", [Row(id=1), Row(id=2)])
    async with services_of(app).database.transaction() as session:
        await changes.publish(session, change)
        assert heard == [change]
        assert recorder.published == []
    assert recorder.published == [("rows:ada", "created", '{"id":1}'), ("rows:ada", "created", '{"id":2}')]


async def test_failing_listener_rolls_back_the_change(app: FastAPI) -> None:
    """Nothing is published."""
    recorder = Recorder()
    changes = Changes(lambda: recorder)  # ty: ignore[invalid-argument-type] - as above

    async def refuse(_: Session, __: Change) -> None:
        raise ValueError

    changes.listen("rows", refuse)
    with pytest.raises(ValueError):  # noqa: PT011 - it is the listener's own
        async with services_of(app).database.transaction() as session:
            await changes.publish(session, Change("rows", "ada", "created", [Row(id=1)]))
    assert recorder.published == []
