"""A request to a backend in the words of HTTP/1.1 (RFC 9112 §3, §6)."""

from __future__ import annotations

from typing import Final

from gateway.proxy.upstream.backend_request import NO_BODY, BackendRequest, BodyFraming

# Of a body on these many servers read nothing, and take it for the next request (RFC 9110 §9.3.1, §9.3.5).
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
_END_LAST: Final = b"Connection: close\r\n\r\n"


def rendered(request: BackendRequest, fields: bytes, body: bytes | None) -> bytes:
    """The head and the whole body; of that nothing where `body` is `None`.

    `fields` are field lines, each with its end, but for `Host` and the framing.
    """
    start = f"{request.method} {request.target} HTTP/1.1\r\nHost: {request.authority}\r\n".encode()
    framing = request.framing
    if framing is NO_BODY:
        return b"".join((start, fields, b"\r\n", body or b""))
    if body and framing.is_chunked:
        body = body_piece(request, body) + body_end(request)
    return b"".join((start, fields, _framing_lines(framing), _END_LAST if is_last(request) else b"\r\n", body or b""))


def _framing_lines(framing: BodyFraming) -> bytes:
    if framing.length is not None:
        return b"Content-Length: %d\r\n" % framing.length
    if framing.is_chunked:
        return b"Transfer-Encoding: chunked\r\n"
    return b"Connection: Upgrade\r\nUpgrade: websocket\r\n" if framing.is_upgrade else b""


def is_last(request: BackendRequest) -> bool:
    """Whether nothing may follow on the connection: what a backend leaves of the body must not become a request."""
    framing = request.framing
    return request.method in _WITHOUT_BODY and bool(framing.is_chunked or framing.length)


def body_piece(request: BackendRequest, data: bytes) -> bytes:
    """A piece of a body that follows its head."""
    return b"%x\r\n%b\r\n" % (len(data), data) if request.framing.is_chunked else data


def body_end(request: BackendRequest) -> bytes:
    return b"0\r\n\r\n" if request.framing.is_chunked else b""
