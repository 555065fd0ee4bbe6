"""A cache for the provider's metadata and keys."""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

from anyio import Lock

from keel.auth.oidc.problems import ProviderFault, ProviderUnavailable

T = TypeVar("T")

LIFETIME = 3600.0
"""Seconds until a value is loaded again."""

REFRESH_PAUSE = 60.0
"""The shortest interval between early refreshes, such as for an unknown key, in seconds."""

FAILURE_PAUSE = 5.0
"""Seconds without requests after a failure."""


class Cached(Generic[T]):
    """A value that is loaded on first use and again when it expires, with rate-limited early refreshes."""

    def __init__(self, load: Callable[[], Awaitable[T]]) -> None:
        self._load = load
        self._lock = Lock()
        self._value: T | None = None
        self._loaded_at = self._refreshed_at = self._failed_at = float("-inf")
        self._failure: type[ProviderFault | ProviderUnavailable] = ProviderUnavailable

    async def get(self) -> T:
        """Return the value.

        Raises:
            ProviderUnavailable: it cannot be loaded, now or a few seconds ago.
            ProviderFault: it is not usable.
        """
        async with self._lock:
            if self._value is None or monotonic() - self._loaded_at > LIFETIME:
                return await self._reload()
            return self._value

    async def refresh(self) -> T:
        """Load the value again, unless that was done within `REFRESH_PAUSE`.

        Raises:
            ProviderUnavailable: it cannot be loaded, now or a few seconds ago.
            ProviderFault: it is not usable.
        """
        async with self._lock:
            if self._value is None or monotonic() - self._refreshed_at > REFRESH_PAUSE:
                self._refreshed_at = monotonic()
                return await self._reload()
            return self._value

    async def _reload(self) -> T:
        if monotonic() - self._failed_at < FAILURE_PAUSE:
            raise self._failure()
        try:
            value = await self._load()
        except (ProviderUnavailable, ProviderFault) as error:
            self._failed_at, self._failure = monotonic(), type(error)
            raise
        self._value, self._loaded_at = value, monotonic()
        return value
