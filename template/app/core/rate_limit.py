"""Rate limits, on the `limits` library: a sliding window for each caller, told in standard headers.

Headers follow draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` says what is allowed, `RateLimit` what is left.
"""

import math
import time
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from limits import RateLimitItem, parse_many
from limits.aio.storage import Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import TooManyRequests, from_app_error
from app.core.rate_limit_storage import InProcessStorage

EXEMPT = frozenset({"/healthz", "/readyz"})
"""Probes are not callers: an orchestrator must never be told to slow down."""

RATE_LIMIT = b"ratelimit"
POLICY = b"ratelimit-policy"


class RateLimit:
    """What is allowed, how callers are told apart, and where hits are counted.

    A feature may replace `identify`, so that a caller counts as one from every address, and the storage, so that
    several processes count together.
    """

    def __init__(self, rates: str, *, name: str = "default") -> None:
        self._items: list[RateLimitItem] = parse_many(rates) if rates else []
        self._name = name
        self._policy = ", ".join(f'"{name}";q={item.amount};w={item.get_expiry()}' for item in self._items).encode()
        self.identify: Callable[[Scope], str] = client_address
        self.use(InProcessStorage())

    def use(self, storage: Storage) -> None:
        """Count in another storage."""
        self._limiter = SlidingWindowCounterRateLimiter(storage)

    async def hit(self, scope: Scope) -> tuple[bool, list[tuple[bytes, bytes]], int]:
        """Count a request; return whether it is allowed, headers to send, and seconds until more is allowed."""
        key = self.identify(scope)
        allowed, tightest = True, None
        for item in self._items:
            # A request that one rate refuses is not counted against the rest.
            allowed = await self._limiter.hit(item, self._name, key)
            stats = await self._limiter.get_window_stats(item, self._name, key)
            if not allowed or tightest is None or stats.remaining < tightest.remaining:
                tightest = stats
            if not allowed:
                break
        assert tightest is not None, "middleware without rates is not installed"  # noqa: S101
        seconds = max(1, math.ceil(tightest.reset_time - time.time()))
        left = f'"{self._name}";r={tightest.remaining if allowed else 0};t={seconds}'.encode()
        return allowed, [(POLICY, self._policy), (RATE_LIMIT, left)], seconds

    async def spend(self, rates: str, name: str, key: str) -> None:
        """Count one use of something that is limited apart from requests, such as attempts to log in.

        Raises:
            TooManyRequests: a rate is used up; its `Retry-After` says for how long.
        """
        for item in _rates(rates):
            if not await self._limiter.hit(item, name, key):
                stats = await self._limiter.get_window_stats(item, name, key)
                seconds = max(1, math.ceil(stats.reset_time - time.time()))
                raise TooManyRequests("Too many attempts; see `Retry-After`.", headers={"Retry-After": str(seconds)})

    async def forgive(self, rates: str, name: str, key: str) -> None:
        """Forget what was counted, since it turned out well."""
        for item in _rates(rates):
            await self._limiter.clear(item, name, key)


@lru_cache(maxsize=64)
def _rates(rates: str) -> list[RateLimitItem]:
    return parse_many(rates) if rates else []


class RateLimitMiddleware:
    """Answers 429 once a caller has used up what is allowed (pure ASGI)."""

    def __init__(self, app: ASGIApp, limit: RateLimit) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the request and pass it on, or refuse it."""
        if scope["type"] != "http" or scope["path"] in EXEMPT:
            await self.app(scope, receive, send)
            return
        allowed, headers, seconds = await self.limit.hit(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        if allowed:
            await self.app(scope, receive, send_with_headers)
            return
        error = TooManyRequests("Too many requests; see `Retry-After`.", headers={"Retry-After": str(seconds)})
        await from_app_error(error)(scope, receive, send_with_headers)


def client_address(scope: Scope) -> str:
    """Return the address that a request comes from.

    The server puts the address from `X-Forwarded-For` here if, and only if, the peer is one of the proxies named by
    `FORWARDED_ALLOW_IPS`.
    """
    client = scope.get("client")
    return _network(client[0]) if client else "unknown"


@lru_cache(maxsize=4096)
def _network(host: str) -> str:
    """Return one key for all addresses that a single host may choose from: IPv6 hosts own a /64."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else address.exploded[:19]
    return host
