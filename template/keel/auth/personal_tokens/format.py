"""The format of personal access tokens: `pat_`, 43 random characters (base64url), 6 characters of checksum.

The checksum is GitHub's: CRC-32 of the random part, in base62 (0-9, A-Z, a-z), with leading zeros.
Scanners find leaked tokens by `pat_[A-Za-z0-9_-]{43}[A-Za-z0-9]{6}` and drop false alarms by the checksum, as the API
rejects typos without a query. It protects nothing: anyone can compute it.
"""

import re
import zlib

from keel.auth.digests import new_token

PREFIX = "pat_"
"""Distinguishes personal tokens from access tokens, for secret scanners too."""

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM = 6
_FORM = re.compile(PREFIX + r"([A-Za-z0-9_-]{43})([A-Za-z0-9]{6})")
_HINT = 4


def new_personal_token() -> str:
    """Return a token of 256 random bits."""
    secret = new_token()
    return f"{PREFIX}{secret}{checksum(secret)}"


def is_well_formed(token: str) -> bool:
    """Return whether a token has the format and the right checksum."""
    form = _FORM.fullmatch(token)
    return form is not None and form[2] == checksum(form[1])


def hint(token: str) -> str:
    """Return the last characters of a token, which are part of the checksum and not of the secret."""
    return token[-_HINT:]


def checksum(secret: str) -> str:
    """Return the checksum of the random part of a token."""
    number, digits = zlib.crc32(secret.encode()), ""
    for _ in range(_CHECKSUM):
        number, digit = divmod(number, len(_BASE62))
        digits = _BASE62[digit] + digits
    return digits
