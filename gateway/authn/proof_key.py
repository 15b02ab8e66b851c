"""The public key in a proof: a JWK (RFC 7517) that anybody may have made up, so every bound is checked before its use.

A private key that somebody sends is not a proof but a leak (RFC 9449 §4.3). An RSA key outside of the bounds would make
one verification take milliseconds (RFC 8725 §3.5). A key serves the algorithms of its own type only (RFC 8725 §3.10).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

import jwt

from gateway.http.bounded_memo import BoundedMemo

_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_ALGORITHMS: Final[dict[tuple[str, str | None], frozenset[str]]] = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
    ("OKP", "Ed448"): frozenset({"EdDSA"}),
}
# What a thumbprint is made of (RFC 7638 §3.2, RFC 8037 §2), and what a private or shared key has besides.
_REQUIRED: Final = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_BASE64URL = re.compile(r"[A-Za-z0-9_-]{1,2048}")
_RSA_MIN_BITS = 2048  # RFC 7518 §3.3
_RSA_MAX_BITS = 4096
_EXPONENT_MAX_CHARS = 6  # four bytes
_REMEMBERED_MAX = 1024


class ProofKey:
    """Holds one public key. `thumbprint` is what `cnf.jkt` names (RFC 7638, SHA-256, base64url)."""

    __slots__ = ("_jwk", "thumbprint")

    def __init__(self, jwk: Mapping[str, str], thumbprint: str) -> None:
        self._jwk = jwk
        self.thumbprint = thumbprint

    def has_signed(self, signing_input: bytes, signature: bytes, algorithm: str) -> bool:
        """Whether it has. `algorithm` is one of its type, as `read_proof_key` has checked."""
        verifier = _verifier(algorithm)
        known = _known_keys.get((self.thumbprint, algorithm))
        try:
            key = verifier.from_jwk(dict(self._jwk)) if known is None else known
            has_signed = bool(verifier.verify(signing_input, key, signature))
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            return False  # a point that is not on its curve, for one
        if has_signed and known is None:
            # To make a key of its numbers takes half of the time. One that nobody has signs nothing, and is not kept.
            _KEYS.keep((self.thumbprint, algorithm), key)
        return has_signed


_KEYS: BoundedMemo[tuple[str, str], Any] = BoundedMemo(_REMEMBERED_MAX)
_known_keys = _KEYS.known
_verifier = lru_cache(maxsize=16)(jwt.get_algorithm_by_name)


def read_proof_key(jwk: object, algorithm: str) -> ProofKey | str:
    """The key of a proof that is signed by `algorithm`; or what is wrong with it, in words that quote nothing of it."""
    if not isinstance(jwk, dict):
        return "its jwk is missing or not an object"
    if not _PRIVATE.isdisjoint(jwk):
        return "its jwk has a private key"
    kty, crv = jwk.get("kty"), jwk.get("crv")
    if not isinstance(kty, str) or not isinstance(crv, str | None):
        return "its jwk has a member of the wrong type"
    if algorithm not in _ALGORITHMS.get((kty, crv), frozenset()) or jwk.get("alg", algorithm) != algorithm:
        return "its jwk is not a key of its alg"
    members: dict[str, Any] = {name: jwk.get(name) for name in _REQUIRED[kty]}
    coordinates = (value for name, value in members.items() if name not in ("crv", "kty"))
    if not all(isinstance(value, str) and _BASE64URL.fullmatch(value) for value in coordinates):
        return "its jwk has a member that is not in base64url"
    if kty == "RSA" and (problem := _rsa_problem(members)):
        return problem
    return ProofKey(members, thumbprint_of(members))


def thumbprint_of(members: Mapping[str, Any]) -> str:
    """RFC 7638 §3: of the required members alone, in the order of their names, without blanks."""
    text = json.dumps(members, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return base64.urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()


def _rsa_problem(members: Mapping[str, Any]) -> str | None:
    if len(members["e"]) > _EXPONENT_MAX_CHARS:
        return "its jwk has an exponent that is too large"
    data = base64.urlsafe_b64decode(members["n"] + "==")
    bits = int.from_bytes(data, "big").bit_length()
    return None if _RSA_MIN_BITS <= bits <= _RSA_MAX_BITS else "its jwk has too few or too many bits"
