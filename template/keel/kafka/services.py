"""This package's services: `services_of(app).kafka`."""

from collections.abc import Sequence
from dataclasses import dataclass

from keel.kafka.cloudevents.event import Event
from keel.kafka.consuming.consumers import Consumer
from keel.kafka.publishing.outbox import Outbox
from keel.kafka.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class KafkaServices:
    """Settings, the outbox, and the events and consumers of packages."""

    settings: KafkaSettings
    outbox: Outbox
    event_types: dict[str, Sequence[type[Event]]]
    """Events by package name."""
    consumers: dict[str, Consumer]
    """Consumers by name."""

    @property
    def aggregates(self) -> Sequence[str]:
        """Aggregates that are published or consumed, sorted; each has a topic."""
        published = {kind.aggregate_type for kinds in self.event_types.values() for kind in kinds}
        return sorted(published.union(*(consumer.aggregates for consumer in self.consumers.values())))
