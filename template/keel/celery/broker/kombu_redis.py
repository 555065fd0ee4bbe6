"""A patch of Kombu, so that a worker continues after Redis was restarted while tasks ran.

Kombu (5.7) counts a message whose acknowledgement failed as unacknowledged. Once there are as many as the worker's
processes, it fetches no more messages, so it never notices the lost connection and hangs while it looks healthy.
"""

from typing import Any

from kombu.transport import redis, virtual


class QoS(redis.QoS):
    """Counts a message as acknowledged even if Redis could not be reached."""

    def ack(self, delivery_tag: Any) -> None:
        """Acknowledge a message."""
        try:
            super().ack(delivery_tag)
        except Exception:
            virtual.QoS.ack(self, delivery_tag)
            raise

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - Kombu's own signature
        """Reject a message."""
        try:
            super().reject(delivery_tag, requeue=requeue)
        except Exception:
            virtual.QoS.ack(self, delivery_tag)
            raise


def patch_kombu() -> None:
    """Use `QoS` for all connections to Redis, including those through Sentinel."""
    redis.Channel.QoS = QoS  # ty: ignore[invalid-assignment] - a subclass, set where Kombu looks for it
