"""Rate limits, in the notation of the `limits` library: a sliding window for each caller, reported in standard headers.

Headers follow draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` is the limit, `RateLimit` what is left of it.
The sliding window is approximated by two fixed ones: hits in the previous one count in proportion to its overlap.
"""

import math
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple, Protocol

from fastapi.requests import HTTPConnection
from limits import parse_many
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keel.observability import tracing
from keel.web.errors import AppError, TooManyRequests, from_app_error
from keel.web.paths import path_below

_REFUSED = tracing.meter.create_counter(
    "app.rate_limit.refused", unit="{use}", description="Requests and other uses refused by a rate limit"
)

EXEMPT = frozenset({"/healthz", "/readyz"})
"""Probes are not limited: an orchestrator must never get a 429."""

RATE_LIMIT = b"ratelimit"
POLICY = b"ratelimit-policy"

NETWORKS = 16
"""A /48 may use as much as this many of its 65,536 /64 networks: it is one site, or many customers of a provider."""

_SITE = re.compile(r"((?:[0-9a-f]{4}:){3})[0-9a-f]{4}$")
"""An IPv6 network as `client_address` writes it; the group is its first 48 bits."""


class Rate(NamedTuple):
    """How many hits are allowed in how many seconds."""

    amount: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Window:
    """The result of a hit for one rate: whether it is allowed, how many are left, and seconds until more are."""

    allowed: bool
    remaining: int
    reset: float

    @classmethod
    def of(cls, rate: Rate, current: int, previous: int, left: float, *, allowed: bool) -> "Window":
        """Return the result when the fraction `left` (1 to 0) of the current window remains."""
        seconds = left * rate.seconds
        reset = seconds if current else math.inf
        if previous:
            # Hits of the previous window slide out one at a time.
            reset = min(reset, seconds % (rate.seconds / previous))
        remaining = max(0, rate.amount - math.floor(previous * left + current))
        return cls(allowed, remaining, reset if reset < math.inf else 0.0)


class RateLimitStorage(Protocol):
    """Counts hits. One call returns everything that a request needs, so that a remote storage takes one round trip."""

    async def hit(self, key: str, rates: Sequence[Rate]) -> list[Window]:
        """Count a hit against each rate in turn, up to the first that refuses it.

        A refused hit counts for neither that rate nor later ones. Return a window per rate tried; the last may refuse.

        Raises:
            Unavailable: hits can't be counted, and must not be allowed uncounted.
        """
        ...

    async def clear(self, key: str) -> None:
        """Forget the hits of a key; never raises because of an outage."""


class InProcessStorage:
    """Counts for one process, in bounded memory: the least recently used keys are evicted first."""

    def __init__(self, max_keys: int = 100_000) -> None:
        self._max_keys = max_keys
        # key -> rate -> (number of the window, hits in it, hits in the one before)
        self._keys: OrderedDict[str, dict[Rate, tuple[int, int, int]]] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._keys)

    async def hit(self, key: str, rates: Sequence[Rate]) -> list[Window]:
        """Count a hit; see `RateLimitStorage.hit`."""
        windows = self._keys.get(key)
        if windows is None:
            windows = self._keys[key] = {}
            if len(self._keys) > self._max_keys:
                self._keys.popitem(last=False)
        else:
            self._keys.move_to_end(key)
        now, said = time.time(), []
        for rate in rates:
            position = now / rate.seconds
            number = int(position)
            left = 1 - (position - number)
            stored, current, previous = windows.get(rate, (number, 0, 0))
            if stored == number - 1:
                current, previous = 0, current
            elif stored != number:
                current, previous = 0, 0
            allowed = previous * left + current + 1 <= rate.amount
            current += allowed
            windows[rate] = (number, current, previous)
            said.append(Window.of(rate, current, previous, left, allowed=allowed))
            if not allowed:
                break
        return said

    async def clear(self, key: str) -> None:
        """Forget a key."""
        self._keys.pop(key, None)


class RateLimit:
    """A limit, and the storage that counts hits.

    A feature may replace `key`, so that a caller counts as one from every address, and the storage, so that several
    processes share counts.
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
        windows = await self._hit(self._name, self.key(scope), self._rates)
        allowed = windows[-1].allowed
        tightest = min(windows, key=lambda window: window.remaining) if allowed else windows[-1]
        seconds = max(1, math.ceil(tightest.reset))
        if not allowed:
            _REFUSED.add(1, {"app.rate_limit.name": self._name})
        left = f'"{self._name}";r={tightest.remaining if allowed else 0};t={seconds}'.encode()
        return allowed, [(POLICY, self._policy), (RATE_LIMIT, left)], seconds

    async def spend(self, rates: str, name: str, key: str) -> None:
        """Count one use of something that has its own limit, such as attempts to log in.

        Raises:
            TooManyRequests: a rate is used up; `Retry-After` is the wait in seconds.
            Unavailable: uses can't be counted, and the project prefers none to uncounted ones.
        """
        if not rates:
            return
        window = (await self._hit(name, key, _parse(rates)))[-1]
        if not window.allowed:
            _REFUSED.add(1, {"app.rate_limit.name": name})
            seconds = max(1, math.ceil(window.reset))
            raise TooManyRequests("Too many attempts; see `Retry-After`.", headers={"Retry-After": str(seconds)})

    async def _hit(self, name: str, key: str, rates: Sequence[Rate]) -> list[Window]:
        """Count a hit for a key; for an IPv6 network, also for its /48."""
        windows = await self.storage.hit(f"{name}:{key}", rates)
        if windows[-1].allowed and (site := site_of(key)):
            wider = await self.storage.hit(f"{name}:{site}", [Rate(n * NETWORKS, seconds) for n, seconds in rates])
            if not wider[-1].allowed:
                return wider
        return windows

    async def forgive(self, rates: str, name: str, key: str) -> None:
        """Forget the uses of a key, such as after a successful login."""
        if rates:
            await self.storage.clear(f"{name}:{key}")


@lru_cache(maxsize=64)
def _parse(rates: str) -> tuple[Rate, ...]:
    return tuple(Rate(item.amount, item.get_expiry()) for item in parse_many(rates)) if rates else ()


def limit(rates: str) -> Callable[[HTTPConnection], Awaitable[None]]:
    """Return a dependency that limits a path operation for each caller, in addition to the limit on all requests.

    Use it as `@router.post("", dependencies=[Depends(limit("5/minute"))])`; beyond that, the response is 429.

    Args:
        rates: in the notation of `limits`; several are separated by semicolons.

    Raises:
        ValueError: the notation is not valid.
    """
    _parse(rates)

    async def dependency(connection: HTTPConnection) -> None:
        rate_limit: RateLimit = connection.app.state.services.rate_limit
        endpoint = connection.scope["endpoint"]
        name = f"{endpoint.__module__}.{endpoint.__qualname__}"
        await rate_limit.spend(rates, name, rate_limit.key(connection.scope))

    return dependency


class RateLimitMiddleware:
    """Answers 429 once a caller has used up its limit (pure ASGI)."""

    def __init__(self, app: ASGIApp, limit: RateLimit) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count a request or the handshake of a socket, and pass it on or refuse it."""
        if scope["type"] == "lifespan" or path_below(scope) in EXEMPT:
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
            # An open socket's messages bypass this middleware: it would cost time for each of them.
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


def site_of(key: str) -> str | None:
    """Return the /48 of an IPv6 network in the form of `client_address`; None for other keys."""
    site = _SITE.match(key)
    return site[1] if site else None


@lru_cache(maxsize=4096)
def _network(host: str) -> str:
    """Return one key for all addresses of a host: an IPv6 host may choose any within its /64."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else address.exploded[:19]
    return host
