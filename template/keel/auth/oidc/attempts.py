"""A sign-in attempt, encrypted in a cookie of the browser that began it; the server stores nothing."""

import hmac
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwe import JWERegistry
from joserfc.jwk import KeySet, OctKey

from keel.auth.digests import new_token
from keel.auth.oidc.problems import SignInFailed
from keel.auth.settings import key_bytes

LIFETIME = 600
"""Seconds until an attempt expires."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the provider's response must match."""

    state: str
    nonce: str
    verifier: str
    """The verifier of the provider's code (PKCE, RFC 7636)."""
    challenge: str
    """The challenge of our own code, by the client's verifier (PKCE)."""


class Attempts:
    """Begins, encrypts (A256GCM) and decrypts attempts."""

    def __init__(self, keys: Sequence[str]) -> None:
        derived = [hmac.digest(key_bytes(key), b"oidc attempt", "sha256") for key in keys]
        self._ring = KeySet([OctKey.import_key(key) for key in derived])
        self._registry = JWERegistry(algorithms=["dir", "A256GCM"])

    def begin(self, challenge: str) -> Attempt:
        """Return a new attempt."""
        return Attempt(state=new_token(), nonce=new_token(), verifier=new_token(), challenge=challenge)

    def seal(self, attempt: Attempt) -> str:
        """Return the encrypted attempt."""
        key = self._ring.keys[0]
        header = {"alg": "dir", "enc": "A256GCM", "kid": key.kid}
        return jwt.encode(header, {**asdict(attempt), "exp": time.time() + LIFETIME}, key, registry=self._registry)

    def open(self, sealed: str, state: str) -> Attempt:
        """Decrypt an attempt and check its state and age.

        Raises:
            SignInFailed: the attempt is not this browser's, or has expired.
        """
        try:
            claims = jwt.decode(sealed, self._ring, registry=self._registry).claims
            expires_at = claims.pop("exp")
            attempt = Attempt(**claims)
        except (JoseError, ValueError, TypeError, KeyError):
            raise SignInFailed("This browser did not start a sign-in here; sign in again.") from None
        if not hmac.compare_digest(attempt.state.encode(), state.encode()):
            raise SignInFailed("This browser has started another sign-in since; sign in again.")
        if expires_at < time.time():
            raise SignInFailed("The sign-in took too long; sign in again.")
        return attempt
