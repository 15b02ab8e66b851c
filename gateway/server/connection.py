"""aiohttp's server connection, with what it has no setting for: a deadline for request heads, a cap on how many
connections there are, a bound on an unfinished head, and its own errors as problem documents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from gateway.http.refusal import Refusal, render

# What aiohttp's parser itself may hold of one line; the exact limits are checked once the head is whole.
_PARSER_SLACK = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one listener; seconds and bytes."""

    header_timeout_s: float
    idle_timeout_s: float
    max_header_bytes: int
    max_headers: int
    max_connections: int


class Gauge(Protocol):
    """Where the number of open connections is kept."""

    connections: int


class Connection(web.RequestHandler):
    """One client connection. `head_is_whole` and `exchange_is_over` are called by the lane around each request."""

    def __init__(
        self,
        manager: web.Server,
        *,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        gauge: Gauge,
        new_request_id: Callable[[], str],
    ) -> None:
        super().__init__(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # aiohttp takes None for: no log of its own
            auto_decompress=False,  # bodies pass as they are
            keepalive_timeout=limits.idle_timeout_s,
            max_line_size=limits.max_header_bytes * _PARSER_SLACK,
            max_field_size=limits.max_header_bytes * _PARSER_SLACK,
            max_headers=limits.max_headers * _PARSER_SLACK,
        )
        self._limits = limits
        self._gauge = gauge
        self._new_request_id = new_request_id
        self._is_counted = False
        self._is_busy = False
        self._head_bytes = 0
        self._has_line = False  # whether the head's first line is whole
        self._head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._gauge.connections += 1
        self._is_counted = True
        super().connection_made(transport)
        if self._gauge.connections > self._limits.max_connections:
            # Beyond the cap nothing is read: what is open already is served first.
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._is_counted:
            self._gauge.connections -= 1
            self._is_counted = False
        self._drop_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._is_busy and not self._force_close:
            self._head_bytes += len(data)
            self._has_line = self._has_line or b"\n" in data
            if self._head_deadline is None:
                self._head_deadline = self._loop.call_later(self._limits.header_timeout_s, self._head_is_late)
        super().data_received(data)
        if (
            not self._is_busy
            and not self._messages
            and self._head_bytes > self._limits.max_header_bytes * _PARSER_SLACK
        ):
            self._refuse(self._too_large())

    def head_is_whole(self) -> None:
        """A request's head has been read: the deadline for it is met."""
        self._is_busy = True
        self._head_bytes = 0
        self._has_line = False
        self._drop_deadline()

    def exchange_is_over(self) -> None:
        """The next bytes belong to the next head."""
        self._is_busy = False

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what aiohttp could not parse, or to an error nobody expected; closes the connection."""
        _ = message  # quotes what the client sent
        refusal = self._parser_refusal(exc)
        self.head_is_whole()
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun; nothing else can be said on this connection")
        if status != HTTPStatus.BAD_REQUEST:
            self.logger.error("the gateway failed on a request", exc_info=exc)
            refusal = Refusal("internal_error", "the gateway failed on this request")
        return self._as_response(refusal)

    def _parser_refusal(self, exc: BaseException | None) -> Refusal:
        if isinstance(exc, LineTooLong):
            return self._too_large()
        return Refusal("invalid_request", "this is not a valid HTTP/1.1 request")

    def _too_large(self) -> Refusal:
        if not self._has_line:
            return Refusal("uri_too_long", "the request target is too long")
        return Refusal("headers_too_large", "the header fields are too large or too many")

    def _as_response(self, refusal: Refusal) -> web.Response:
        request_id = self._new_request_id()
        rendered = render(refusal, request_id)
        response = web.Response(
            status=rendered.status,
            body=rendered.body,
            headers=[*rendered.headers, ("X-Request-Id", request_id)],
        )
        response.force_close()
        return response

    def _head_is_late(self) -> None:
        self._head_deadline = None
        if not self._is_busy:
            self._refuse(Refusal("request_timeout", "the request's head did not arrive in time"))

    def _refuse(self, refusal: Refusal) -> None:
        """Answer without a request: what came is no head yet."""
        if self.transport is not None and not self._force_close:
            self.transport.write(wire_form(refusal, self._new_request_id()))
        self.force_close()

    def _drop_deadline(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None


def wire_form(refusal: Refusal, request_id: str) -> bytes:
    """A refusal as the bytes of a last answer on its connection."""
    rendered = render(refusal, request_id)
    fields: list[tuple[str, Any]] = [
        *rendered.headers,
        ("Content-Length", len(rendered.body)),
        ("X-Request-Id", request_id),
        ("Connection", "close"),
    ]
    phrase = HTTPStatus(rendered.status).phrase
    lines = [f"HTTP/1.1 {rendered.status} {phrase}", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode() + rendered.body
