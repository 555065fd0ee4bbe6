"""URLs and settings of Redis."""

import pytest

from keel.redis.settings import RedisSettings
from keel.redis.urls import RedisUrl
from keel.settings import SettingsError

URLS = {
    "redis://localhost": RedisUrl("single", (("localhost", 6379),)),
    "redis://h:1/2": RedisUrl("single", (("h", 1),), db=2),
    "rediss://me:p%40ss@h": RedisUrl("single", (("h", 6379),), tls=True, username="me", password="p@ss"),
    "redis://:secret@[::1]:7": RedisUrl("single", (("::1", 7),), password="secret"),
    "redis://h?db=4": RedisUrl("single", (("h", 6379),), db=4, options={"db": "4"}),
    "redis://h/2/?db=4": RedisUrl("single", (("h", 6379),), db=2, options={"db": "4"}),
    "redis://:a%3Ab@c@h": RedisUrl("single", (("h", 6379),), password="a:b@c"),
    "unix://me:p%40ss@/run/redis.sock": RedisUrl("unix", path="/run/redis.sock", username="me", password="p@ss"),
    "redis://me:a:b@h": RedisUrl("single", (("h", 6379),), username="me", password="a:b"),
    "redis+sentinel://a/main?sentinel_username=w": RedisUrl(
        "sentinel", (("a", 26379),), service="main", options={"sentinel_username": "w"}
    ),
    "redis+cluster://h/0": RedisUrl("cluster", (("h", 6379),)),
    "unix:///run/redis.sock?db=3": RedisUrl("unix", path="/run/redis.sock", db=3),
    "redis+sentinel://a,b:7/main/4?sentinel_password=x": RedisUrl(
        "sentinel", (("a", 26379), ("b", 7)), service="main", db=4, options={"sentinel_password": "x"}
    ),
    "REDIS+cluster://u:p@a,[::1]:7,[fe80::2]?db=0#ignored": RedisUrl(
        "cluster",
        (("a", 6379), ("::1", 7), ("fe80::2", 6379)),
        username="u",
        password="p",
        options={"db": "0"},
    ),
    "redis+sentinel://[::1],[::2]/main": RedisUrl("sentinel", (("::1", 26379), ("::2", 26379)), service="main"),
    "rediss+cluster://u:p@a:1,b": RedisUrl("cluster", (("a", 1), ("b", 6379)), tls=True, username="u", password="p"),
}

WRONG = {
    "http://h": "not a URL of a Redis server; write redis://user:password@host:6379/0",
    "redis:///0": "not a URL of a Redis server",
    "unix+cluster:///run/redis.sock": "not a URL of a Redis server",
    "unix://": "not a URL of a Redis server",
    "localhost:6379": "not a URL of a Redis server",
    "redis+cluster://a,[::1": "Invalid IPv6 URL",
    "redis://h/\u0661": "the database must be a number",
    "redis+ring://h": "not a URL of a Redis server",
    "redis://h:port": "Port could not be cast",
    "redis://h/a": "the database must be a number",
    "redis://a,b": "several hosts",
    "redis://,": "a host name is missing",
    "redis+sentinel://h": "name the service",
    "redis+cluster://h/1": "a cluster has no databases",
    "redis://h?ssl_version=3": "unknown options: ssl_version",
    "redis://h?ssl_cert_reqs=none": "ssl_cert_reqs: only for TLS; write rediss",
    "rediss://h?ssl_cert_reqs=maybe": "ssl_cert_reqs must be required or none",
    "rediss://h?ssl_check_hostname=no": "ssl_check_hostname must be true or false",
}


@pytest.mark.parametrize("url", URLS)
def test_urls(url: str) -> None:
    """Each form is parsed."""
    assert RedisUrl.parse(url) == URLS[url]


@pytest.mark.parametrize("url", WRONG)
def test_wrong_urls(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the mistake and repeats no secret."""
    monkeypatch.setenv("REDIS_URL", url.replace("://", "://user:secret@") if "///" not in url else url)
    with pytest.raises(SettingsError, match=WRONG[url]) as error:
        RedisSettings.load()

    assert "REDIS_URL" in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    ["rediss://db.example.com", "redis+sentinel://a,b/main", "redis+cluster://10.0.0.1", "redis://localhost:6379/0"],
)
def test_open_servers_are_rejected(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In deployments, a remote server without credentials is rejected, and so is the default."""
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(SettingsError, match="REDIS_URL"):
        RedisSettings.load()


@pytest.mark.parametrize(
    "url",
    ["rediss://:p@db.example.com", "rediss://db.example.com?ssl_certfile=/a&ssl_keyfile=/b", "unix:///run/redis.sock"],
)
def test_protected_servers_are_accepted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password, a client certificate or a local socket is accepted."""
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("REDIS_URL", url)

    assert RedisSettings.load().url.get_secret_value() == url


TLS = {
    "redis://h": {},
    "rediss://h?db=1": {"ssl_check_hostname": True},
    "rediss://h?ssl_ca_certs=/ca&ssl_check_hostname=true": {"ssl_ca_certs": "/ca", "ssl_check_hostname": True},
    "rediss://h?ssl_cert_reqs=none&ssl_check_hostname=false": {"ssl_cert_reqs": "none", "ssl_check_hostname": False},
}


def test_tls() -> None:
    """The host's name is checked unless the URL says otherwise."""
    assert {url: RedisUrl.parse(url).tls_options for url in TLS} == TLS


def test_servers_of_this_machine() -> None:
    """All of them have to be."""
    local = ["redis://localhost", "redis://127.0.0.1", "redis://[::1]", "unix:///s", "redis+cluster://localhost,[::1]"]

    assert all(RedisUrl.parse(url).local for url in local)
    assert not any(RedisUrl.parse(url).local for url in ("redis://10.0.0.1", "redis+cluster://localhost,b"))


def test_secrets_are_not_logged() -> None:
    """`str()` and `repr()` contain hosts, but no credentials."""
    url = RedisUrl.parse("redis+sentinel://me:secret@a,b:7/main?sentinel_password=hidden")

    assert str(url) == "sentinel a:26379,b:7 main"
    assert str(RedisUrl.parse("unix://:secret@/run/redis.sock")) == "unix /run/redis.sock"
    assert "secret" not in repr(url)
    assert "hidden" not in repr(url)
