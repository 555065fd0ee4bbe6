"""Passwords: argon2id in threads, and rules after NIST SP 800-63B-4."""

import secrets
import unicodedata
from http import HTTPStatus

from anyio import CapacityLimiter, to_thread
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from keel import about
from keel.auth.settings import AuthSettings
from keel.web.errors import AppError

_SCORE = 3
"""The lowest accepted zxcvbn score: at least 10^8 guesses."""

_WEIGHED = 64
"""Characters that are scored at most; scoring takes more than linear time."""


class WeakPassword(AppError):
    """The password is too easy to guess."""

    status = HTTPStatus(422)
    type = "urn:problem:weak-password"


class Passwords:
    """Hashes and verifies passwords, at most `hash_threads` at a time."""

    def __init__(self, settings: AuthSettings) -> None:
        hasher = Argon2Hasher(time_cost=settings.hash_time, memory_cost=settings.hash_memory, parallelism=1)
        self._hash = PasswordHash((hasher,))
        self._limiter = CapacityLimiter(settings.hash_threads)
        self._min_length = settings.password_min_length
        self._dummy: str | None = None

    async def hash(self, password: str) -> str:
        """Return the hash of a password."""
        return await to_thread.run_sync(self._hash.hash, _normalised(password), limiter=self._limiter)

    async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Return whether a password is right, and a new hash if the stored one uses weaker parameters than today's.

        Without a stored hash it takes equally long and returns False.
        """
        return await to_thread.run_sync(self._verify, _normalised(password), stored, limiter=self._limiter)

    def _verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        if stored is None:
            if self._dummy is None:
                self._dummy = self._hash.hash(secrets.token_urlsafe())
            self._hash.verify(password, self._dummy)
            return False, None
        return self._hash.verify_and_update(password, stored)

    async def check(self, password: str, email: str) -> None:
        """Refuse a new password that is short, common, or made of the address or the application's name.

        Raises:
            WeakPassword: the detail names the reason.
        """
        normalised = _normalised(password)
        if len(normalised) < self._min_length:
            raise WeakPassword(f"Use at least {self._min_length} characters; several words make a good password.")
        words = [email, *email.replace(".", "@").split("@"), *about.NAME.lower().split()]
        if await to_thread.run_sync(_score, normalised, words, limiter=self._limiter) < _SCORE:
            raise WeakPassword("This password is easy to guess; use several words that have nothing to do with you.")


def _score(password: str, words: list[str]) -> int:
    # Imported late: it loads lists of common passwords and words, which are only needed when a password is chosen.
    from zxcvbn import zxcvbn

    return zxcvbn(password[:_WEIGHED], user_inputs=words)["score"]


def _normalised(password: str) -> str:
    """Return the NFKC form: the same characters for the same keys on every machine (NIST SP 800-63B-4, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
