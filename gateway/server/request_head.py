"""The head of a request to a backend, as bytes."""

from __future__ import annotations

from gateway.config.upstream import Backend
from gateway.pipeline import Allow

_LINES_BESIDE = 3  # the request line, Host and the empty one


def request_head(method: str, backend: Backend, allow: Allow, framing: str) -> bytes:
    """With the empty line. `framing` are the lines that say how the body is framed, or what it is to be upgraded to."""
    host = allow.target.authority if allow.route.config.preserve_host else backend.authority
    lines, count = allow.lines
    text = f"{method} {backend.path}{allow.path_and_query} HTTP/1.1\r\nHost: {host}\r\n{lines}{framing}\r\n"
    # Nothing that comes this far has a line end in it; should it all the same, it must not become a line.
    expected = count + framing.count("\n") + _LINES_BESIDE
    if text.count("\n") != expected or text.count("\r") != expected:
        raise ValueError("a field of a request to a backend has a line end")
    return text.encode("utf-8", "surrogateescape")
