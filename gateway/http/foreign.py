"""Recognizes other protocols than HTTP/1.1 by the first bytes of a server.

Many servers send a greeting and then wait (SMTP, SSH, MySQL). Without this the gateway would wait for the rest of a
head until its timeout. The texts are for the operator, who most often named the wrong port or scheme.
"""

from __future__ import annotations

_HTTP1 = b"HTTP/1."
# The record types of TLS (RFC 8446 §5.1) that a server may begin with: alert and handshake.
_TLS_RECORDS = frozenset({0x15, 0x16})
# A frame of type SETTINGS on stream 0, as a server of HTTP/2 begins (RFC 9113 §3.4).
_SETTINGS_TYPE_AND_FLAGS = b"\x04\x00"
_SHOWN_BYTES = 60


def foreign_words(first: bytes) -> str | None:
    """Say what a server speaks whose response begins with `first`; `None` while it may still be HTTP/1.1."""
    if first.startswith(_HTTP1) or _HTTP1.startswith(first):
        return None
    if first[0] in _TLS_RECORDS and b"\x03".startswith(first[1:2]):
        return "it answered with TLS; write https://"
    if first[:2] == b"\0\0" and first[3:5] == _SETTINGS_TYPE_AND_FLAGS:
        return "it speaks HTTP/2 alone; name a port that speaks HTTP/1.1"
    if first.startswith(b"HTTP/"):
        return f"it speaks another version of HTTP: {_shown(first)}"
    return f"it does not speak HTTP: {_shown(first)}"


def _shown(first: bytes) -> str:
    """The first line, in characters that are safe in a log and on a terminal."""
    line = first.lstrip(b"\r\n").partition(b"\n")[0].rstrip(b"\r")[:_SHOWN_BYTES]
    return line.decode("ascii", "backslashreplace").encode("unicode_escape").decode() or "an empty line"
