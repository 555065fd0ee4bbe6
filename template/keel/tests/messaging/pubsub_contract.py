"""The contract of pub/sub; a test class inherits it and provides a fixture."""

from collections.abc import Callable

import pytest

from keel.messaging.pubsub import HistoryLost, Message, PubSub, SubscriberTooSlow

MakePubSub = Callable[..., PubSub]
"""Makes one with the given `history` and `backlog`."""


async def published(pubsub: PubSub, *data: str) -> list[Message]:
    """Publish messages, and return them as a subscriber received them."""
    async with pubsub.subscribe("a") as listener:
        for item in data:
            await pubsub.publish("a", "event", item)
        return [await anext(listener) for _ in data]


class PubSubContract:
    """The tests, of what the fixture `make_pubsub` returns."""

    async def test_every_subscriber_gets_each_message(self, make_pubsub: MakePubSub) -> None:
        """Each subscriber of a topic gets each message, in order, and none of other topics."""
        pubsub = make_pubsub()
        async with pubsub.subscribe("a") as first, pubsub.subscribe("a") as second:
            await pubsub.publish("b", "event", "elsewhere")
            await pubsub.publish("a", "event", "1")
            await pubsub.publish("a", "event", "2\n\nlines, and äöü")

            for listener in (first, second):
                assert [(await anext(listener)).data for _ in range(2)] == ["1", "2\n\nlines, and äöü"]

    async def test_resuming_replays_missed_messages(self, make_pubsub: MakePubSub) -> None:
        """Nothing is missed or repeated."""
        pubsub = make_pubsub()
        messages = await published(pubsub, "1", "2", "3")

        async with pubsub.subscribe("a", after=messages[0].id) as listener:
            await pubsub.publish("a", "event", "4")

            assert [await anext(listener) for _ in range(2)] == messages[1:]
            assert (await anext(listener)).data == "4"

    async def test_resuming_after_the_last_message(self, make_pubsub: MakePubSub) -> None:
        """A subscriber that missed nothing waits for the next message."""
        pubsub = make_pubsub()
        messages = await published(pubsub, "1")

        async with pubsub.subscribe("a", after=messages[-1].id) as listener:
            await pubsub.publish("a", "event", "2")

            assert (await anext(listener)).data == "2"

    async def test_unknown_position(self, make_pubsub: MakePubSub) -> None:
        """It raises HistoryLost, so that no subscriber waits forever."""
        pubsub = make_pubsub()
        (message,) = await published(pubsub, "1")
        begin = message.id.partition("-")[0]
        places = ["", "nonsense", "0000-1", f"{begin}-", f"{begin}-99", f"{begin}-x", f"{begin}-" + "9" * 5000]

        for after in [*places, f"{begin}-99999999999999999999", f"{message.id}\n", f"{begin}-١"]:
            with pytest.raises(HistoryLost):
                async with pubsub.subscribe("a", after=after):
                    pytest.fail(f"nothing is known of {after}")
        with pytest.raises(HistoryLost):
            async with pubsub.subscribe("of another topic", after=message.id):
                pytest.fail("a place in another topic")
        assert pubsub.listeners == 0

    async def test_history_is_bounded(self, make_pubsub: MakePubSub) -> None:
        """Messages beyond the history are lost; those within it are not."""
        pubsub = make_pubsub(history=2)
        messages = await published(pubsub, "1", "2", "3", "4")

        with pytest.raises(HistoryLost):
            async with pubsub.subscribe("a", after=messages[0].id):
                pass
        async with pubsub.subscribe("a", after=messages[1].id) as listener:
            assert [(await anext(listener)).data for _ in range(2)] == ["3", "4"]

    async def test_slow_subscriber(self, make_pubsub: MakePubSub) -> None:
        """A subscriber that does not keep up gets an error, and does not slow down others."""
        pubsub = make_pubsub(backlog=2)
        async with pubsub.subscribe("a") as slow:
            messages = [await published(pubsub, str(i)) for i in range(3)]

            with pytest.raises(SubscriberTooSlow):
                await anext(slow)
            with pytest.raises(SubscriberTooSlow):
                await anext(slow)
        assert [message.data for (message,) in messages] == ["0", "1", "2"]

    async def test_missed_messages_may_exceed_the_backlog(self, make_pubsub: MakePubSub) -> None:
        """The backlog limits slow subscribers, not those that were disconnected."""
        pubsub = make_pubsub(backlog=2)
        messages = [(await published(pubsub, str(i)))[0] for i in range(6)]

        async with pubsub.subscribe("a", after=messages[0].id) as listener:
            assert [await anext(listener) for _ in range(5)] == messages[1:]

    async def test_listeners_are_counted(self, make_pubsub: MakePubSub) -> None:
        """Listeners are counted while they are subscribed."""
        pubsub = make_pubsub()
        async with pubsub.subscribe("a"), pubsub.subscribe("a"), pubsub.subscribe("b"):
            assert pubsub.listeners == 3
        assert pubsub.listeners == 0
