"""A signed token as it arrives, before anybody has looked at its signature (RFC 7515 §3.1, RFC 7519 §7.2).

Read strictly and without a key. Anybody can send one, so no more of it is read than a real one has. What a header
says of where keys are (`jku`, `jwk`, `x5u`, `x5c`) is never followed.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard

from gateway.http.strict_json import JSONError, loads

# RFC 8935 §2.4; what a logout token is refused for has no code of its own, and is told by the description.
Code = Literal[
    "invalid_request", "invalid_key", "invalid_issuer", "invalid_audience", "authentication_failed", "access_denied"
]

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_UNSIGNED = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.")
_ENCRYPTED_PARTS = 5
_TEXT_MAX_CHARS = 1024
# Of a token of one logout or event. Each object and list costs a call before anybody has shown who he is.
_COMPACT_MAX_CHARS = 32 * 2**10
_CONTAINERS_MAX = 256
# 9999-12-31, as for tokens.
_TIME_MAX_S = 253_402_300_799
_AUDIENCES_MAX = 100
_EVENTS_MAX = 20


@dataclass(frozen=True, slots=True)
class EventError:
    """Why what was sent is refused, in words that quote nothing of it.

    `hint` is for the operator alone: what to write in the configuration for what a provider has really sent.
    """

    code: Code
    description: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Unverified:
    """`compact` is the token itself."""

    compact: str = field(repr=False)
    algorithm: str
    kid: str | None
    typ: str | None  # in small letters, without `application/`
    claims: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Envelope:
    """The claims that a logout token and a security event token have in common. Times are of the wall clock."""

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
        return EventError("invalid_request", "this is no token in compact form")
    try:
        header, claims = (loads(_decoded(part), containers_max=_CONTAINERS_MAX) for part in text.split(".")[:2])
    except (JSONError, binascii.Error, ValueError):
        return EventError("invalid_request", "the token's header or claims are no JSON with one meaning")
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return EventError("invalid_request", "the token's header or claims are no object")
    algorithm, kid, typ = header.get("alg"), header.get("kid"), header.get("typ")
    if not isinstance(algorithm, str) or not isinstance(kid, str | None) or not isinstance(typ, str | None):
        return EventError("invalid_request", "the token's header has a member of the wrong type")
    if "crit" in header or "b64" in header:
        return EventError("invalid_request", "the token's header asks for an extension that is not supported")
    kind = None if typ is None else typ.lower().removeprefix("application/")
    return Unverified(text, algorithm, kid, kind, claims)


def read_envelope(claims: Mapping[str, Any]) -> Envelope | EventError:
    """`iss`, `aud`, `iat`, `jti` and `events`, each of which has to be there."""
    issuer, issued_at, event_id, events = (claims.get(name) for name in ("iss", "iat", "jti", "events"))
    if not is_text(issuer):
        return EventError("invalid_issuer", "iss is missing or no text")
    audience = _audience(claims.get("aud"))
    if audience is None:
        return EventError("invalid_audience", "aud is missing, or neither a text nor a list of texts")
    if not is_time(issued_at):
        return EventError("invalid_request", "iat is missing or no time in seconds")
    if not is_text(event_id):
        return EventError("invalid_request", "jti is missing or no text")
    if not isinstance(events, dict) or not 0 < len(events) <= _EVENTS_MAX:
        return EventError("invalid_request", "events is missing, empty or no object")
    # Keycloak puts `revoke_offline_access: true` beside a logout.
    if not all(isinstance(payload, dict | bool) for payload in events.values()):
        return EventError("invalid_request", "an event is no object")
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


def _decoded(part: str) -> bytes:
    # Python's decoder forgives what it does not know; the characters were looked at before.
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
