"""Reads logout tokens: OpenID Connect Back-Channel Logout 1.0 §2.4 and §2.6, all but issuer, audience and signature.

`sid` names a session, and `sub` without it every session of the subject. With both the gateway forgets the subject's
other tokens as well, because an introspection result need not name its session.
"""

from __future__ import annotations

from gateway.authn.compact_jws import Unverified, is_text, is_time
from gateway.events.jws import EventError, read_envelope
from gateway.events.security_event import SecurityEvent, SubjectSelector

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
# §4.1 recommends the last one; older providers send the general one. Any other is another type of JWT.
_TYPES = frozenset({None, "jwt", "logout+jwt"})
# Two clocks may be so far apart, and a logout without `exp` may come so late. Replays are remembered for longer.
LEEWAY_S = 60.0
AGE_MAX_S = 300.0


def read_logout(token: Unverified, now: float) -> SecurityEvent | EventError:
    """The event in a logout token that arrives at `now` (wall clock)."""
    if token.typ not in _TYPES:
        return EventError("invalid_request", "the token's typ is that of another type of token")
    envelope = read_envelope(token.claims)
    if isinstance(envelope, EventError):
        return envelope
    if not isinstance(envelope.events.get(LOGOUT_EVENT), dict):
        return EventError("invalid_request", "the token's events hold no back-channel logout")
    if "nonce" in token.claims:
        return EventError("invalid_request", "a logout token has no nonce")
    if error := _times(token, envelope.issued_at, now):
        return error
    subjects = []
    for name in ("sub", "sid"):
        if name in token.claims:
            if not is_text(value := token.claims[name]):
                return EventError("invalid_request", f"{name} is not a text")
            subjects.append(SubjectSelector(name, value))
    if not subjects:
        return EventError("invalid_request", "the token has neither sub nor sid")
    return SecurityEvent(envelope.issuer, envelope.audience, envelope.id, ("logout",), tuple(subjects))


def _times(token: Unverified, issued_at: float, now: float) -> EventError | None:
    if issued_at > now + LEEWAY_S:
        return EventError("invalid_request", "the token was issued in the future")
    if issued_at < now - AGE_MAX_S:
        return EventError("invalid_request", "the token was issued too long ago")
    for name in ("exp", "nbf"):
        if name in token.claims and not is_time(token.claims[name]):
            return EventError("invalid_request", f"{name} is not a time in seconds")
    if token.claims.get("exp", now) <= now - LEEWAY_S:
        return EventError("invalid_request", "the token has expired")
    if token.claims.get("nbf", now) > now + LEEWAY_S:
        return EventError("invalid_request", "the token is not valid yet")
    return None
