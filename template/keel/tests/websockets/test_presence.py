"""Presence within one process."""

from keel.websockets.presence import InProcessPresence


async def test_members() -> None:
    """Members are listed once, in order, while one of their blocks runs."""
    presence = InProcessPresence()
    async with presence.join("a", "eve"), presence.join("a", "ada"), presence.join("b", "joe"):
        async with presence.join("a", "ada"):
            assert await presence.members("a") == ["ada", "eve"]
        assert await presence.members("a") == ["ada", "eve"]
    assert await presence.members("a") == []
    assert not presence._topics
