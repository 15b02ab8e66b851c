"""A request to a backend in the words of HTTP/1.1 (RFC 9112 §3, §6)."""

from __future__ import annotations

from typing import Final

from gateway.proxy.upstream.backend_request import BackendRequest

# Of a body on these many servers read nothing, and take it for the next request (RFC 9110 §9.3.1, §9.3.5).
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})


def rendered(request: BackendRequest, fields: str, body: bytes | None) -> bytes:
    """The head and what there is of the body.

    `fields` are field lines, each with its end, but for `Host` and the framing; bytes beyond UTF-8 stand in them as
    `surrogateescape` has them.
    """
    start, end = request.prepared or _prepared(request)
    wire = f"{start}{fields}{end}".encode("utf-8", "surrogateescape")
    return wire + body if body else wire


def _prepared(request: BackendRequest) -> tuple[str, str]:
    """What stands before the fields and behind them."""
    framing, end = request.framing, "\r\n"
    if is_last(request):
        end = "Connection: close\r\n\r\n"
    if framing.length is not None:
        end = f"Content-Length: {framing.length}\r\n{end}"
    elif framing.is_chunked:
        end = f"Transfer-Encoding: chunked\r\n{end}"
    elif framing.is_upgrade:
        end = f"Connection: Upgrade\r\nUpgrade: websocket\r\n{end}"
    prepared = f"{request.method} {request.target} HTTP/1.1\r\nHost: {request.authority}\r\n", end
    request.prepared = prepared
    return prepared


def is_last(request: BackendRequest) -> bool:
    """Whether nothing may follow on the connection: what a backend leaves of the body must not become a request."""
    framing = request.framing
    return request.method in _WITHOUT_BODY and bool(framing.is_chunked or framing.length)


def body_piece(request: BackendRequest, data: bytes) -> bytes:
    """A piece of a body that follows its head."""
    return b"%x\r\n%b\r\n" % (len(data), data) if request.framing.is_chunked else data


def body_end(request: BackendRequest) -> bytes:
    return b"0\r\n\r\n" if request.framing.is_chunked else b""
