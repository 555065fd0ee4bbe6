"""Access tokens: JWTs after RFC 9068. Verified claims are cached until they expire."""

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry

from keel.auth.settings import AuthSettings
from keel.caller import Caller, VerifiedCaller

_REMEMBERED = 10_000
"""Tokens whose claims are cached (LRU)."""


class InvalidToken(Exception):
    """The token is malformed, expired, or not signed by one of our keys."""


@dataclass(frozen=True, slots=True)
class Claims(VerifiedCaller):
    """The claims of a verified access token."""

    expires_at: float
    session_id: UUID


class AccessTokens:
    """Issues and verifies access tokens."""

    def __init__(self, settings: AuthSettings, ring: KeySet) -> None:
        self._algorithm = settings.algorithm
        self._issuer = settings.issuer
        self._audience = settings.audience
        self._ring = ring
        self._known: OrderedDict[str, Claims] = OrderedDict()
        self._registry = JWTClaimsRegistry(
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "value": settings.audience},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            leeway=0,
        )
        self.lifetime = int(settings.access_minutes * 60)
        """Lifetime of a token in seconds."""

    def make(self, subject: str, scope: str, session_id: UUID) -> str:
        """Return a token for a subject and a scope."""
        now = int(time.time())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": subject,
            "iat": now,
            "exp": now + self.lifetime,
            "jti": secrets.token_urlsafe(12),
            "sid": str(session_id),
            "scope": scope,
        }
        key = self._ring.keys[0]
        return jwt.encode({"alg": self._algorithm, "kid": key.kid, "typ": "at+jwt"}, claims, key, [self._algorithm])

    def verify(self, token: str) -> Claims:
        """Return the claims of a token. The signature is checked the first time, the expiry every time.

        Raises:
            InvalidToken: it is not valid.
        """
        claims = self._known.get(token)
        if claims is None:
            claims = self._verify(token)
            self._known[token] = claims
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        elif claims.expires_at <= time.time():
            del self._known[token]
            raise InvalidToken
        else:
            self._known.move_to_end(token)
        return claims

    def _verify(self, token: str) -> Claims:
        try:
            # The algorithm is pinned; the token's own header does not choose it.
            decoded = jwt.decode(token, self._ring, [self._algorithm])
            if decoded.header.get("typ") != "at+jwt":
                raise InvalidToken
            self._registry.validate(decoded.claims)
            said = decoded.claims
            said["sub"].encode()
            caller = Caller(said["sub"], frozenset(said["scope"].split()))
            return Claims(caller, float(said["exp"]), UUID(said["sid"]))
        except (JoseError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise InvalidToken from error
