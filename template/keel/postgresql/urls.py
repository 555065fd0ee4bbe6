"""URLs of PostgreSQL as hosting services give them: what libpq's parameters are to asyncpg."""

import ssl
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

EXAMPLE = "postgresql+asyncpg://user:password@host/database"

MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
HOSTS = {"host", "port"}
"""SQLAlchemy understands these itself, also for several servers."""

IN_DSN = {
    *("dbname", "user", "password", "passfile", "target_session_attrs", "krbsrvname", "gsslib", "sslmode"),
    *("sslnegotiation", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version"),
}
"""asyncpg understands these where they stand in a URL."""

AT_START = {"application_name", "options"}
"""A connection tells these to the server when it begins."""

HINTS = {
    "pgbouncer": "set DATABASE_POOLER=true",
    "prepared_statement_cache_size": "set DATABASE_POOLER=true if a pooler needs it",
    "statement_cache_size": "set DATABASE_POOLER=true if a pooler needs it",
    "connection_limit": "set DATABASE_POOL_SIZE",
    "pool_timeout": "set DATABASE_POOL_TIMEOUT",
}
"""What other libraries' parameters are called here."""


def parse(text: str) -> URL:
    """Return a URL with libpq's parameters, for asyncpg.

    Raises:
        ValueError: it is no URL of PostgreSQL, or has a parameter that has no meaning here; the message names it, and
            repeats nothing that may be secret.
    """
    scheme, _, rest = text.partition("://")
    head, mark, query = rest.partition("?")
    login, at, place = head.rpartition("@")
    hosts, slash, path = place.partition("/")
    several = hosts.split(",")
    try:
        if len(several) > 1:  # a notation of libpq's that SQLAlchemy writes otherwise
            url = make_url(f"{scheme}://{login}{at}{slash}{path}{mark}{query}")
            url = url.update_query_pairs([("host", host if ":" in host else f"{host}:5432") for host in several])
        else:
            url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError(f"this is not a URL; write {EXAMPLE}") from None
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise ValueError(f"this project was made for PostgreSQL; write {EXAMPLE}")
    if isinstance(mode := url.query.get("ssl"), str):
        mode = {"true": "require", "false": "disable"}.get(mode, mode)
        url = url.difference_update_query(["ssl"]).update_query_dict({"sslmode": mode})
    url = url.set(drivername="postgresql+asyncpg")
    split(url)
    return url


def split(url: URL) -> tuple[URL, dict[str, Any]]:
    """Return a URL without parameters, and what these are as arguments of `asyncpg.connect`.

    Raises:
        ValueError: a parameter has no meaning here; the message names it.
    """
    given: dict[str, str] = {}
    for name, value in url.query.items():
        if name not in HOSTS and not isinstance(value, str):
            raise ValueError(f"{name} stands in the URL twice")
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
        hint = HINTS.get(name, "take it out; settings of the server are written as options=-c%20name%3Dvalue")
        raise ValueError(f"asyncpg knows no {name}: {hint}")
    if rest.get("target_session_attrs") == "read-write":  # which the connections that only read are not
        rest["target_session_attrs"] = "primary"
    if rest:
        arguments["dsn"] = f"postgresql://?{urlencode(rest)}"
    return url.difference_update_query(given.keys() - HOSTS), arguments


def _check_security(given: dict[str, str]) -> None:
    """Refuse what a connection would not keep to; take out what it keeps to anyway."""
    mode = given.get("sslmode", "prefer")
    if mode not in MODES:
        raise ValueError(f"sslmode must be one of {', '.join(MODES)}")
    if given.get("sslrootcert") == "system" and mode != "verify-full":
        raise ValueError("sslrootcert=system needs sslmode=verify-full")
    if given.pop("channel_binding", "") == "require" and mode != "verify-full":
        raise ValueError(
            "asyncpg knows no channel_binding: take it out, or write sslmode=verify-full, which proves as well who the "
            "server is (with sslrootcert=system if a public authority has signed its certificate)"
        )
    if given.pop("gssencmode", "") == "require":
        raise ValueError("asyncpg knows no gssencmode=require: take it out")
    if given.pop("client_encoding", "utf8").lower() not in {"utf8", "utf-8", "auto"}:
        raise ValueError("client_encoding must be utf8: take it out")
