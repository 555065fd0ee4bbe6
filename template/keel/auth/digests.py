"""Random tokens. Only their digests are stored, so that read access to the database does not reveal them."""

import hashlib
import secrets


def new_token() -> str:
    """Return a token of 256 random bits."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """Return the SHA-256 digest of a token. No salt or stretching: the token has 256 random bits."""
    return hashlib.sha256(token.encode(errors="replace")).digest()
