"""Says what is wrong with a request's head that `Scanner` found unsound: for the log, never for the client.

Pure, and asked only when refusing. It names lines by their number and shows none of their text, because a broken line
may hold a token.
"""

from __future__ import annotations

import re

from gateway.http.request_line import EMPTY_LINES, REQUEST_LINE
from gateway.http.syntax import TCHAR

_TLS_HANDSHAKE = re.compile(rb"\x16\x03[\x00-\x04]")
_SPEAKS_HTTP2 = b"PRI * HTTP/2"
FAULT_LOOKED_AT_BYTES = 64 * 2**10
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_BARE_CR = re.compile(rb"\r(?!\n|\Z)")
_STARTED = re.compile(REQUEST_LINE)
_NAME = re.compile(rb"[%b]+" % TCHAR.encode())


def head_fault(head: bytes) -> str:
    """What is wrong with `head`, which begins where a request should begin and may not be whole."""
    head = head[:FAULT_LOOKED_AT_BYTES]
    if not head.startswith(b"\r\n"):
        head = head.partition(b"\r\n\r\n")[0]
    if _TLS_HANDSHAKE.match(head):
        return "this is TLS, and the listener speaks plain HTTP; set server.tls, or use http://"
    if head.startswith(_SPEAKS_HTTP2):
        return "this is HTTP/2, and HTTP/1.1 is spoken here"
    for pattern, words in ((_CONTROL, "has the control character {}"), (_BARE_LF, "ends with LF, CR LF wanted")):
        if found := pattern.search(head):
            return f"line {_line(head, found.start())} " + words.format(f"0x{found[0][0]:02x}")
    if found := _BARE_CR.search(head):
        return f"line {_line(head, found.start())} has a CR without LF"
    begun = EMPTY_LINES.match(head)
    lines = head[0 if begun is None else begun.end() :].split(b"\r\n")
    if not _STARTED.match(lines[0] + b"\r\n"):
        return "the request line is not METHOD TARGET HTTP/1.1 with one blank between them"
    return _fields_fault(lines[1:])


def _line(head: bytes, place: int) -> int:
    return head.count(b"\n", 0, place) + 1


def _fields_fault(lines: list[bytes]) -> str:
    for number, line in enumerate(lines, start=2):
        name, colon, _ = line.partition(b":")
        if not line:
            continue
        if line[:1] in b" \t":
            return f"line {number} begins with a blank, as no field may"
        if not colon:
            return f"line {number} has no colon"
        if name.endswith((b" ", b"\t")):
            return f"line {number} has a blank before its colon"
        if not _NAME.fullmatch(name):
            return f"line {number} has a character before its colon that no field's name has"
    return "it is not a request of HTTP/1.1"
