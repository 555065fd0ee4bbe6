"""Broadcast within the process."""

import pytest

from app.core.broadcast import HistoryLost, InProcessBroadcast, Message, SubscriberTooSlow


async def test_everybody_who_listens_hears() -> None:
    """Each subscriber of a topic gets each message, in order; other topics stay apart."""
    broadcast = InProcessBroadcast()
    async with broadcast.subscribe("a") as first, broadcast.subscribe("a") as second:
        await broadcast.publish("b", "event", "elsewhere")
        await broadcast.publish("a", "event", "1")
        await broadcast.publish("a", "event", "2")

        for listener in (first, second):
            assert [(await anext(listener)).data for _ in range(2)] == ["1", "2"]


async def published(broadcast: InProcessBroadcast, *data: str) -> list[Message]:
    """Publish messages and return them as a subscriber saw them."""
    async with broadcast.subscribe("a") as listener:
        for item in data:
            await broadcast.publish("a", "event", item)
        return [await anext(listener) for _ in data]


async def test_resuming_replays_what_was_missed() -> None:
    """Nothing is missed and nothing comes twice."""
    broadcast = InProcessBroadcast()
    messages = await published(broadcast, "1", "2", "3")

    async with broadcast.subscribe("a", after=messages[0].id) as listener:
        await broadcast.publish("a", "event", "4")

        assert [(await anext(listener)).data for _ in range(3)] == ["2", "3", "4"]


async def test_resuming_after_the_last_message() -> None:
    """Who missed nothing waits for what comes."""
    broadcast = InProcessBroadcast()
    messages = await published(broadcast, "1")

    async with broadcast.subscribe("a", after=messages[-1].id) as listener:
        await broadcast.publish("a", "event", "2")

        assert (await anext(listener)).data == "2"


async def test_unknown_place() -> None:
    """A place that this process does not know is said to be lost, so that nobody waits for what never comes."""
    broadcast = InProcessBroadcast()
    (message,) = await published(broadcast, "1")
    epoch = message.id.partition("-")[0]

    for after in ["", "nonsense", "0000-1", f"{epoch}-", f"{epoch}-99", f"{epoch}-x", f"{epoch}-" + "9" * 5000]:
        with pytest.raises(HistoryLost):
            async with broadcast.subscribe("a", after=after):
                pytest.fail(f"nothing is known of {after}")


async def test_history_is_bounded() -> None:
    """What is too long ago is lost; what is within the history is not."""
    broadcast = InProcessBroadcast(history=2)
    messages = await published(broadcast, "1", "2", "3", "4")

    with pytest.raises(HistoryLost):
        async with broadcast.subscribe("a", after=messages[0].id):
            pass
    async with broadcast.subscribe("a", after=messages[1].id) as listener:
        assert [(await anext(listener)).data for _ in range(2)] == ["3", "4"]


async def test_slow_subscriber() -> None:
    """Who does not keep up is told so, and slows nobody down."""
    broadcast = InProcessBroadcast(backlog=2)
    async with broadcast.subscribe("a") as slow:
        messages = [await published(broadcast, str(i)) for i in range(3)]

        with pytest.raises(SubscriberTooSlow):
            await anext(slow)
    assert [message.data for (message,) in messages] == ["0", "1", "2"]


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
