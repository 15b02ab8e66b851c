"""Reads a signed JWT before its signature is verified (RFC 7515 §3.1, RFC 7519 §7.2).

Strictly, and without a key. Anybody can send one, so the size is bounded by what a real one needs. The places that a
header names for keys (`jku`, `jwk`, `x5u`, `x5c`) are never followed.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard

from gateway.http.strict_json import JSONError, loads

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_UNSIGNED = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.")
_ENCRYPTED_PARTS = 5
_TEXT_MAX_CHARS = 1024
# Bounds of a token of one logout or event. Each object and list costs a call before the sender is known.
COMPACT_MAX_CHARS = 32 * 2**10
_CONTAINERS_MAX = 256
# 9999-12-31, as for tokens.
_TIME_MAX_S = 253_402_300_799
_AUDIENCES_MAX = 100


@dataclass(frozen=True, slots=True)
class JwsFault:
    """Says why a text is not a JWT that can be verified, in words that quote nothing of it."""

    kind: Literal["malformed", "unsigned"]
    description: str


@dataclass(frozen=True, slots=True)
class Unverified:
    """Holds a token whose signature is not verified yet. `compact` is the token itself."""

    compact: str = field(repr=False)
    algorithm: str
    kid: str | None
    typ: str | None  # in small letters, without `application/`
    claims: Mapping[str, Any] = field(repr=False)


def read_unverified(
    text: str, *, chars_max: int = COMPACT_MAX_CHARS, containers_max: int | None = _CONTAINERS_MAX
) -> Unverified | JwsFault:
    """The parts of a compact JWS whose payload is an object of claims."""
    if len(text) > chars_max:
        return JwsFault("malformed", "the token is too long")
    if text.count(".") == _ENCRYPTED_PARTS - 1:
        return JwsFault("malformed", "the token is encrypted, which is not supported")
    if _UNSIGNED.fullmatch(text):
        return JwsFault("unsigned", "the token is not signed")
    if not is_compact(text):
        return JwsFault("malformed", "this is not a token in compact form")
    try:
        header, claims = (loads(decoded_part(part), containers_max=containers_max) for part in text.split(".")[:2])
    except (JSONError, binascii.Error, ValueError):
        return JwsFault("malformed", "the token's header or claims are not JSON with one meaning")
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return JwsFault("malformed", "the token's header or claims are not an object")
    algorithm, kid, typ = header.get("alg"), header.get("kid"), header.get("typ")
    if not isinstance(algorithm, str) or not isinstance(kid, str | None) or not isinstance(typ, str | None):
        return JwsFault("malformed", "the token's header has a member of the wrong type")
    if "crit" in header or "b64" in header:
        return JwsFault("malformed", "the token's header asks for an extension that is not supported")
    kind = None if typ is None else typ.lower().removeprefix("application/")
    return Unverified(text, algorithm, kid, kind, claims)


def is_compact(text: str) -> bool:
    """Whether `text` has the form of a signed JWT: three parts in base64url."""
    return _COMPACT.fullmatch(text) is not None


def is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= _TEXT_MAX_CHARS


def is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _TIME_MAX_S


def audience_of(value: object) -> frozenset[str] | None:
    """The members of an `aud`, which is a text or a list of texts (RFC 7519 §4.1.3); `None` for anything else."""
    values = value if isinstance(value, list) else [value]
    if not 0 < len(values) <= _AUDIENCES_MAX or not all(map(is_text, values)):
        return None
    return frozenset(values)


def decoded_part(part: str) -> bytes:
    """The bytes of one part. Raises `ValueError`. Check by `is_compact` before that it is in base64url.

    Python's decoder ignores characters that it does not know.
    """
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
