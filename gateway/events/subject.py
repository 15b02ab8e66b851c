"""Turns the subject of a security event (RFC 9493; Shared Signals 1.0 §3) into claims of introspection results.

In doubt it selects more than is meant, which costs introspections. It ignores identifiers that no result has, so the
result may be empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.authn.compact_jws import is_text
from gateway.events.jws import EventError
from gateway.events.security_event import SubjectSelector

_ALIASES_MAX = 20
_ACCOUNT = "acct:"
_NO_SUBJECT = EventError("invalid_request", "sub_id is missing or no subject identifier")


def read_subject(sub_id: object) -> tuple[SubjectSelector, ...] | EventError:
    """The selectors of a `sub_id`, simple or complex. None when its tokens cannot be told from others."""
    if not isinstance(sub_id, Mapping) or not isinstance(sub_id.get("format"), str):
        return _NO_SUBJECT
    if sub_id["format"] == "complex":
        return _read_complex(sub_id)
    return _read_simple(sub_id)


def _read_complex(sub_id: Mapping[str, Any]) -> tuple[SubjectSelector, ...] | EventError:
    """Adds the members up, although they narrow each other down, except where that would be far too much.

    A session's id may be the transmitter's own, which no token names, so its user counts too. The clients of a user are
    not told apart. An application counts only where no other member does.
    """
    found: dict[str, tuple[SubjectSelector, ...]] = {}
    for member in ("user", "session", "application"):
        if member in sub_id:
            subjects = read_subject(sub_id[member]) if member == "user" else _read_identifier(sub_id[member])
            if isinstance(subjects, EventError):
                return subjects
            found[member] = subjects
    session = tuple(SubjectSelector("sid", subject.value, subject.issuer) for subject in found.get("session", ()))
    application = tuple(
        SubjectSelector("client_id", subject.value, subject.issuer) for subject in found.get("application", ())
    )
    return (*found.get("user", ()), *session) or application


def _read_identifier(sub_id: object) -> tuple[SubjectSelector, ...] | EventError:
    """One identifier of something that is not a user: only its value counts."""
    if not isinstance(sub_id, Mapping) or not isinstance(sub_id.get("format"), str):
        return _NO_SUBJECT
    match sub_id:
        case {"format": "opaque", "id": str(value)} if is_text(value):
            return (SubjectSelector("sub", value),)
        case {"format": "iss_sub", "iss": str(issuer), "sub": str(value)} if is_text(issuer) and is_text(value):
            return (SubjectSelector("sub", value, issuer),)
        case {"format": "opaque" | "iss_sub"}:
            return _NO_SUBJECT
    return ()


def _read_simple(sub_id: Mapping[str, Any]) -> tuple[SubjectSelector, ...] | EventError:
    match sub_id:
        case {"format": "iss_sub", "iss": str(issuer), "sub": str(sub)} if is_text(issuer) and is_text(sub):
            return (SubjectSelector("sub", sub, issuer),)
        case {"format": "opaque", "id": str(value)} if is_text(value):
            return (
                SubjectSelector("sub", value),
                SubjectSelector("sid", value),
            )  # CAEP names sessions by it, others name users
        case {"format": "email", "email": str(email)} if is_text(email):
            return (SubjectSelector("email", email),)
        case {"format": "account", "uri": str(uri)} if is_text(uri) and uri.startswith(_ACCOUNT):
            return (SubjectSelector("email", uri.removeprefix(_ACCOUNT)),)
        case {"format": "jwt_id", "iss": str(issuer), "jti": str(jti)} if is_text(issuer) and is_text(jti):
            return (SubjectSelector("jti", jti, issuer),)
        case {"format": "aliases", "identifiers": [*identifiers]} if 0 < len(identifiers) <= _ALIASES_MAX:
            return _read_aliases(identifiers)
        case {"format": "iss_sub" | "opaque" | "email" | "account" | "jwt_id" | "aliases"}:
            return _NO_SUBJECT
    return ()


def _read_aliases(identifiers: list[Any]) -> tuple[SubjectSelector, ...] | EventError:
    subjects: list[SubjectSelector] = []
    for identifier in identifiers:
        # RFC 9493 §3.2.8: aliases are not nested.
        if not isinstance(identifier, Mapping) or identifier.get("format") in {"aliases", "complex"}:
            return _NO_SUBJECT
        found = read_subject(identifier)
        if isinstance(found, EventError):
            return found
        subjects += found
    return tuple(subjects)
