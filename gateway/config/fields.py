"""Names and values that the file puts on the wire, held to the wire's own grammar (RFC 9110 §5, RFC 6749 §3.3)."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_VALUE = re.compile(r"[\t -~\x80-\U0010ffff]*")
_SCOPE_TOKEN = re.compile(r"[!#-\[\]-~]{1,256}")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]{1,5})?")
# Names that frame a message or belong to one hop: to set or remove them is to break the exchange.
_RESERVED = frozenset(
    ["connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"]
)


def parse_header_name(value: object) -> str:
    """A field name as written; its case is kept for the wire."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ValueError(f"{value!r} is no header name; write letters, digits and dashes, such as X-User-Id")
    if value.lower() in _RESERVED:
        raise ValueError(f"{value} belongs to the connection, which the gateway keeps; leave it out")
    return value


def parse_header_value(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is no header value; write a text, in quotes where YAML reads something else")
    text = str(value).strip(" \t")
    if not _VALUE.fullmatch(text):
        raise ValueError("the header value has a control character; write it without line breaks")
    return text


def parse_method(value: object) -> str:
    """A method, case-sensitive (RFC 9110 §9.1)."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ValueError(f"{value!r} is no method; write one such as GET")
    if value != value.upper():
        raise ValueError(f"methods are case-sensitive and {value!r} is not in capitals; write {value.upper()}")
    if value in {"CONNECT", "TRACE"}:
        raise ValueError(f"{value} is refused in every request; leave it out")
    return value


def parse_origin(value: object) -> str:
    """An origin as browsers send it (RFC 6454 §6.1), or `*`."""
    if value == "*":
        return "*"
    if isinstance(value, str) and _ORIGIN.fullmatch(value):
        return value
    raise ValueError(f"{value!r} is no origin; write scheme://host in small letters, without a path, or *")


def parse_scope(value: object) -> str:
    if isinstance(value, str) and _SCOPE_TOKEN.fullmatch(value):
        return value
    raise ValueError(f"{value!r} is no scope; write one scope per list item, without blanks")
