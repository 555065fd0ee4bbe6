"""An attempt to sign in, sealed in a cookie of the browser that began it: nothing is stored while somebody types."""

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
"""Seconds that somebody has to sign in at the provider."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What an answer of the provider must fit."""

    state: str
    nonce: str
    verifier: str
    """Proves to the provider that who exchanges its code asked for it (PKCE, RFC 7636)."""
    challenge: str
    """What whoever exchanges our own code must prove to know the verifier of."""


class Attempts:
    """Begins attempts, seals them (A256GCM), and opens what was sealed."""

    def __init__(self, keys: Sequence[str]) -> None:
        derived = [hmac.digest(key_bytes(key), b"oidc attempt", "sha256") for key in keys]
        self._ring = KeySet([OctKey.import_key(key) for key in derived])
        self._registry = JWERegistry(algorithms=["dir", "A256GCM"])

    def begin(self, challenge: str) -> Attempt:
        """Return a new attempt."""
        return Attempt(state=new_token(), nonce=new_token(), verifier=new_token(), challenge=challenge)

    def seal(self, attempt: Attempt) -> str:
        """Return the attempt as text that only we can read or make."""
        key = self._ring.keys[0]
        header = {"alg": "dir", "enc": "A256GCM", "kid": key.kid}
        return jwt.encode(header, {**asdict(attempt), "exp": time.time() + LIFETIME}, key, registry=self._registry)

    def open(self, sealed: str, state: str) -> Attempt:
        """Return the attempt that a state belongs to.

        Raises:
            SignInFailed: this browser began no such attempt, or too long ago.
        """
        try:
            claims = jwt.decode(sealed, self._ring, registry=self._registry).claims
            expires_at = claims.pop("exp")
            attempt = Attempt(**claims)
        except (JoseError, ValueError, TypeError, KeyError):
            raise SignInFailed("This browser did not begin to sign in here; begin again.") from None
        if not hmac.compare_digest(attempt.state.encode(), state.encode()):
            raise SignInFailed("This browser began to sign in elsewhere since; begin again.")
        if expires_at < time.time():
            raise SignInFailed("That took too long; begin again.")
        return attempt
