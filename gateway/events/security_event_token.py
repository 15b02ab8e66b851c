"""Reads security event tokens: RFC 8417 as Shared Signals 1.0 §4 profiles it, all but issuer, audience and signature.

An unknown event is acknowledged (RFC 8417 §2: ignore what is not understood). An old event counts: a revocation that
was delayed is still a revocation.
"""

from __future__ import annotations

from gateway.authn.compact_jws import Unverified
from gateway.events.jws import EventError, read_envelope
from gateway.events.logout import LEEWAY_S
from gateway.events.security_event import EventName, SecurityEvent
from gateway.events.subject import read_subject

_TYPE = "secevent+jwt"
_BASE = "https://schemas.openid.net/secevent/"
EVENTS: dict[str, EventName] = {
    f"{_BASE}caep/event-type/session-revoked": "session-revoked",
    f"{_BASE}caep/event-type/token-claims-change": "token-claims-change",
    f"{_BASE}caep/event-type/credential-change": "credential-change",
    f"{_BASE}risc/event-type/account-disabled": "account-disabled",
    f"{_BASE}ssf/event-type/verification": "verification",
    f"{_BASE}ssf/event-type/stream-updated": "stream-updated",
}
# No SET can be taken for another JWT then, and no other JWT for a SET.
_FORBIDDEN = ("sub", "exp")


def read_security_event(token: Unverified, now: float) -> SecurityEvent | EventError:
    """The event in a security event token that arrives at `now` (wall clock)."""
    if token.typ != _TYPE:
        return EventError("invalid_request", "the token's typ is not secevent+jwt")
    for name in _FORBIDDEN:
        if name in token.claims:
            return EventError("invalid_request", f"a security event token has no {name}")
    envelope = read_envelope(token.claims)
    if isinstance(envelope, EventError):
        return envelope
    if not all(isinstance(payload, dict) for payload in envelope.events.values()):
        return EventError("invalid_request", "an event is not an object")
    if envelope.issued_at > now + LEEWAY_S:
        return EventError("invalid_request", "the token was issued in the future")
    events = tuple(dict.fromkeys(EVENTS.get(uri, "other") for uri in envelope.events))
    event = SecurityEvent(envelope.issuer, envelope.audience, envelope.id, events, ())
    if not event.invalidates:
        return event
    subjects = read_subject(token.claims.get("sub_id"))
    if isinstance(subjects, EventError):
        return subjects
    return SecurityEvent(envelope.issuer, envelope.audience, envelope.id, events, subjects)
