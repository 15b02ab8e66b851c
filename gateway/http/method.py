"""Finds methods that differ from a registered one only in case: some backends take `get` for `GET` (RFC 9110 §9.1)."""

from __future__ import annotations

from typing import Final

# Methods are case-sensitive (RFC 9110 §9.1), but not for every backend. A method that a backend may take for one of
# these must not reach it by a route that is meant for another spelling.
REGISTERED: Final = frozenset({
    "ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "CONNECT", "COPY", "DELETE", "GET", "HEAD", "LABEL",
    "LINK", "LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE", "OPTIONS",
    "ORDERPATCH", "PATCH", "POST", "PRI", "PROPFIND", "PROPPATCH", "PUT", "QUERY", "REBIND", "REPORT", "SEARCH",
    "TRACE", "UNBIND", "UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL",
})  # fmt: skip


def is_look_alike(method: str) -> bool:
    """Whether only the case tells `method` from a registered method (RFC 9110 §16.1)."""
    return method not in REGISTERED and method.upper() in REGISTERED
