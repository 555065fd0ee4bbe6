"""A process that uses a limit up: `python -m keel.tests.redis.spender URL PREFIX`.

It writes a byte for each hit that passes, and waits after the first until its input is closed.
"""

import asyncio
import os
import sys

from keel.redis.client import connect
from keel.redis.connection import GuardedConnection
from keel.redis.rate_limit_storage import RedisStorage
from keel.redis.settings import RedisSettings
from keel.web.rate_limit import Rate

YEAR = 365 * 24 * 3600
"""No window of this length ends during a test."""

RATE = Rate(20_000, YEAR)

PATIENCE = 60
"""That of `keel.testing.support`, which takes longer to import than all of this."""


async def _spend(url: str, prefix: str) -> None:
    settings = RedisSettings.model_validate({"url": url, "timeout": PATIENCE, "pool_timeout": PATIENCE})
    connection = GuardedConnection(connect(settings), timeout=settings.timeout)
    connection.open()
    storage = RedisStorage(connection, prefix=prefix, fallback="closed")

    async def spend() -> None:
        while (await storage.hit("a", [RATE]))[0].allowed:
            os.write(1, b".")

    await storage.hit("a", [RATE])
    os.write(1, b".")
    await asyncio.to_thread(sys.stdin.read)
    await asyncio.gather(*(spend() for _ in range(4)))
    await connection.close()


if __name__ == "__main__":
    asyncio.run(_spend(*sys.argv[1:]))
