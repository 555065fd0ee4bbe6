"""Broadcast within the process."""

import pytest

from app.core.broadcast import HistoryLost, InProcessBroadcast
from tests.core.broadcast_contract import BroadcastContract, MakeBroadcast, published


class TestInProcessBroadcast(BroadcastContract):
    """The contract, kept by the default."""

    @pytest.fixture
    def make_broadcast(self) -> MakeBroadcast:
        """Return what makes a broadcast."""
        return InProcessBroadcast


async def test_idle_topics_are_forgotten() -> None:
    """Memory is for topics in use; those that somebody listens to are."""
    broadcast = InProcessBroadcast(idle_seconds=0)
    (message,) = await published(broadcast, "1")
    async with broadcast.subscribe("listened to") as listener:
        await broadcast.publish("b", "event", "2")
        await broadcast.publish("listened to", "event", "3")

        assert (await anext(listener)).data == "3"
    with pytest.raises(HistoryLost):
        async with broadcast.subscribe("a", after=message.id):
            pass
