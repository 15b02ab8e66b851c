"""The head of a request to a backend: what is asked, and the field lines that go with it."""

from __future__ import annotations

from typing import Final

from gateway.decision import Allow
from gateway.http.backend import Backend
from gateway.http.headers import sound
from gateway.proxy.upstream.backend_request import NO_BODY, BackendRequest, BodyFraming

# RFC 9110 §9.2.2. What is not idempotent is sent once, whatever happens.
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


def framing_of(length: int | None) -> BodyFraming:
    """Of a body that is there as a whole; `length` is `None` where none was declared."""
    return NO_BODY if length is None else BodyFraming(length)


def backend_request(method: str, backend: Backend, allow: Allow, framing: BodyFraming) -> tuple[BackendRequest, bytes]:
    """The request for `backend`, and its field lines, each with its end."""
    authority = backend.authority
    if allow.route.preserves_host and allow.target.authority:
        authority = sound(allow.target.authority)
    target = sound(allow.path_and_query)
    if backend.path:
        target = backend.path + target
    lines = allow.lines
    # Lines that are kept were looked at as they were read, those of the identity as they were made.
    fields = b"\r\n".join([*lines.kept, lines.more + allow.identity.lines])
    return BackendRequest(method, authority, target, framing), fields
