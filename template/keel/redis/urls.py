"""The URLs of Redis.

    redis://user:password@host:6379/0                   one server
    unix:///run/redis.sock?db=0                         one server on this machine
    redis+sentinel://user:password@a:26379,b:26379/service/0?sentinel_password=...
    redis+cluster://user:password@a:6379,b:6379

With `rediss` instead of `redis`, connections use TLS, and the server's certificate is verified; `ssl_ca_certs`, `ssl_certfile`
and `ssl_keyfile` in the query name files, `ssl_check_hostname=false` accepts a certificate for another host,
`ssl_cert_reqs=none` any certificate. Characters such as @ and / in a password are percent-encoded.
"""

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

EXAMPLE = "redis://user:password@host:6379/0"
Kind = Literal["single", "unix", "sentinel", "cluster"]
_FORMS: dict[str, Kind] = {"": "single", "sentinel": "sentinel", "cluster": "cluster"}
_PORTS = {"single": 6379, "cluster": 6379, "sentinel": 26379}
_VALUES = {"ssl_cert_reqs": ("required", "none"), "ssl_check_hostname": ("true", "false")}
_TLS = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", *_VALUES}
_OPTIONS = {*_TLS, "db", "sentinel_username", "sentinel_password"}
_LOCAL = {"localhost", "127.0.0.1", "::1"}
# RFC 3986, appendix B. `urlsplit` rejects a list of hosts with an IPv6 address.
_PARTS = re.compile(r"([^:/?#]+)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A parsed URL; log nothing but its `str()`, which has no secrets."""

    kind: Kind
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    db: int = 0
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    options: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, url: str) -> "RedisUrl":
        """Read a URL.

        Raises:
            ValueError: it has none of the forms above; the message does not repeat the URL, which may contain secrets.
        """
        parts = _PARTS.fullmatch(url)
        if not parts:
            raise ValueError(f"not a URL of a Redis server; write {EXAMPLE}")
        prefix, authority, path, query = parts.groups(default="")
        scheme, _, kind = prefix.lower().partition("+")
        options = dict(parse_qsl(query))
        if unknown := options.keys() - _OPTIONS:
            raise ValueError(f"unknown options: {', '.join(sorted(unknown))}")
        for name, values in _VALUES.items():
            if options.get(name, values[0]) not in values:
                raise ValueError(f"{name} must be {' or '.join(values)}")
        if scheme != "rediss" and (useless := _TLS & options.keys()):
            raise ValueError(f"{', '.join(sorted(useless))}: only for TLS; write rediss")
        login, _, hosts = authority.rpartition("@")
        username, _, password = login.partition(":")
        user, secret = unquote(username) or None, unquote(password) or None
        if scheme == "unix" and not kind and path:
            return cls("unix", path=path, db=_number(options.get("db")), username=user, password=secret)
        form = _FORMS.get(kind)
        if scheme not in {"redis", "rediss"} or form is None or not hosts:
            raise ValueError(f"not a URL of a Redis server; write {EXAMPLE}")
        service, db = "", path.strip("/")
        if form == "sentinel":
            service, _, db = db.partition("/")
            if not service:
                raise ValueError("name the service that the sentinels monitor: redis+sentinel://host:26379/service")
        number = _number(db or options.get("db"))
        if form == "cluster" and number:
            raise ValueError("a cluster has no databases; omit the number")
        addresses = tuple(_address(host, _PORTS[form]) for host in hosts.split(","))
        if form == "single" and len(addresses) > 1:
            raise ValueError("several hosts need +sentinel or +cluster after the scheme")
        tls = scheme == "rediss"
        return cls(form, addresses, "", service, number, tls, user, secret, options)

    @property
    def local(self) -> bool:
        """Whether the server runs on this machine."""
        return all(host in _LOCAL for host, _ in self.hosts)

    @property
    def tls_options(self) -> dict[str, str | bool]:
        """The client's options for TLS; by default, the certificate is verified."""
        options = {name: value for name, value in self.options.items() if name.startswith("ssl_")}
        return {**options, "ssl_check_hostname": options.get("ssl_check_hostname") != "false"} if self.tls else {}

    @property
    def authenticated(self) -> bool:
        """Whether the URL has a password or a client certificate."""
        return bool(self.password or "ssl_certfile" in self.options)

    def __str__(self) -> str:
        """Return the kind and the hosts, without secrets."""
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{self.kind} {hosts or self.path} {self.service}".rstrip()


def _number(text: str | None) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ValueError("the database must be a number, such as /0 at the end")
    return int(text)


def _address(text: str, default: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(f"a host name is missing; write {EXAMPLE}")
    return parts.hostname, parts.port or default
