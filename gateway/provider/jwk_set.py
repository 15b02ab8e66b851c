"""Reads a JWK Set (RFC 7517) into public keys that a signature can be verified with.

Only keys of asymmetric signature algorithms count (RFC 8725 §3.1-3.3). One key serves only the algorithms of its own
type (RFC 8725 §3.10), and only the use and the algorithm that it is published for. Keys that are very large are
refused: each verification would cost too much.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from gateway.authn.compact_jws import decoded_part
from gateway.config.algorithms import SIGNATURE_ALGORITHMS
from gateway.provider.errors import UnusableResponseError

_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_ALGORITHMS_BY_TYPE: dict[tuple[str, str | None], frozenset[str]] = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
    ("OKP", "Ed448"): frozenset({"EdDSA"}),
}
_PRIVATE = frozenset({"d", "p", "q", "k"})
_RSA_MIN_BITS = 2048  # RFC 7518 §3.3
_RSA_MAX_BITS = 8_192  # verified in 0.3 ms; beyond, one verification takes milliseconds
# OpenSSL takes an exponent as long as the modulus, with which a verification takes as long as a signature.
_RSA_EXPONENT_MAX = 2**32
_KEYS_MAX = 100
_VERIFIERS = {name: jwt.get_algorithm_by_name(name) for name in SIGNATURE_ALGORITHMS}


@dataclass(frozen=True, slots=True)
class SigningKey:
    kid: str | None
    algorithms: frozenset[str]
    key: Any  # of the cryptography library

    def has_signed(self, token: str, algorithm: str) -> bool:
        """Whether this key has signed `token`, a compact JWS whose header names `algorithm`."""
        signing_input, _, signature = token.rpartition(".")
        try:
            data = decoded_part(signature)
        except ValueError:
            return False
        return self.verifies(signing_input.encode(), data, algorithm)

    def verifies(self, signing_input: bytes, signature: bytes, algorithm: str) -> bool:
        """Whether this key has made `signature` by `algorithm`."""
        return algorithm in self.algorithms and _VERIFIERS[algorithm].verify(signing_input, self.key, signature)

    def can_ever_serve(self, algorithm: str) -> bool:
        """Whether the key may serve `algorithm` some day. An RSA key may change from RS256 to PS256."""
        return not self.algorithms.isdisjoint(_RSA if algorithm in _RSA else {algorithm})


def read_keys(document: object) -> tuple[SigningKey, ...]:
    """The usable keys of a JWK Set's JSON value. Ignores the others (RFC 7517 §5). Raises `ProviderError`."""
    match document:
        case {"keys": [*keys]}:
            return tuple(_usable_keys(keys[:_KEYS_MAX]))
    raise UnusableResponseError("its keys are not a JWK Set")


def _usable_keys(keys: Iterable[object]) -> Iterable[SigningKey]:
    for key in keys:
        if isinstance(key, Mapping) and (usable := _usable_key(key)) is not None:
            yield usable


def _usable_key(jwk: Mapping[str, Any]) -> SigningKey | None:
    kty, crv, kid, operations = jwk.get("kty"), jwk.get("crv"), jwk.get("kid"), jwk.get("key_ops")
    is_for_signatures = jwk.get("use", "sig") == "sig" and (operations is None or _allows_verifying(operations))
    if not is_for_signatures or _PRIVATE & jwk.keys() or not isinstance(kid, str | None):
        return None
    if not isinstance(kty, str) or not isinstance(crv, str | None):
        return None
    algorithms = _ALGORITHMS_BY_TYPE.get((kty, crv), frozenset())
    if "alg" in jwk:
        algorithms = frozenset(one for one in algorithms if one == jwk["alg"])
    if not algorithms:
        return None
    try:
        key = jwt.PyJWK(dict(jwk), algorithm=min(algorithms)).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key, RSAPublicKey) and not _is_sound(key):
        return None
    return SigningKey(kid, algorithms, key)


def _is_sound(key: RSAPublicKey) -> bool:
    return _RSA_MIN_BITS <= key.key_size <= _RSA_MAX_BITS and key.public_numbers().e <= _RSA_EXPONENT_MAX


def _allows_verifying(operations: object) -> bool:
    return isinstance(operations, list) and "verify" in operations
