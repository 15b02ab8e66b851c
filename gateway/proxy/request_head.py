"""The head of a request to a backend, as bytes."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.decision import Allow
from gateway.http.backend import Backend
from gateway.http.headers import field_lines
from gateway.identity import Identity

# Of a body on these many servers read nothing, and take it for the next request (RFC 9110 §9.3.1, §9.3.5).
WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
_LINES_BESIDE = 3  # the request line, Host and the empty one


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """The head of a request but for what differs between requests that are alike: the id, the peer, the identity.

    None of these has a line end: ids and peers by their form, identities by `gateway.identity`.
    """

    before_id: str
    before_peer: str
    before_identity: str
    end: str

    def head(self, request_id: str, peer: str, identity: Identity) -> bytes:
        text = f"{self.before_id}{request_id}{self.before_peer}{peer}{self.before_identity}{identity.text}{self.end}"
        return text.encode("utf-8", "surrogateescape")


def form_of(method: str, backend: Backend, allow: Allow, framing: str) -> Form | None:
    """`None` where heads for this route take more than filling in. `framing` as for `request_head`."""
    lines = allow.lines
    if lines is None:
        return None
    parts = _start(method, backend, allow) + lines.before_id, lines.before_peer, lines.rest, f"{framing}\r\n"
    _check("".join(parts), lines.lines + framing.count("\n") + _LINES_BESIDE)
    return Form(*parts)


def framing_of(method: str, length: int | None, *, is_chunked: bool = False) -> str:
    """The lines that frame a body of so many bytes; `length` is `None` where none was declared.

    A body that the backend may not read is the last thing on its connection: what it leaves there must be no request.
    """
    if is_chunked:
        framing = "Transfer-Encoding: chunked\r\n"
    elif length is not None:
        framing = f"Content-Length: {length}\r\n"
    else:
        return ""
    ends_connection = method in WITHOUT_BODY and (is_chunked or length)
    return f"{framing}Connection: close\r\n" if ends_connection else framing


def request_head(method: str, backend: Backend, allow: Allow, framing: str) -> bytes:
    """With the empty line. `framing` are the lines that say how the body is framed, or what it is to be upgraded to."""
    form = form_of(method, backend, allow, framing)
    if form is not None:
        return form.head(allow.case.request_id, allow.case.caller.peer, allow.identity)
    fields = allow.headers
    text = f"{_start(method, backend, allow)}{field_lines(fields)}{framing}\r\n"
    _check(text, len(fields) + framing.count("\n") + _LINES_BESIDE)
    return text.encode("utf-8", "surrogateescape")


def _start(method: str, backend: Backend, allow: Allow) -> str:
    host = (allow.route.config.preserve_host and allow.target.authority) or backend.authority
    return f"{method} {backend.path}{allow.path_and_query} HTTP/1.1\r\nHost: {host}\r\n"


def _check(text: str, lines: int) -> None:
    # Nothing that comes this far has a line end in it; should it all the same, it must not become a line.
    if text.count("\n") != lines or text.count("\r") != lines:
        raise ValueError("a field of a request to a backend has a line end")
