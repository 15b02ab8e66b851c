"""The head of a request to a backend, as bytes."""

from __future__ import annotations

from typing import NamedTuple

from gateway.config.upstream import Backend
from gateway.http.headers import field_lines
from gateway.identity import Identity
from gateway.pipeline import Allow

_LINES_BESIDE = 3  # the request line, Host and the empty one


class Form(NamedTuple):
    """The head of a request but for what differs between requests that are alike: the id, the peer, the identity.

    `lines` is how many it has without the identity's.
    """

    before_id: str
    before_peer: str
    before_identity: str
    framing: str
    lines: int

    def head(self, request_id: str, peer: str, identity: Identity) -> bytes:
        text = (
            f"{self.before_id}{request_id}{self.before_peer}{peer}{self.before_identity}{identity.text}"
            f"{self.framing}\r\n"
        )
        return _encoded(text, self.lines + len(identity.pairs))


def form_of(method: str, backend: Backend, allow: Allow, framing: str) -> Form | None:
    """`None` where heads for this route take more than filling in. `framing` as for `request_head`."""
    lines = allow.lines
    if lines is None:
        return None
    start = _start(method, backend, allow)
    count = lines.lines + framing.count("\n") + _LINES_BESIDE
    return Form(start + lines.before_id, lines.before_peer, lines.rest, framing, count)


def request_head(method: str, backend: Backend, allow: Allow, framing: str) -> bytes:
    """With the empty line. `framing` are the lines that say how the body is framed, or what it is to be upgraded to."""
    form = form_of(method, backend, allow, framing)
    if form is not None:
        return form.head(allow.case.request_id, allow.case.caller.peer, allow.identity)
    fields = allow.headers
    text = f"{_start(method, backend, allow)}{field_lines(fields)}{framing}\r\n"
    return _encoded(text, len(fields) + framing.count("\n") + _LINES_BESIDE)


def _start(method: str, backend: Backend, allow: Allow) -> str:
    host = allow.target.authority if allow.route.config.preserve_host else backend.authority
    return f"{method} {backend.path}{allow.path_and_query} HTTP/1.1\r\nHost: {host}\r\n"


def _encoded(text: str, lines: int) -> bytes:
    # Nothing that comes this far has a line end in it; should it all the same, it must not become a line.
    if text.count("\n") != lines or text.count("\r") != lines:
        raise ValueError("a field of a request to a backend has a line end")
    return text.encode("utf-8", "surrogateescape")
