"""What the provider publishes, kept for a while."""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

from anyio import Lock

from keel.auth.oidc.problems import ProviderFault, ProviderUnavailable

T = TypeVar("T")

LIFETIME = 3600.0
"""Seconds until it is asked for again anyway."""

REFRESH_PAUSE = 60.0
"""Seconds between two times that somebody's token makes us ask before that."""

FAILURE_PAUSE = 5.0
"""Seconds that a provider which is away is left alone."""


class Cached(Generic[T]):
    """Something that is loaded once for all who need it, again when it is old, and sooner on demand, but rarely."""

    def __init__(self, load: Callable[[], Awaitable[T]]) -> None:
        self._load = load
        self._lock = Lock()
        self._value: T | None = None
        self._loaded_at = self._refreshed_at = self._failed_at = float("-inf")
        self._failure: type[ProviderFault | ProviderUnavailable] = ProviderUnavailable

    async def get(self) -> T:
        """Return it.

        Raises:
            ProviderUnavailable: it cannot be loaded, now or a few seconds ago.
            ProviderFault: it makes no sense.
        """
        async with self._lock:
            if self._value is None or monotonic() - self._loaded_at > LIFETIME:
                return await self._reload()
            return self._value

    async def refresh(self) -> T:
        """Return it as it is now, unless that was asked for within the last minute.

        Raises:
            ProviderUnavailable: it cannot be loaded, now or a few seconds ago.
            ProviderFault: it makes no sense.
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
