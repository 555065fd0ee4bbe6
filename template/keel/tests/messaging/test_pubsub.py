"""The in-process pub/sub."""

import pytest

from keel.messaging.pubsub import HistoryLost, InProcessPubSub
from keel.tests.messaging.pubsub_contract import MakePubSub, PubSubContract, published


class TestInProcessPubSub(PubSubContract):
    """The in-process pub/sub fulfils the contract."""

    @pytest.fixture
    def make_pubsub(self) -> MakePubSub:
        """Return the factory."""
        return InProcessPubSub


async def test_idle_topics_are_forgotten() -> None:
    """Topics without subscribers are dropped after a while."""
    pubsub = InProcessPubSub(idle_seconds=0)
    (message,) = await published(pubsub, "1")
    async with pubsub.subscribe("listened to") as listener:
        await pubsub.publish("b", "event", "2")
        await pubsub.publish("listened to", "event", "3")

        assert (await anext(listener)).data == "3"
    with pytest.raises(HistoryLost):
        async with pubsub.subscribe("a", after=message.id):
            pass
