"""TLS to the broker: its certificate is verified unless the URL disables it. Kombu and amqp would not verify it."""

import ssl
from typing import Any
from urllib.parse import parse_qsl, urlencode

from keel.celery.broker.urls import split_addresses

SCHEMES = {"amqps", "rediss"}

_FILES = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}
_VALUES = {"ssl_cert_reqs": ("required", "none"), "ssl_check_hostname": ("true", "false")}


def separate(url: str) -> tuple[str, dict[str, Any] | None]:
    """Return a broker's URL without its TLS options, and Celery's `broker_use_ssl`; None without TLS.

    Raises:
        ValueError: an option has an invalid value, or the scheme is one without TLS.
    """
    brokers = split_addresses(url)
    scheme = brokers[0].scheme
    address, _, query = url.partition("?")
    others = dict(parse_qsl(query))
    options = {name: others.pop(name) for name in _FILES | _VALUES.keys() if name in others}
    for name, values in _VALUES.items():
        if options.get(name, values[0]) not in values:
            raise ValueError(f"{name} must be {' or '.join(values)}")
    if scheme not in SCHEMES:
        if options:
            raise ValueError(f"{', '.join(sorted(options))}: for TLS write amqps:// or rediss://")
        return url, None
    verified = options.pop("ssl_cert_reqs", "required") == "required"
    named = options.pop("ssl_check_hostname", "true") == "true" and verified
    reqs = ssl.CERT_REQUIRED if verified else ssl.CERT_NONE
    if scheme == "rediss":
        made: dict[str, Any] = {"ssl_cert_reqs": reqs, "ssl_check_hostname": named, **options}
    else:
        made = {"cert_reqs": reqs, **{name.removeprefix("ssl_"): path for name, path in options.items()}}
        if named:
            # Without it, amqp accepts a certificate for any host. None means the host of each broker in turn.
            made["server_hostname"] = brokers[0].hostname if len(brokers) == 1 else None
    return f"{address}?{urlencode(others)}" if others else address, made
