"""Signing keys: the first signs, all verify, so rotating them ends no login."""

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import KeySet, OctKey, OKPKey

from keel.auth.settings import KEY_BYTES, key_bytes

Key = OctKey | OKPKey


def make_ring(algorithm: str, keys: Sequence[str]) -> KeySet:
    """Return the keys, each named by its thumbprint (RFC 7638), in the given order."""
    return KeySet([_make(algorithm, key) for key in keys])


def _make(algorithm: str, key: str) -> Key:
    secret = key_bytes(key)
    if algorithm == "HS256":
        made: Key = OctKey.import_key(secret)
    else:
        # The same random bytes are the seed of an Ed25519 key (RFC 8032), so rotation is the same for both.
        private = Ed25519PrivateKey.from_private_bytes(secret[:KEY_BYTES])
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        made = OKPKey.import_key(pem)
    made.ensure_kid()
    return made


def public_keys(ring: KeySet) -> dict[str, list[dict[str, object]]]:
    """Return the public keys of the ring (RFC 7517); none for HS256, whose keys are secret."""
    return {"keys": [{**key.as_dict(private=False), "use": "sig"} for key in ring.keys if isinstance(key, OKPKey)]}
