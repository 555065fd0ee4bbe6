"""The event of widgets, recorded by tests themselves."""

from collections.abc import Sequence
from uuid import UUID

from keel.kafka.cloudevents.event import Event
from keel.services import Services


class WidgetMade(Event):
    """A widget was created."""

    aggregate_type = "widgets"
    event_type = "widgets.made"

    id: UUID
    number: int
    """Counts those of its key."""


def event_types(_: Services) -> Sequence[type[Event]]:
    """Return the class of the event."""
    return [WidgetMade]
