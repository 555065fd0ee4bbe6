"""URLs of PostgreSQL in the form of hosting services: libpq's parameters, translated for asyncpg."""

import ssl
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

EXAMPLE = "postgresql+asyncpg://user:password@host/database"

MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
HOSTS = {"host", "port"}
"""Handled by SQLAlchemy, including several servers."""

IN_DSN = {
    *("dbname", "user", "password", "passfile", "target_session_attrs", "krbsrvname", "gsslib", "sslmode"),
    *("sslnegotiation", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version"),
}
"""Handled by asyncpg as parts of a DSN."""

AT_START = {"application_name", "options"}
"""Sent to the server when a connection starts."""

HINTS = {
    "pgbouncer": "set DATABASE_POOLER=true",
    "prepared_statement_cache_size": "set DATABASE_POOLER=true if a pooler needs it",
    "statement_cache_size": "set DATABASE_POOLER=true if a pooler needs it",
    "connection_limit": "set DATABASE_POOL_SIZE",
    "pool_timeout": "set DATABASE_POOL_TIMEOUT",
}
"""What to use instead of other libraries' parameters."""


def parse(text: str) -> URL:
    """Return a URL with libpq's parameters, for asyncpg.

    Raises:
        ValueError: it is not a PostgreSQL URL, or has an unsupported parameter; the message names it, and repeats
            nothing that may be secret.
    """
    scheme, _, rest = text.partition("://")
    head, mark, query = rest.partition("?")
    login, at, place = head.rpartition("@")
    hosts, slash, path = place.partition("/")
    several = hosts.split(",")
    try:
        if len(several) > 1:  # libpq's notation, which differs from SQLAlchemy's
            url = make_url(f"{scheme}://{login}{at}{slash}{path}{mark}{query}")
            url = url.update_query_pairs([("host", host if ":" in host else f"{host}:5432") for host in several])
        else:
            url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError(f"this is not a URL; write {EXAMPLE}") from None
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise ValueError(f"this project uses PostgreSQL; write {EXAMPLE}")
    if isinstance(mode := url.query.get("ssl"), str):
        mode = {"true": "require", "false": "disable"}.get(mode, mode)
        url = url.difference_update_query(["ssl"]).update_query_dict({"sslmode": mode})
    url = url.set(drivername="postgresql+asyncpg")
    split(url)
    return url


def split(url: URL) -> tuple[URL, dict[str, Any]]:
    """Return a URL without parameters, and these as arguments of `asyncpg.connect`.

    Raises:
        ValueError: a parameter is not supported; the message names it.
    """
    given: dict[str, str] = {}
    for name, value in url.query.items():
        if name not in HOSTS and not isinstance(value, str):
            raise ValueError(f"{name} is in the URL twice")
        given[name] = str(value)
    rest = {name: value for name, value in given.items() if name not in HOSTS}
    arguments: dict[str, Any] = {}
    if seconds := rest.pop("connect_timeout", ""):
        if not seconds.isdecimal():
            raise ValueError("connect_timeout must be a number of seconds")
        arguments["timeout"] = int(seconds) or None
    _check_security(rest)
    if rest.get("sslrootcert") == "system":
        del rest["sslrootcert"]
        arguments["ssl"] = ssl.create_default_context()
    server = {name: rest.pop(name) for name in AT_START & rest.keys()}
    if name := rest.pop("fallback_application_name", ""):
        server.setdefault("application_name", name)
    if server:
        arguments["server_settings"] = server
    for name in sorted(rest.keys() - IN_DSN):
        hint = HINTS.get(name, "remove it; write settings of the server as options=-c%20name%3Dvalue")
        raise ValueError(f"asyncpg does not support {name}: {hint}")
    if rest.get("target_session_attrs") == "read-write":  # read connections are read-only, so it would refuse them
        rest["target_session_attrs"] = "primary"
    if rest:
        arguments["dsn"] = f"postgresql://?{urlencode(rest)}"
    return url.difference_update_query(given.keys() - HOSTS), arguments


def _check_security(given: dict[str, str]) -> None:
    """Refuse security options that a connection would ignore; remove those that it meets anyway."""
    mode = given.get("sslmode", "prefer")
    if mode not in MODES:
        raise ValueError(f"sslmode must be one of {', '.join(MODES)}")
    if given.get("sslrootcert") == "system" and mode != "verify-full":
        raise ValueError("sslrootcert=system needs sslmode=verify-full")
    if given.pop("channel_binding", "") == "require" and mode != "verify-full":
        raise ValueError(
            "asyncpg does not support channel_binding: remove it, or write sslmode=verify-full, which also proves who "
            "the server is (with sslrootcert=system if a public authority has signed its certificate)"
        )
    if given.pop("gssencmode", "") == "require":
        raise ValueError("asyncpg does not support gssencmode=require: remove it")
    if given.pop("client_encoding", "utf8").lower() not in {"utf8", "utf-8", "auto"}:
        raise ValueError("client_encoding must be utf8: remove it")
