"""Clients whose commands are traced and measured."""

from functools import lru_cache
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.client import Pipeline
from redis.asyncio.cluster import ClusterPipeline

from keel.observability.calls import Call, Operation

SYSTEM = "redis"
PIPELINE = Operation(SYSTEM, "PIPELINE")


@lru_cache(maxsize=256)
def command(name: str) -> Operation:
    """Return the operation of a command by name."""
    return Operation(SYSTEM, name)


class InstrumentedPipeline(Pipeline):
    """A pipeline, traced as one operation."""

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - as in the base class
        """Send the commands; return their results."""
        with Call(PIPELINE):
            return await super().execute(raise_on_error)


class InstrumentedRedis(Redis):
    """The client of a server."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command; return its result."""
        with Call(command(str(args[0]))):
            return await super().execute_command(*args, **options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:  # noqa: FBT001, FBT002 - as in the base class
        """Return a pipeline."""
        return InstrumentedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class InstrumentedClusterPipeline(ClusterPipeline):
    """A cluster's pipeline, traced as one operation."""

    async def execute(self, raise_on_error: bool = True, allow_redirections: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - as in the base class
        """Send the commands; return their results."""
        with Call(PIPELINE):
            return await super().execute(raise_on_error, allow_redirections)


class InstrumentedCluster(RedisCluster):
    """The client of a cluster."""

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """Send a command; return its result."""
        with Call(command(str(args[0]))):
            return await super().execute_command(*args, **kwargs)

    def pipeline(self, transaction: Any | None = None, shard_hint: Any | None = None) -> ClusterPipeline:  # noqa: ARG002 - as in the base class
        """Return a pipeline."""
        return InstrumentedClusterPipeline(self, transaction)
