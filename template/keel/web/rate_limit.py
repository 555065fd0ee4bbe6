"""Rate limits, in the notation of the `limits` library: a sliding window for each caller, told in standard headers.

Headers follow draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` says what is allowed, `RateLimit` what is left.
"""

import math
from collections.abc import Awaitable, Callable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from limits import parse_many
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keel.observability import tracing
from keel.web.errors import AppError, TooManyRequests, from_app_error
from keel.web.rate_limit_storage import InProcessStorage, Rate, RateLimitStorage

_REFUSED = tracing.meter.create_counter(
    "app.rate_limit.refused", unit="{use}", description="Requests and other uses that a limit has refused"
)

EXEMPT = frozenset({"/healthz", "/readyz"})
"""Probes are not callers: an orchestrator must never be told to slow down."""

RATE_LIMIT = b"ratelimit"
POLICY = b"ratelimit-policy"


class RateLimit:
    """What is allowed, and where hits are counted.

    A feature may replace `key`, so that a caller counts as one from every address, and the storage, so that several
    processes count together.
    """

    def __init__(self, rates: str, *, name: str = "default") -> None:
        self._rates = _parse(rates)
        self._name = name
        self._policy = ", ".join(f'"{name}";q={rate.amount};w={rate.seconds}' for rate in self._rates).encode()
        self.key: Callable[[Scope], str] = client_address
        self.storage: RateLimitStorage = InProcessStorage()

    async def hit(self, scope: Scope) -> tuple[bool, list[tuple[bytes, bytes]], int]:
        """Count a request; return whether it is allowed, headers to send, and seconds until more is allowed.

        Raises:
            Unavailable: requests can't be counted, and the project prefers none to uncounted ones.
        """
        windows = await self.storage.hit(f"{self._name}:{self.key(scope)}", self._rates)
        allowed = windows[-1].allowed
        tightest = min(windows, key=lambda window: window.remaining) if allowed else windows[-1]
        seconds = max(1, math.ceil(tightest.reset))
        if not allowed:
            _REFUSED.add(1, {"app.rate_limit.name": self._name})
        left = f'"{self._name}";r={tightest.remaining if allowed else 0};t={seconds}'.encode()
        return allowed, [(POLICY, self._policy), (RATE_LIMIT, left)], seconds

    async def spend(self, rates: str, name: str, key: str) -> None:
        """Count one use of something that is limited apart from requests, such as attempts to log in.

        Raises:
            TooManyRequests: a rate is used up; its `Retry-After` says for how long.
            Unavailable: uses can't be counted, and the project prefers none to uncounted ones.
        """
        if not rates:
            return
        window = (await self.storage.hit(f"{name}:{key}", _parse(rates)))[-1]
        if not window.allowed:
            _REFUSED.add(1, {"app.rate_limit.name": name})
            seconds = max(1, math.ceil(window.reset))
            raise TooManyRequests("Too many attempts; see `Retry-After`.", headers={"Retry-After": str(seconds)})

    async def forgive(self, rates: str, name: str, key: str) -> None:
        """Forget what was counted, since it turned out well."""
        if rates:
            await self.storage.clear(f"{name}:{key}")


@lru_cache(maxsize=64)
def _parse(rates: str) -> tuple[Rate, ...]:
    return tuple(Rate(item.amount, item.get_expiry()) for item in parse_many(rates)) if rates else ()


class RateLimitMiddleware:
    """Answers 429 once a caller has used up what is allowed (pure ASGI)."""

    def __init__(self, app: ASGIApp, limit: RateLimit) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the request, or the handshake of a socket, and pass it on, or refuse it."""
        if scope["type"] == "lifespan" or scope["path"] in EXEMPT:
            await self.app(scope, receive, send)
            return
        try:
            allowed, headers, seconds = await self.limit.hit(scope)
        except AppError as error:
            await from_app_error(error)(scope, receive, send)
            return

        def send_with_headers(message: Message) -> Awaitable[None]:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                message["headers"] = [*message["headers"], *headers]
            return send(message)

        if allowed:
            # Nothing of a socket passes through here once it is open: each message would pay for it.
            await self.app(scope, receive, send if scope["type"] == "websocket" else send_with_headers)
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
