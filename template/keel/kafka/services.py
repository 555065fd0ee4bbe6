"""The services of this package: `services_of(app).kafka`."""

from collections.abc import Sequence
from dataclasses import dataclass

from keel.kafka.cloudevents.event import Event
from keel.kafka.consuming.consumers import Consumer
from keel.kafka.publishing.outbox import Outbox
from keel.kafka.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class KafkaServices:
    """Settings, the outbox, and what packages publish and consume."""

    settings: KafkaSettings
    outbox: Outbox
    event_types: dict[str, Sequence[type[Event]]]
    """By the name of their package."""
    consumers: dict[str, Consumer]
    """By their names."""

    @property
    def aggregates(self) -> Sequence[str]:
        """What there are topics for."""
        published = {kind.aggregate_type for kinds in self.event_types.values() for kind in kinds}
        return sorted(published.union(*(consumer.aggregates for consumer in self.consumers.values())))
