"""Redis as a broker, mended: a worker goes on after Redis was restarted while tasks ran.

Kombu (5.7) counts a message that could not be acknowledged as one that is still being worked at. After as many as a worker
has processes it fetches no more, notices for that reason not even that its connection is gone, and looks alive for ever.
"""

from typing import Any

from kombu.transport import redis, virtual


class QoS(redis.QoS):
    """Counts a message as done with, whether Redis hears of it or not."""

    def ack(self, delivery_tag: Any) -> None:
        """Acknowledge a message."""
        try:
            super().ack(delivery_tag)
        except Exception:
            virtual.QoS.ack(self, delivery_tag)
            raise

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's own shape
        """Reject a message."""
        try:
            super().reject(delivery_tag, requeue=requeue)
        except Exception:
            virtual.QoS.ack(self, delivery_tag)
            raise


def mend() -> None:
    """Let every connection to Redis, or to one that Sentinel names, count so."""
    redis.Channel.QoS = QoS  # ty: ignore[invalid-assignment]
