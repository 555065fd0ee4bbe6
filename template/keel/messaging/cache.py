"""The cache: what takes long to compute is kept for a while, until it is said to have changed.

The default keeps it in this process. A feature may put a shared cache in its place; whoever uses it need not know.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")

Kind = type[T] | TypeAdapter[T]
"""What a value is: a type, or an adapter for what is no class, such as `TypeAdapter(Note | None)`."""

MAX_TTL = 86_400.0
"""The longest that anything is kept, in seconds."""


@dataclass(slots=True)
class Counters:
    """What the cache of this process has done since it started."""

    hits: int = 0
    misses: int = 0
    bypassed: int = 0
    """Computed without the cache, since that was away."""
    invalidations: int = 0

    @property
    def hit_ratio(self) -> float:
        """The part of all questions that the cache could answer (0 to 1)."""
        asked = self.hits + self.misses + self.bypassed
        return self.hits / asked if asked else 0.0


class Cache(Protocol):
    """Where computed values are kept."""

    counters: Counters

    async def get_or_compute(
        self,
        key: str,
        kind: Kind[T],
        compute: Callable[[], Awaitable[T]],
        *,
        ttl: float,
        negative_ttl: float | None = None,
        tags: Sequence[str] = (),
    ) -> T:
        """Return the value of a key, computing it if it is not known.

        However many ask at a time, it is computed once. A value is kept under its key and the schema of its kind, so
        that code whose types have changed never meets what older code has kept. A computation that began before an
        invalidation is never kept beyond it.

        Args:
            key: what is asked for, with everything that the answer depends on: whose it is, above all.
            kind: a type that pydantic turns into JSON and back; callers get a copy of their own.
            compute: computes the value, in a task of its own that may outlive the caller: it must not use the
                transaction of a request. What it raises is raised to all who wait, and not kept.
            ttl: seconds for which the value is kept, at most `MAX_TTL`.
            negative_ttl: seconds for which `None` is kept, where there being nothing may change sooner.
            tags: what the value is made of, for `invalidate`.
        """
        ...

    async def invalidate(self, *tags: str) -> None:
        """Forget every value with one of these tags. An outage is no error: it is made up for when it ends.

        What is computed from a transaction's changes must wait for the commit, or old values would be kept anew:
        `session.after_commit(partial(cache.invalidate, "note:1"))`.
        """

    async def clear(self) -> None:
        """Forget everything."""


class Codec(Generic[T]):
    """AdvisoryLock values of a kind into bytes and back."""

    def __init__(self, kind: Kind[T]) -> None:
        self._adapter: TypeAdapter[T] = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
        schemas = [self._adapter.json_schema(mode="validation"), self._adapter.json_schema(mode="serialization")]
        self.fingerprint = hashlib.sha256(json.dumps(schemas, sort_keys=True).encode()).hexdigest()[:12]

    def dump(self, value: T) -> bytes:
        """Return a value as bytes."""
        return self._adapter.dump_json(value)

    def load(self, data: bytes) -> T:
        """Return the value of some bytes."""
        return self._adapter.validate_json(data)


@lru_cache(maxsize=256)
def codec(kind: Any) -> Codec[Any]:
    """Return the codec of a kind, made once: schemas take a while."""
    return Codec(kind)


def lifetime(ttl: float, negative_ttl: float | None, data: bytes) -> float:
    """Return for how many seconds encoded data is kept."""
    return min(ttl if negative_ttl is None or data != b"null" else negative_ttl, MAX_TTL)
