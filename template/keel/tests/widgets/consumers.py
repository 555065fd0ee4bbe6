"""A consumer that records what it has handled: the numbers per key, in order of arrival."""

from collections.abc import Sequence

from sqlalchemy import delete, select

from keel.db.database import Session
from keel.kafka.cloudevents.envelope import Received
from keel.kafka.consuming.consumers import Consumer
from keel.services import Services
from keel.tests.widgets.models import Widget
from keel.tests.widgets.outbox import WidgetMade

OWNER = "consumer"


async def note_down(session: Session, event: Received) -> None:
    """Append a widget's number to those of its key, so that lost, repeated and swapped events show."""
    made = event.data_as(WidgetMade)
    mine = select(Widget).where(Widget.owner_id == OWNER, Widget.title == (event.key or ""))
    widget = (await session.scalars(mine.with_for_update())).one_or_none()
    if widget is None:
        widget = Widget(owner_id=OWNER, title=event.key or "", body="")
        session.add(widget)
    widget.body += f"{made.number} "
    await session.flush()


async def reset(session: Session) -> None:
    """Delete the records."""
    await session.execute(delete(Widget).where(Widget.owner_id == OWNER))


def consumers(_: Services) -> Sequence[Consumer]:
    """Return the consumer."""
    return [Consumer("widgets", aggregates=["widgets"], handle=note_down, reset=reset)]
