"""Reads a DPoP proof and checks what needs neither facts nor a clock (RFC 9449 §4.2, §4.3). Pure.

    the field's values -> one JWT -> typ, alg, jwk -> htm, htu, iat, jti, ath
                                                   -> (iat within the window, nonce, signature: `gateway.possession`)

Anybody can send a proof. So the checks that cost nothing come first, the size is bounded, and the signature is verified
last, by `has_signature`, once. The key in the proof proves nothing until it is compared with the one that the token is
bound to.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from gateway.authn.bearer import Token
from gateway.authn.compact_jws import decoded_part, is_compact, is_time
from gateway.authn.proof_key import ProofKey, read_proof_key
from gateway.authn.request_uri import is_same_resource
from gateway.http.strict_json import JSONError, loads

# RFC 9449 §4.2. A proof by an RSA key of 4,096 bits has 1,900 characters; some clients put certificates into the key.
_PROOF_MAX_CHARS = 8 * 2**10
_CONTAINERS_MAX = 32
# A real one has ten. A number costs more than the rest of its text, so they are counted before they are read.
_COMMAS_MAX = 256
_JTI_MAX_CHARS = 256
_NONCE_MAX_CHARS = 1024
_URI_MAX_CHARS = 32 * 2**10
_TYPE = "dpop+jwt"


@dataclass(frozen=True, slots=True)
class Asked:
    """Holds what a proof has to fit: the request's method and URL, as its client knows them, and its token."""

    method: str
    uri: str  # without query and fragment
    token: Token


class DpopProof:
    """Holds a proof for this request and this token. Its times and its signature are not checked yet."""

    __slots__ = ("_is_signed", "_signature", "_signing_input", "algorithm", "issued_at", "jti", "key", "nonce")

    def __init__(
        self,
        key: ProofKey,
        algorithm: str,
        claims: Mapping[str, Any],
        signing_input: bytes,
        signature: bytes,
    ) -> None:
        self.key = key
        self.algorithm = algorithm
        self.jti: str = claims["jti"]
        self.issued_at: float = claims["iat"]
        self.nonce: str | None = claims.get("nonce")
        self._signing_input = signing_input
        self._signature = signature
        self._is_signed: bool | None = None

    @property
    def has_signature(self) -> bool:
        """Whether its key has signed it. This is what costs; it is verified once."""
        if self._is_signed is None:
            self._is_signed = self.key.has_signed(self._signing_input, self._signature, self.algorithm)
            self._signing_input = b""  # a stream keeps the proof for as long as it is open
        return self._is_signed

    @property
    def is_known_forged(self) -> bool:
        """Whether its signature was verified before, in vain."""
        return self._is_signed is False


def read_proof(values: Sequence[str], asked: Asked, algorithms: Collection[str]) -> DpopProof | str:
    """The proof in the values of all `DPoP` fields; or what is wrong, in words that quote nothing of it."""
    if len(values) != 1:
        return f"there are {len(values)} DPoP fields, one wanted"
    text = values[0]
    if len(text) > _PROOF_MAX_CHARS:
        return "the proof is too long"
    if not is_compact(text):
        return "the proof is not a signed JWT in compact form"
    try:
        signing_input, _, signature = text.rpartition(".")
        parts = signing_input.split(".")
        header, claims = (_read_part(part) for part in parts)
        signed = decoded_part(signature)
    except (JSONError, ValueError):
        return "the proof's header or claims are not JSON with one meaning"
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return "the proof's header or claims are not an object"
    key = _read_header(header, algorithms)
    if isinstance(key, str):
        return key
    if problem := _claims_problem(claims) or _mismatch(claims, asked):
        return problem
    return DpopProof(key, header["alg"], claims, signing_input.encode(), signed)


def token_hash(token: Token) -> str:
    """RFC 9449 §4.2, `ath`."""
    return base64.urlsafe_b64encode(sha256(token.value.encode()).digest()).rstrip(b"=").decode()


def _read_part(part: str) -> Any:
    data = decoded_part(part)
    if data.count(b",") > _COMMAS_MAX:
        raise JSONError("too many members")
    return loads(data, containers_max=_CONTAINERS_MAX)


def _read_header(header: Mapping[str, Any], algorithms: Collection[str]) -> ProofKey | str:
    algorithm, typ = header.get("alg"), header.get("typ")
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") != _TYPE:
        return "the typ in the proof's header is not dpop+jwt"
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        return f"the proof's alg is not one of [{', '.join(sorted(algorithms))}]"
    if "crit" in header or "b64" in header:
        return "the proof's header asks for an extension that is not supported (crit)"
    key = read_proof_key(header.get("jwk"), algorithm)
    return f"the proof is no good: {key}" if isinstance(key, str) else key


def _claims_problem(claims: Mapping[str, Any]) -> str | None:
    """RFC 9449 §4.2: all of these are required, but for `nonce`."""
    for name, chars_max in (("jti", _JTI_MAX_CHARS), ("htm", _JTI_MAX_CHARS), ("htu", _URI_MAX_CHARS)):
        value = claims.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= chars_max:
            return f"the proof's {name} is missing, not a text or too long"
    if not is_time(claims.get("iat")):
        return "the proof's iat is missing or not a time in seconds"
    nonce = claims.get("nonce")
    if nonce is not None and not (isinstance(nonce, str) and len(nonce) <= _NONCE_MAX_CHARS):
        return "the proof's nonce is not a text, or too long"
    return None


def _mismatch(claims: Mapping[str, Any], asked: Asked) -> str | None:
    if claims["htm"] != asked.method:
        return f"the proof's htm is not the request's method, {asked.method}"
    if not is_same_resource(claims["htu"], asked.uri):
        return f"the proof's htu is not the URL of the request, {asked.uri}"
    if claims.get("ath") != token_hash(asked.token):
        return "the proof's ath is not the hash of this token"
    return None
