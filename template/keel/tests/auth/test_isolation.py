"""Streams contain only the caller's own data."""

import json

from keel.testing.identity import sign_in
from keel.testing.server import Server
from keel.tests.widgets.api import EVENTS, create


async def test_streams_of_others(server: Server) -> None:
    """A stream contains only events of the caller's own widgets."""
    async with server.client() as ada, server.client() as eve:
        await sign_in(ada, "ada")
        await sign_in(eve, "eve")
        async with eve.stream("GET", EVENTS) as answer:
            await create(ada, title="private")
            await create(eve, title="mine")
            data = await anext(line async for line in answer.aiter_lines() if line.startswith("data: "))

    assert json.loads(data.removeprefix("data: "))["title"] == "mine"
