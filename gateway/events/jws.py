"""Reads the claims that logout tokens and security event tokens share, and says why a delivery is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gateway.authn.compact_jws import Unverified, audience_of, is_text, is_time, read_unverified

# RFC 8935 §2.4. A refused logout token has no code of its own; its description says why.
Code = Literal[
    "invalid_request", "invalid_key", "invalid_issuer", "invalid_audience", "authentication_failed", "access_denied"
]

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
class Envelope:
    """Holds the claims that logout tokens and security event tokens have in common. Times are of the wall clock."""

    issuer: str
    audience: frozenset[str]
    issued_at: float
    id: str
    events: Mapping[str, Mapping[str, Any] | bool]


def read_compact(text: str) -> Unverified | EventError:
    """The parts of a compact JWS whose payload is an object of claims."""
    read = read_unverified(text)
    if isinstance(read, Unverified):
        return read
    return EventError("invalid_key" if read.kind == "unsigned" else "invalid_request", read.description)


def read_envelope(claims: Mapping[str, Any]) -> Envelope | EventError:
    """Reads `iss`, `aud`, `iat`, `jti` and `events`. All of them are required."""
    issuer, issued_at, event_id, events = (claims.get(name) for name in ("iss", "iat", "jti", "events"))
    if not is_text(issuer):
        return EventError("invalid_issuer", "iss is missing or not a text")
    audience = audience_of(claims.get("aud"))
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
