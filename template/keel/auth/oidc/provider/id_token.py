"""Validation of ID tokens (OpenID Connect Core 1.0, 3.1.3.7)."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry, extract_compact
from joserfc.jwt import JWTClaimsRegistry

LEEWAY = 60
"""Seconds by which the provider's clock may differ from ours."""

MAX_SUBJECT = 255


class InvalidIdToken(ValueError):
    """The token fails validation: issuer, audience, nonce, time, hash or signature."""


class UnknownKey(InvalidIdToken):
    """The token's key is not among the cached keys of the provider."""


def verify_id_token(
    token: str,
    keys: KeySet,
    *,
    algorithms: Sequence[str],
    issuer: str,
    client_id: str,
    nonce: str,
    access_token: str,
) -> dict[str, Any]:
    """Validate a token and return its claims.

    Raises:
        InvalidIdToken: a check fails.
        UnknownKey: it is signed with a key that is not in the set.
    """
    try:
        # The discovery document limits the algorithms; the token's header chooses among them.
        registry = JWSRegistry(algorithms=algorithms, strict_check_header=False)
        decoded = jwt.decode(token, keys, registry=registry)
        claims = decoded.claims
        _registry(issuer, client_id).validate(claims)
    except InvalidKeyIdError as error:
        raise UnknownKey("it names an unknown key") from error
    except BadSignatureError as error:
        if not _names_a_key(token):
            raise UnknownKey("it is signed with another key, and names none") from error
        raise InvalidIdToken("its signature is wrong") from error
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidIdToken(type(error).__name__) from error
    _check_parties(claims, client_id)
    if not _same(claims["nonce"], nonce):
        raise InvalidIdToken("its nonce belongs to another sign-in")
    if "at_hash" in claims and not _same(claims["at_hash"], _half_hash(access_token, decoded.header["alg"])):
        raise InvalidIdToken("its at_hash belongs to another access token")
    subject = claims["sub"]
    if not (subject.isascii() and subject.isprintable() and len(subject) <= MAX_SUBJECT):
        raise InvalidIdToken("its subject is missing")
    return claims


def _names_a_key(token: str) -> bool:
    return "kid" in extract_compact(token.encode()).headers()


def _registry(issuer: str, client_id: str) -> JWTClaimsRegistry:
    return JWTClaimsRegistry(
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client_id},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
        nonce={"essential": True},
        leeway=LEEWAY,
    )


def _check_parties(claims: dict[str, Any], client_id: str) -> None:
    """Check `aud` and `azp`."""
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if (several or "azp" in claims) and claims.get("azp") != client_id:
        raise InvalidIdToken("it was made for another client")


def _same(claimed: object, expected: str) -> bool:
    return isinstance(claimed, str) and hmac.compare_digest(claimed.encode(), expected.encode())


def _half_hash(text: str, algorithm: str) -> str:
    """Return the left half of a hash (3.1.3.6), by the hash function of the signature."""
    bits = algorithm[-3:] if algorithm[-3:] in {"256", "384"} else "512"
    hashed = hashlib.new(f"sha{bits}", text.encode()).digest()
    return urlsafe_b64encode(hashed[: len(hashed) // 2]).decode().rstrip("=")
