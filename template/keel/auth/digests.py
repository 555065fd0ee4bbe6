"""Random tokens, of which only a digest is stored: who reads the database cannot use them."""

import hashlib
import secrets


def new_token() -> str:
    """Return a token of 256 random bits."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """Return what is stored of a token. It is random, so that a plain hash is enough."""
    return hashlib.sha256(token.encode(errors="replace")).digest()
