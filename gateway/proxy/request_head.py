"""The head of a request to a backend: what is asked, and the field lines that go with it."""

from __future__ import annotations

from gateway.decision import Allow
from gateway.http.backend import Backend
from gateway.proxy.upstream.backend_request import NO_BODY, BackendRequest, BodyFraming

# RFC 9110 §9.2.2. What is not idempotent is sent once, whatever happens.
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


def framing_of(length: int | None) -> BodyFraming:
    """Of a body that is there as a whole; `length` is `None` where none was declared."""
    return NO_BODY if length is None else BodyFraming(length)


def backend_request(method: str, backend: Backend, allow: Allow, framing: BodyFraming) -> tuple[BackendRequest, bytes]:
    """The request for `backend`, and its field lines, each with its end."""
    authority = (allow.route.config.preserve_host and allow.target.authority) or backend.authority
    request = BackendRequest(method, authority, f"{backend.path}{allow.path_and_query}", framing)
    lines = allow.lines
    more, ends = lines.more, lines.count - len(lines.kept) - 1
    # Nothing that comes this far has a line end in it; should it all the same, it must not become a line. Those that
    # are kept were looked at as they were read, those of the identity as they were made.
    control = f"{authority}{request.target}"
    if more.count(b"\n") != ends or more.count(b"\r") != ends or "\n" in control or "\r" in control:
        raise ValueError("a field of a request to a backend has a line end")
    return request, b"\r\n".join((*lines.kept, more, allow.identity.lines))
