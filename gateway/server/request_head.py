"""The head of a request to a backend, as bytes."""

from __future__ import annotations

from gateway.config.upstream import Backend
from gateway.http.answer_head import field_line
from gateway.pipeline import Allow

_LINES_BESIDE = 3  # the request line, Host and the empty one


def request_head(method: str, backend: Backend, allow: Allow, framing: bytes) -> bytes:
    """With the empty line. `framing` are the lines that say how the body is framed, or what it is to be upgraded to."""
    target = allow.case.target
    host = target.authority if target is not None and allow.route.config.preserve_host else backend.authority
    start = f"{method} {backend.path}{allow.path_and_query} HTTP/1.1\r\nHost: {host}\r\n".encode()
    head = b"".join([start, *[field_line(name, value) for name, value in allow.headers], framing, b"\r\n"])
    # Nothing that comes this far has a line end in it; should it all the same, it must not become a line.
    if head.count(b"\n") != len(allow.headers) + framing.count(b"\n") + _LINES_BESIDE:
        raise ValueError("a field of a request to a backend has a line end")
    return head
