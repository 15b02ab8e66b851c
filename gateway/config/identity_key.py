"""The key that signs identity tokens: read from PEM, named by its thumbprint, shown as a JWK.

ES256 (P-256) and EdDSA (Ed25519) sign in microseconds, and every JOSE library verifies them. RSA would sign a hundred
times slower, in the middle of a request.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Algorithm = Literal["ES256", "EdDSA"]
_COORDINATE_BYTES = 32
_HOW_TO_MAKE = "write one made by `gateway keygen`"


@dataclass(frozen=True, slots=True, eq=False)
class IdentityKey:
    """Holds a key of P-256 or Ed25519. `private` is `None` for a key that is only published."""

    algorithm: Algorithm
    kid: str
    jwk: Mapping[str, str]
    private: EllipticCurvePrivateKey | Ed25519PrivateKey | None = field(repr=False)


def read_identity_key(pem: str, *, needs_private: bool) -> IdentityKey:
    """The key in `pem`, private or, unless `needs_private`, public. Raises `ValueError` with both halves of a message.

    The message quotes nothing of the key.
    """
    # Here and below, not above: it takes long, few files name a key, and `gateway check` is to be quick.
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    private = _private(pem)
    if private is None and needs_private:
        raise ValueError(f"this is not a private key in PEM without a passphrase; {_HOW_TO_MAKE}")
    public = _public(pem) if private is None else private.public_key()  # type: ignore[attr-defined]  # each kind has it
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
        numbers = public.public_numbers()
        members = {"crv": "P-256", "kty": "EC", "x": _coordinate(numbers.x), "y": _coordinate(numbers.y)}
        return _named("ES256", members, private if isinstance(private, ec.EllipticCurvePrivateKey) else None)
    if isinstance(public, ed25519.Ed25519PublicKey):
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        members = {"crv": "Ed25519", "kty": "OKP", "x": base64url(raw)}
        return _named("EdDSA", members, private if isinstance(private, ed25519.Ed25519PrivateKey) else None)
    if public is None:
        raise ValueError(f"this is not a key in PEM without a passphrase; {_HOW_TO_MAKE}")
    raise ValueError(f"this is a key of another kind than P-256 (ES256) or Ed25519 (EdDSA); {_HOW_TO_MAKE}")


def new_private_pem(algorithm: Algorithm) -> str:
    """A new private key as PEM (PKCS #8, RFC 5958)."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: PLC0415

    is_es256 = algorithm == "ES256"
    key = ec.generate_private_key(ec.SECP256R1()) if is_es256 else ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def key_set(keys: Iterable[IdentityKey]) -> bytes:
    """The JWK set (RFC 7517 §5) of the public halves, each once."""
    by_kid = {key.kid: key for key in keys}
    return json.dumps({"keys": [dict(key.jwk) for key in by_kid.values()]}).encode()


def base64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _named(
    algorithm: Algorithm, members: dict[str, str], private: EllipticCurvePrivateKey | Ed25519PrivateKey | None
) -> IdentityKey:
    """`members` are those that the thumbprint is made of (RFC 7638 §3.2, RFC 8037 §2), in their order."""
    kid = base64url(hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest())
    return IdentityKey(algorithm, kid, {**members, "kid": kid, "use": "sig", "alg": algorithm}, private)


def _coordinate(number: int) -> str:
    return base64url(number.to_bytes(_COORDINATE_BYTES, "big"))


def _private(pem: str) -> object | None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        return load_pem_private_key(pem.encode(), password=None)
    except Exception:  # noqa: BLE001 - cryptography raises several kinds, and more with each release
        return None


def _public(pem: str) -> object | None:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    try:
        return load_pem_public_key(pem.encode())
    except Exception:  # noqa: BLE001 - as above
        return None
