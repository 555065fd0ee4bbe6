"""Where Redis may be."""

import pytest

from keel.redis.settings import RedisSettings
from keel.redis.urls import Place
from keel.settings import SettingsError

PLACES = {
    "redis://localhost": Place("single", (("localhost", 6379),)),
    "redis://h:1/2": Place("single", (("h", 1),), db=2),
    "rediss://me:p%40ss@h": Place("single", (("h", 6379),), tls=True, username="me", password="p@ss"),
    "redis://:secret@[::1]:7": Place("single", (("::1", 7),), password="secret"),
    "unix:///run/redis.sock?db=3": Place("unix", path="/run/redis.sock", db=3),
    "redis+sentinel://a,b:7/main/4?sentinel_password=x": Place(
        "sentinel", (("a", 26379), ("b", 7)), service="main", db=4, options={"sentinel_password": "x"}
    ),
    "rediss+cluster://u:p@a:1,b": Place("cluster", (("a", 1), ("b", 6379)), tls=True, username="u", password="p"),
}

WRONG = {
    "http://h": "no URL of a Redis",
    "redis:///0": "no URL of a Redis",
    "redis+ring://h": "no URL of a Redis",
    "redis://h:port": "Port could not be cast",
    "redis://h/a": "the database is a number",
    "redis://a,b": "several hosts",
    "redis://,": "a host has no name",
    "redis+sentinel://h": "name the service",
    "redis+cluster://h/1": "a cluster has no databases",
    "redis://h?ssl_cert_reqs=none": "unknown options: ssl_cert_reqs",
}


@pytest.mark.parametrize("url", PLACES)
def test_urls(url: str) -> None:
    """Each form says what it seems to say."""
    assert Place.parse(url) == PLACES[url]


@pytest.mark.parametrize("url", WRONG)
def test_wrong_urls(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake is named, and what may be secret is not repeated."""
    monkeypatch.setenv("REDIS_URL", url.replace("://", "://user:secret@") if "///" not in url else url)
    with pytest.raises(SettingsError, match=WRONG[url]) as error:
        RedisSettings.load()

    assert "REDIS_URL" in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    ["rediss://db.example.com", "redis+sentinel://a,b/main", "redis+cluster://10.0.0.1", "redis://localhost:6379/0"],
)
def test_open_servers_are_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of local and test, a server that anybody may use, or the default, is refused by name."""
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(SettingsError, match="REDIS_URL"):
        RedisSettings.load()


@pytest.mark.parametrize(
    "url",
    ["rediss://:p@db.example.com", "rediss://db.example.com?ssl_certfile=/a&ssl_keyfile=/b", "unix:///run/redis.sock"],
)
def test_closed_servers_are_accepted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password, a certificate, or not leaving the machine will do."""
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("REDIS_URL", url)

    assert RedisSettings.load().url.get_secret_value() == url


def test_nothing_secret_is_shown() -> None:
    """What is logged of a place names hosts, and nothing that opens them."""
    place = Place.parse("redis+sentinel://me:secret@a,b:7/main?sentinel_password=hidden")

    assert str(place) == "sentinel a:26379,b:7 main"
    assert "secret" not in repr(place)
    assert "hidden" not in repr(place)
