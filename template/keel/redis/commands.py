"""The operator's commands for Redis."""

from collections.abc import Mapping
from typing import Annotated, Any, cast

import typer
from fastapi import FastAPI
from rich.console import Console
from rich.table import Table

from keel.redis.cache import EVERYTHING, RedisCache
from keel.redis.link import Link, RedisAway
from keel.services import services_of

commands = typer.Typer(no_args_is_help=True, help="Redis: what all processes share.")
cache = typer.Typer(no_args_is_help=True, help="What is kept so that it need not be computed again.")
commands.add_typer(cache, name="cache")


@commands.command()
def info(context: typer.Context) -> None:
    """Show the server, what it is told to do when it is full, and how often the cache could answer."""

    async def work(app: FastAPI) -> None:
        link: Link = services_of(app).redis
        shared = cast("RedisCache", services_of(app).cache)
        try:
            server = await link.run(lambda client: client.info())
            counted = await shared.counted()
        except RedisAway:
            typer.echo("Redis does not answer.", err=True)
            raise typer.Exit(1) from None
        table = Table("", "Value", "")
        for name, value, remark in _rows(_one(server), counted):
            table.add_row(name, value, remark)
        Console().print(table)

    context.obj.run(work)


@cache.command()
def clear(
    context: typer.Context,
    tag: Annotated[list[str] | None, typer.Option(help="Only values with this tag; may be repeated")] = None,
) -> None:
    """Forget what is cached, in all processes."""

    async def work(app: FastAPI) -> None:
        await services_of(app).cache.invalidate(*(tag or [EVERYTHING]))
        if services_of(app).redis.away:
            typer.echo("Redis does not answer.", err=True)
            raise typer.Exit(1)
        typer.echo(f"Forgotten: {', '.join(tag) if tag else 'everything'}")

    context.obj.run(work)


def _one(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the first node's answer where a cluster gives one for each."""
    first = next(iter(answer.values()))
    return first if isinstance(first, Mapping) and "redis_version" in first else answer


def _rows(server: Mapping[str, Any], counted: Mapping[str, int]) -> list[tuple[str, str, str]]:
    policy = str(server.get("maxmemory_policy", ""))
    asked = sum(counted.get(name, 0) for name in ("hits", "misses", "bypassed"))
    ratio = f"{counted.get('hits', 0) / asked:.1%}" if asked else "nobody has asked yet"
    return [
        ("version", str(server.get("valkey_version") or server.get("redis_version")), ""),
        ("mode", str(server.get("redis_mode", "")), ""),
        ("memory", str(server.get("used_memory_human", "")), f"of {server.get('maxmemory_human', '?')} (0B: no limit)"),
        (
            "when it is full",
            policy,
            "" if policy in {"volatile-lru", "volatile-ttl", "volatile-lfu"} else _policy(policy),
        ),
        ("evicted keys", str(server.get("evicted_keys", "")), ""),
        ("clients", str(server.get("connected_clients", "")), ""),
        ("cache hits", ratio, f"{counted.get('hits', 0)} of {asked}"),
    ]


def _policy(policy: str) -> str:
    return (
        "writes fail; reads go on" if policy == "noeviction" else "may evict histories and counters as well as values"
    )
