"""The operator's commands for Redis."""

from collections.abc import Mapping
from typing import Annotated, Any, cast

import typer
from fastapi import FastAPI
from rich.console import Console
from rich.table import Table

from keel.redis.cache import EVERYTHING, RedisCache
from keel.redis.connection import GuardedConnection, RedisUnavailable
from keel.services import services_of

commands = typer.Typer(no_args_is_help=True, help="Redis: state that all processes share.")
cache = typer.Typer(no_args_is_help=True, help="The shared cache.")
commands.add_typer(cache, name="cache")


@commands.command()
def info(context: typer.Context) -> None:
    """Show the server, its eviction policy, and the hit ratio of the cache."""

    async def work(app: FastAPI) -> None:
        connection: GuardedConnection = services_of(app).redis
        shared = cast("RedisCache", services_of(app).cache)
        try:
            server = await connection.run(lambda client: client.info())
            totals = await shared.totals()
        except RedisUnavailable:
            typer.echo("Redis does not answer.", err=True)
            raise typer.Exit(1) from None
        table = Table("", "Value", "")
        for name, value, remark in _rows(_first_node(server), totals):
            table.add_row(name, value, remark)
        Console().print(table)

    context.obj.run(work)


@cache.command()
def clear(
    context: typer.Context,
    tag: Annotated[list[str] | None, typer.Option(help="Invalidate only values with this tag; may be repeated")] = None,
) -> None:
    """Invalidate cached values, in all processes."""

    async def work(app: FastAPI) -> None:
        await services_of(app).cache.invalidate(*(tag or [EVERYTHING]))
        if services_of(app).redis.unavailable:
            typer.echo("Redis does not answer.", err=True)
            raise typer.Exit(1)
        typer.echo(f"Invalidated: {', '.join(tag) if tag else 'everything'}")

    context.obj.run(work)


def _first_node(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the first node's answer of a cluster, which returns one per node."""
    first = next(iter(answer.values()))
    return first if isinstance(first, Mapping) and "redis_version" in first else answer


def _rows(server: Mapping[str, Any], totals: Mapping[str, int]) -> list[tuple[str, str, str]]:
    policy = str(server.get("maxmemory_policy", ""))
    lookups = sum(totals.get(name, 0) for name in ("hits", "misses", "bypassed"))
    ratio = f"{totals.get('hits', 0) / lookups:.1%}" if lookups else "no lookups yet"
    return [
        ("version", str(server.get("valkey_version") or server.get("redis_version")), ""),
        ("mode", str(server.get("redis_mode", "")), ""),
        ("memory", str(server.get("used_memory_human", "")), f"of {server.get('maxmemory_human', '?')} (0B: no limit)"),
        (
            "eviction policy",
            policy,
            "" if policy in {"volatile-lru", "volatile-ttl", "volatile-lfu"} else _policy(policy),
        ),
        ("evicted keys", str(server.get("evicted_keys", "")), ""),
        ("clients", str(server.get("connected_clients", "")), ""),
        ("cache hits", ratio, f"{totals.get('hits', 0)} of {lookups}"),
    ]


def _policy(policy: str) -> str:
    return (
        "writes fail; reads continue" if policy == "noeviction" else "may evict streams and counters as well as values"
    )
