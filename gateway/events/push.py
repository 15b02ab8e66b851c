"""Keycloak's admin actions, which it posts to a client's admin URL, all but resource and signature.

They are JWTs of a form of Keycloak's own (`org.keycloak.representations.adapters.action`): `id`, `expiration`,
`resource`, `action` and what belongs to the action. Nothing in them names a realm: the keys that signed say whose
they are. The claims that other tokens of the same keys have must be missing, so that none of those passes for one.
"""

from __future__ import annotations

from typing import Literal

from gateway.events.jws import EventError, Unverified, is_text, is_time
from gateway.events.logout import LEEWAY_S
from gateway.events.security_event import EventName, SecurityEvent, SubjectSelector

EXPIRATION_MAX_S = 300.0
_TYPES = frozenset({None, "jwt"})
_FORBIDDEN = ("iss", "aud", "iat", "jti", "sub")
_EVERYTHING = (SubjectSelector("realm", ""),)
# More sessions than an eviction's message holds: then everything of the realm is asked about again.
_SESSIONS_MAX = 200
_SESSIONS = ("adapterSessionIds", "keycloakSessionIds")


def read_not_before(token: Unverified, now: float) -> SecurityEvent | EventError:
    """`PUSH_NOT_BEFORE` at `now` (wall clock): what the realm issued before `notBefore` is revoked."""
    notice = _read(token, now, "PUSH_NOT_BEFORE", "not-before", _EVERYTHING)
    if isinstance(notice, EventError):
        return notice
    not_before = token.claims.get("notBefore")
    if not is_time(not_before):
        return EventError("invalid_request", "notBefore is missing or no time in seconds")
    if not_before > now + LEEWAY_S:
        # It is kept and never lowered: a slip, such as milliseconds, would shut out the realm for good.
        return EventError("invalid_request", "notBefore is in the future")
    return SecurityEvent(None, notice.audience, notice.id, notice.events, notice.aims, float(not_before))


def read_admin_logout(token: Unverified, now: float) -> SecurityEvent | EventError:
    """`LOGOUT` at `now` (wall clock): the sessions that it names, or everything of the realm."""
    named: list[SubjectSelector] = []
    for member in _SESSIONS:
        sessions = token.claims.get(member)
        if sessions is not None and not (isinstance(sessions, list) and all(map(is_text, sessions))):
            return EventError("invalid_request", f"{member} is no list of texts")
        named += (SubjectSelector("sid", session) for session in sessions or ())
    aims = tuple(dict.fromkeys(named))
    return _read(token, now, "LOGOUT", "logout", aims if 0 < len(aims) <= _SESSIONS_MAX else _EVERYTHING)


def _read(
    token: Unverified,
    now: float,
    action: Literal["PUSH_NOT_BEFORE", "LOGOUT"],
    event: EventName,
    aims: tuple[SubjectSelector, ...],
) -> SecurityEvent | EventError:
    claims = token.claims
    if token.typ not in _TYPES or any(name in claims for name in _FORBIDDEN):
        return EventError("invalid_request", "this is another kind of token")
    if claims.get("action") != action:
        return EventError("invalid_request", f"action is not {action}")
    push_id, expiration, resource = (claims.get(name) for name in ("id", "expiration", "resource"))
    if not is_text(push_id):
        return EventError("invalid_request", "id is missing or no text")
    if not is_text(resource):
        return EventError("invalid_audience", "resource is missing or no text")
    if not is_time(expiration):
        return EventError("invalid_request", "expiration is missing or no time in seconds")
    if expiration <= now:
        return EventError("invalid_request", "the token has expired")
    if expiration > now + EXPIRATION_MAX_S:
        return EventError("invalid_request", "expiration is too far ahead")
    return SecurityEvent(None, frozenset({resource}), push_id, (event,), aims)
