"""Audit log: security events of accounts, without secrets and without addresses."""

import hashlib
import hmac
from typing import Any

import structlog

log = structlog.get_logger("audit")


class Audit:
    """Writes audit events. Addresses appear as keyed hashes (HMAC-SHA-256)."""

    def __init__(self, key: bytes) -> None:
        self._key = hashlib.sha256(b"audit" + key).digest()

    def event(self, name: str, **fields: Any) -> None:
        """Write an event about a subject."""
        log.info("audit", action=name, **fields)

    def attempt(self, name: str, email: str, **fields: Any) -> None:
        """Write an event about an address."""
        log.info("audit", action=name, account=self.pseudonym(email), **fields)

    def pseudonym(self, email: str) -> str:
        """Return the keyed hash that replaces an address, here and wherever else addresses must not appear."""
        return hmac.new(self._key, email.encode(), "sha256").hexdigest()[:16]
