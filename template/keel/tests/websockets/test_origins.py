"""Origins that may open a socket."""

import pytest

from keel.settings import CoreSettings
from keel.websockets.handshake import is_origin_allowed


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, b"api.example.com", True),
        (b"https://api.example.com", b"API.example.com", True),
        (b"http://localhost:8000", b"localhost:8000", True),
        (b"https://front.example.com", b"api.example.com", True),
        (b"https://evil.example", b"api.example.com", False),
        (b"http://localhost:3000", b"localhost:8000", False),
        (b"null", b"api.example.com", False),
        (b"http://[", b"api.example.com", False),
        (b"https://api.example.com", b"", False),
        (b"", b"", False),
    ],
)
def test_origins(environment: None, origin: bytes | None, host: bytes, *, allowed: bool) -> None:
    """A page may connect to its own host, and to hosts that allow its origin."""
    settings = CoreSettings(cors_origins=("https://front.example.com",))
    headers = [(b"host", host), *([(b"origin", origin)] if origin is not None else [])]

    assert is_origin_allowed({"headers": headers}, settings) is allowed
