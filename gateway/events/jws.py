"""Reads a signed token before its signature is verified (RFC 7515 §3.1, RFC 7519 §7.2).

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

# RFC 8935 §2.4. A refused logout token has no code of its own; its description says why.
Code = Literal[
    "invalid_request", "invalid_key", "invalid_issuer", "invalid_audience", "authentication_failed", "access_denied"
]

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_UNSIGNED = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.")
_ENCRYPTED_PARTS = 5
_TEXT_MAX_CHARS = 1024
# Bounds of a token of one logout or event. Each object and list costs a call before the sender is known.
_COMPACT_MAX_CHARS = 32 * 2**10
_CONTAINERS_MAX = 256
# 9999-12-31, as for tokens.
_TIME_MAX_S = 253_402_300_799
_AUDIENCES_MAX = 100
_EVENTS_MAX = 20


@dataclass(frozen=True, slots=True)
class EventError:
    """Says why a delivery is refused, in words that quote nothing of it.

    `hint` is only for the operator: what to write in the configuration for a token that the provider has really signed.
    """

    code: Code
    description: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Unverified:
    """Holds a token whose signature is not verified yet. `compact` is the token itself."""

    compact: str = field(repr=False)
    algorithm: str
    kid: str | None
    typ: str | None  # in small letters, without `application/`
    claims: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Envelope:
    """Holds the claims that logout tokens and security event tokens have in common. Times are of the wall clock."""

    issuer: str
    audience: frozenset[str]
    issued_at: float
    id: str
    events: Mapping[str, Mapping[str, Any] | bool]


def read_compact(text: str) -> Unverified | EventError:
    """The parts of a compact JWS whose payload is an object of claims."""
    if len(text) > _COMPACT_MAX_CHARS:
        return EventError("invalid_request", "the token is too long")
    if text.count(".") == _ENCRYPTED_PARTS - 1:
        return EventError("invalid_request", "the token is encrypted, which is not supported")
    if _UNSIGNED.fullmatch(text):
        return EventError("invalid_key", "the token is not signed")
    if not _COMPACT.fullmatch(text):
        return EventError("invalid_request", "this is not a token in compact form")
    try:
        header, claims = (loads(_decode(part), containers_max=_CONTAINERS_MAX) for part in text.split(".")[:2])
    except (JSONError, binascii.Error, ValueError):
        return EventError("invalid_request", "the token's header or claims are not JSON with one meaning")
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return EventError("invalid_request", "the token's header or claims are not an object")
    algorithm, kid, typ = header.get("alg"), header.get("kid"), header.get("typ")
    if not isinstance(algorithm, str) or not isinstance(kid, str | None) or not isinstance(typ, str | None):
        return EventError("invalid_request", "the token's header has a member of the wrong type")
    if "crit" in header or "b64" in header:
        return EventError("invalid_request", "the token's header asks for an extension that is not supported")
    kind = None if typ is None else typ.lower().removeprefix("application/")
    return Unverified(text, algorithm, kid, kind, claims)


def read_envelope(claims: Mapping[str, Any]) -> Envelope | EventError:
    """Reads `iss`, `aud`, `iat`, `jti` and `events`. All of them are required."""
    issuer, issued_at, event_id, events = (claims.get(name) for name in ("iss", "iat", "jti", "events"))
    if not is_text(issuer):
        return EventError("invalid_issuer", "iss is missing or not a text")
    audience = _audience(claims.get("aud"))
    if audience is None:
        return EventError("invalid_audience", "aud is missing, or neither a text nor a list of texts")
    if not is_time(issued_at):
        return EventError("invalid_request", "iat is missing or not a time in seconds")
    if not is_text(event_id):
        return EventError("invalid_request", "jti is missing or not a text")
    if not isinstance(events, dict) or not 0 < len(events) <= _EVENTS_MAX:
        return EventError("invalid_request", "events is missing, empty or not an object")
    # Keycloak puts `revoke_offline_access: true` beside a logout.
    if not all(isinstance(payload, dict | bool) for payload in events.values()):
        return EventError("invalid_request", "an event is not an object")
    return Envelope(issuer, audience, float(issued_at), event_id, events)


def is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= _TEXT_MAX_CHARS


def is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _TIME_MAX_S


def _audience(value: object) -> frozenset[str] | None:
    values = value if isinstance(value, list) else [value]
    if not 0 < len(values) <= _AUDIENCES_MAX or not all(map(is_text, values)):
        return None
    return frozenset(values)


def _decode(part: str) -> bytes:
    # Python's decoder ignores characters that it does not know, so `_COMPACT` has checked them before.
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
