"""Methods that look like others: any token is one (RFC 9110 §9.1), and `get` is not `GET`, but to some backends."""

from __future__ import annotations

# Methods are told apart by case (RFC 9110 §9.1), but not by every backend: what one takes for one of these must not
# come by a route that another spelling leads to.
_REGISTERED = frozenset({
    "ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "CONNECT", "COPY", "DELETE", "GET", "HEAD", "LABEL",
    "LINK", "LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE", "OPTIONS",
    "ORDERPATCH", "PATCH", "POST", "PRI", "PROPFIND", "PROPPATCH", "PUT", "QUERY", "REBIND", "REPORT", "SEARCH",
    "TRACE", "UNBIND", "UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL",
})  # fmt: skip


def is_look_alike(method: str) -> bool:
    """Whether it is a registered method (RFC 9110 §16.1) but for its case."""
    return method not in _REGISTERED and method.upper() in _REGISTERED
