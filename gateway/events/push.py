"""Reads Keycloak's admin actions, which it posts to a client's admin URL: all but resource and signature.

They are JWTs in a form of Keycloak's own (`org.keycloak.representations.adapters.action`): `id`, `expiration`,
`resource`, `action` and what belongs to the action. They do not name a realm; the keys that signed tell it. They must
not have the claims that other tokens of the same keys have, so that none of those passes for one.
"""

from __future__ import annotations

from typing import Literal

from gateway.authn.compact_jws import Unverified, is_text, is_time
from gateway.events.jws import EventError
from gateway.events.logout import LEEWAY_S
from gateway.events.security_event import EventName, SecurityEvent, SubjectSelector

EXPIRATION_MAX_S = 300.0
_TYPES = frozenset({None, "jwt"})
_FORBIDDEN = ("iss", "aud", "iat", "jti", "sub")
_WHOLE_REALM = (SubjectSelector("realm", ""),)
# An invalidation's message holds no more sessions. With more, everything of the realm is forgotten.
_SESSIONS_MAX = 200
_SESSIONS = ("adapterSessionIds", "keycloakSessionIds")


def read_not_before(token: Unverified, now: float) -> SecurityEvent | EventError:
    """Reads `PUSH_NOT_BEFORE` at `now` (wall clock): all that the realm issued before `notBefore` is revoked."""
    event = _read(token, now, "PUSH_NOT_BEFORE", "not-before", _WHOLE_REALM)
    if isinstance(event, EventError):
        return event
    not_before = token.claims.get("notBefore")
    if not is_time(not_before):
        return EventError("invalid_request", "notBefore is missing or not a time in seconds")
    if not_before > now + LEEWAY_S:
        # The gateway keeps it and never lowers it. A slip, such as milliseconds, would shut out the realm for ever.
        return EventError("invalid_request", "notBefore is in the future")
    return SecurityEvent(None, event.audience, event.id, event.events, event.subjects, float(not_before))


def read_admin_logout(token: Unverified, now: float) -> SecurityEvent | EventError:
    """Reads `LOGOUT` at `now` (wall clock): the sessions that it names, or everything of the realm."""
    sessions_named: list[SubjectSelector] = []
    for member in _SESSIONS:
        sessions = token.claims.get(member)
        if sessions is not None and not (isinstance(sessions, list) and all(map(is_text, sessions))):
            return EventError("invalid_request", f"{member} is not a list of texts")
        sessions_named += (SubjectSelector("sid", session) for session in sessions or ())
    subjects = tuple(dict.fromkeys(sessions_named))
    return _read(token, now, "LOGOUT", "logout", subjects if 0 < len(subjects) <= _SESSIONS_MAX else _WHOLE_REALM)


def _read(
    token: Unverified,
    now: float,
    action: Literal["PUSH_NOT_BEFORE", "LOGOUT"],
    event: EventName,
    subjects: tuple[SubjectSelector, ...],
) -> SecurityEvent | EventError:
    claims = token.claims
    if token.typ not in _TYPES or any(name in claims for name in _FORBIDDEN):
        return EventError("invalid_request", "this is another type of token")
    if claims.get("action") != action:
        return EventError("invalid_request", f"action is not {action}")
    push_id, expiration, resource = (claims.get(name) for name in ("id", "expiration", "resource"))
    if not is_text(push_id):
        return EventError("invalid_request", "id is missing or not a text")
    if not is_text(resource):
        return EventError("invalid_audience", "resource is missing or not a text")
    if not is_time(expiration):
        return EventError("invalid_request", "expiration is missing or not a time in seconds")
    if expiration <= now:
        return EventError("invalid_request", "the token has expired")
    if expiration > now + EXPIRATION_MAX_S:
        return EventError("invalid_request", "expiration is too far ahead")
    return SecurityEvent(None, frozenset({resource}), push_id, (event,), subjects)
