"""Lua scripts: several commands on one key, executed atomically."""

import hashlib
from typing import Any

from redis.asyncio.client import Pipeline
from redis.exceptions import NoScriptError

from keel.redis.client import Client


class Script:
    """A script that is called by its digest; its text is sent to each server once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, client: Client, key: str, *arguments: Any) -> Any:
        """Run the script on a key."""
        try:
            return await client.evalsha(self._digest, 1, key, *arguments)
        except NoScriptError:
            return await client.eval(self._text, 1, key, *arguments)

    def queue(self, pipeline: Pipeline, key: str, *arguments: Any) -> None:
        """Add a call to a pipeline with the full text: a pipeline cannot send it later."""
        pipeline.eval(self._text, 1, key, *arguments)
