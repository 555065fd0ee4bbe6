"""Rate limits: who counts as one caller, and what callers are told."""

from collections.abc import Sequence

import pytest
from fastapi import Depends, FastAPI
from httpx2 import ASGITransport, AsyncClient

from keel.application import new_app
from keel.services import services_of
from keel.testing.support import running
from keel.tests.web.rate_limit_contract import RateLimitContract
from keel.web.errors import TooManyRequests, Unavailable
from keel.web.rate_limit import NETWORKS, InProcessStorage, Rate, RateLimit, Window, client_address, limit


@pytest.fixture
def limited(environment: None, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """Return an application that allows three requests a minute."""
    monkeypatch.setenv("RATE_LIMIT", "3/minute;100/hour")
    return new_app()


async def test_rate_limit_header(limited: FastAPI) -> None:
    """Each response has the limit and what remains of it."""
    async with running(limited) as client:
        answers = [await client.get("/nowhere") for _ in range(3)]

    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"default";q=3;w=60, "default";q=100;w=3600'}
    assert [answer.headers["RateLimit"].partition(";t=")[0] for answer in answers] == [
        '"default";r=2',
        '"default";r=1',
        '"default";r=0',
    ]


async def test_too_many_requests(limited: FastAPI) -> None:
    """A further request gets a problem document with the time to wait."""
    async with running(limited) as client:
        for _ in range(3):
            await client.get("/nowhere")
        answer = await client.get("/nowhere")

    assert answer.status_code == 429
    assert answer.json()["title"] == "Too Many Requests"
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["RateLimit"].startswith('"default";r=0;')
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_addresses_are_counted_separately(limited: FastAPI) -> None:
    """One address does not use up another's limit."""
    async with running(limited) as client:
        for _ in range(4):
            await client.get("/nowhere")
        other = AsyncClient(transport=ASGITransport(limited, client=("192.0.2.2", 1)), base_url="http://test")

        assert (await other.get("/nowhere")).status_code == 404
        # Any client can write this header; the server itself reads it, and from trusted proxies only.
        assert (await client.get("/nowhere", headers={"X-Forwarded-For": "192.0.2.3"})).status_code == 429


async def test_probes_are_not_limited(limited: FastAPI) -> None:
    """An orchestrator may probe as often as it wants."""
    async with running(limited) as client:
        assert {(await client.get("/healthz")).status_code for _ in range(10)} == {200}


async def test_no_limit(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty rate allows everything, without a header."""
    monkeypatch.setenv("RATE_LIMIT", "")
    async with running(new_app()) as client:
        answer = await client.get("/nowhere")

    assert "RateLimit" not in answer.headers


KEYS = {
    "192.0.2.1": "192.0.2.1",
    "2001:db8:1:2:3:4:5:6": "2001:0db8:0001:0002",
    "::ffff:192.0.2.1": "192.0.2.1",
    "a-unix-peer": "a-unix-peer",
}


def test_key_of_an_address() -> None:
    """A host with a whole IPv6 network counts as one; servers behind a Unix socket have no address."""
    assert {address: client_address({"client": (address, 1)}) for address in KEYS} == KEYS
    assert client_address({"client": None}) == "unknown"


async def test_networks_of_one_site_share_a_limit(limited: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Using another IPv6 network for each request gains at most a few times the limit."""
    monkeypatch.setattr("time.time", lambda: 600.0)
    rate_limit = services_of(limited).rate_limit

    async def allowed(site: str, networks: int) -> int:
        addresses = [f"{site}:{number:x}::1" for number in range(1, networks + 1)]
        return sum([(await rate_limit.hit({"client": (address, 1), "headers": []}))[0] for address in addresses])

    assert await allowed("2001:db8:1", 100) == 3 * NETWORKS
    assert await allowed("2001:db8:2", 40) == 40
    refused, headers, _ = await rate_limit.hit({"client": ("2001:db8:1:ffff::1", 1), "headers": []})
    assert not refused
    assert dict(headers)[b"ratelimit"].startswith(b'"default";r=0;t=')


async def test_attempts_from_one_site_share_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """So do separately limited attempts; other keys stand for themselves."""
    monkeypatch.setattr("time.time", lambda: 600.0)
    rate_limit = RateLimit("")
    for number in range(NETWORKS * 2):
        await rate_limit.spend("2/minute", "auth", client_address({"client": (f"2001:db8:1:{number:x}::1", 1)}))
    with pytest.raises(TooManyRequests):
        await rate_limit.spend("2/minute", "auth", client_address({"client": ("2001:db8:1:ffff::1", 1)}))
    for number in range(NETWORKS * 3):
        await rate_limit.spend("2/minute", "auth", client_address({"client": (f"192.0.2.{number}", 1)}))
        await rate_limit.spend("2/minute", "auth", f"subject:2001:0db8:0001:{number:04x}")


class TestInProcessStorage(RateLimitContract):
    """The in-process storage fulfils the contract."""

    @pytest.fixture
    def storage(self) -> InProcessStorage:
        """Return a storage."""
        return InProcessStorage()


async def test_window_slides(monkeypatch: pytest.MonkeyPatch) -> None:
    """The previous window counts by the share that overlaps the last minute."""
    clock = [600.0]
    monkeypatch.setattr("time.time", lambda: clock[0])
    storage, rates = InProcessStorage(), [Rate(10, 60)]

    async def allowed() -> int:
        return sum([(await storage.hit("key", rates))[0].allowed for _ in range(20)])

    assert await allowed() == 10
    clock[0] = 660.0
    assert await allowed() == 0
    clock[0] = 690.0
    assert await allowed() == 5
    assert await storage.hit("key", rates) == [Window(allowed=False, remaining=0, reset=0.0)]
    clock[0] = 691.0
    (window,) = await storage.hit("key", rates)
    assert (window.allowed, window.remaining, round(window.reset, 6)) == (False, 1, 5.0)
    clock[0] = 900.0
    assert await allowed() == 10


async def test_memory_is_bounded() -> None:
    """However many callers there are, only the latest ones are remembered."""
    storage, rates = InProcessStorage(max_keys=3), [Rate(2, 60)]
    for key in "abcbd":
        await storage.hit(key, rates)

    assert len(storage) == 3
    assert [(await storage.hit(key, rates))[0].remaining for key in "bd"] == [0, 0]
    assert (await storage.hit("a", rates))[0].remaining == 1


async def test_requests_that_cannot_be_counted_are_refused(limited: FastAPI) -> None:
    """If the storage refuses uncounted hits, requests get 503 with a time to wait."""

    class Failing(InProcessStorage):
        async def hit(self, key: str, rates: Sequence[Rate]) -> list[Window]:
            raise Unavailable(f"{len(rates)} rates of {key} cannot be counted.")

    services_of(limited).rate_limit.storage = Failing()
    async with running(limited) as client:
        answer = await client.get("/nowhere")

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert answer.json()["title"] == "Service Unavailable"


async def test_limit_of_one_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts each caller, and does not affect other operations."""
    monkeypatch.setenv("RATE_LIMIT", "")
    app = new_app()

    @app.get("/limited", dependencies=[Depends(limit("2/minute"))])
    async def limited() -> None: ...

    @app.get("/other", dependencies=[Depends(limit("2/minute"))])
    async def other() -> None: ...

    async with running(app) as client:
        answers = [await client.get("/limited") for _ in range(3)]
        stranger = AsyncClient(transport=ASGITransport(app, client=("192.0.2.2", 1)), base_url="http://test")

        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert 1 <= int(answers[2].headers["Retry-After"]) <= 60
        assert (await client.get("/other")).status_code == 200
        assert (await stranger.get("/limited")).status_code == 200


def test_invalid_rate_is_refused_at_once() -> None:
    """Not only on the first request."""
    with pytest.raises(ValueError, match="often"):
        limit("often")
