"""The cache: computed values, kept until they expire or are invalidated by tag.

The default works within one process. A feature may replace it by one that all processes share.
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
"""The type of a value: a class, or an adapter for other types, such as `TypeAdapter(Book | None)`."""

MAX_TTL = 86_400.0
"""Upper bound of a lifetime, in seconds."""


@dataclass(slots=True)
class Counters:
    """Counters of this process since it started."""

    hits: int = 0
    misses: int = 0
    bypassed: int = 0
    """Computed without the cache because it was unavailable."""
    invalidations: int = 0


class Cache(Protocol):
    """Keeps computed values."""

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
        """Return the value of a key, computing it if it is not cached.

        Concurrent lookups share one computation. Entries are keyed by key and schema, so a release with changed types
        never reads entries of an older one. A computation that began before an invalidation is not stored.

        Args:
            key: identifies the value, with everything that it depends on, above all its owner.
            kind: a type that pydantic serialises to JSON and back; callers get a copy of their own.
            compute: computes the value, in a task that may outlive the caller, so it must not use the session of a
                request. An exception is raised to all waiting callers and not cached.
            ttl: lifetime in seconds, at most `MAX_TTL`.
            negative_ttl: lifetime in seconds of a `None`, if shorter.
            tags: for `invalidate`.
        """
        ...

    async def invalidate(self, *tags: str) -> None:
        """Drop every value with one of these tags. During an outage, the invalidation is replayed when it ends.

        Invalidate after the commit, or a concurrent lookup caches the old value again:
        `session.after_commit(partial(cache.invalidate, "book:1"))`.
        """

    async def clear(self) -> None:
        """Drop everything."""


class Codec(Generic[T]):
    """Serialises values of a type to bytes and back."""

    def __init__(self, kind: Kind[T]) -> None:
        self._adapter: TypeAdapter[T] = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
        schemas = [self._adapter.json_schema(mode="validation"), self._adapter.json_schema(mode="serialization")]
        self.fingerprint = hashlib.sha256(json.dumps(schemas, sort_keys=True).encode()).hexdigest()[:12]

    def dump(self, value: T) -> bytes:
        """Serialise a value."""
        return self._adapter.dump_json(value)

    def load(self, data: bytes) -> T:
        """Deserialise a value."""
        return self._adapter.validate_json(data)


@lru_cache(maxsize=256)
def codec(kind: Any) -> Codec[Any]:
    """Return the codec of a type, made once: building schemas is slow."""
    return Codec(kind)


def lifetime(ttl: float, negative_ttl: float | None, data: bytes) -> float:
    """Return the lifetime of encoded data in seconds."""
    return min(ttl if negative_ttl is None or data != b"null" else negative_ttl, MAX_TTL)
