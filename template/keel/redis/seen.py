"""Clients whose commands can be seen from outside."""

from functools import lru_cache
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.client import Pipeline
from redis.asyncio.cluster import ClusterPipeline

from keel.observability.tracing import Call, Operation

SYSTEM = "redis"
PIPELINE = Operation(SYSTEM, "PIPELINE")


@lru_cache(maxsize=256)
def command(name: str) -> Operation:
    """Return what calls of a command have in common."""
    return Operation(SYSTEM, name)


class SeenPipeline(Pipeline):
    """Several commands, seen as one."""

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - as in the base class
        """Send the commands; return their answers."""
        with Call(PIPELINE):
            return await super().execute(raise_on_error)


class SeenRedis(Redis):
    """A client of a server."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command; return its answer."""
        with Call(command(str(args[0]))):
            return await super().execute_command(*args, **options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:  # noqa: FBT001, FBT002 - as in the base class
        """Return what collects commands."""
        return SeenPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class SeenClusterPipeline(ClusterPipeline):
    """Several commands for a cluster, seen as one."""

    async def execute(self, raise_on_error: bool = True, allow_redirections: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - as in the base class
        """Send the commands; return their answers."""
        with Call(PIPELINE):
            return await super().execute(raise_on_error, allow_redirections)


class SeenCluster(RedisCluster):
    """A client of a cluster."""

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """Send a command; return its answer."""
        with Call(command(str(args[0]))):
            return await super().execute_command(*args, **kwargs)

    def pipeline(self, transaction: Any | None = None, shard_hint: Any | None = None) -> ClusterPipeline:  # noqa: ARG002 - as in the base class
        """Return what collects commands."""
        return SeenClusterPipeline(self, transaction)
