"""What the general lanes of both listeners share: one request's guard, and the gateway's own response to it.

How it works: aiohttp calls `handle` with each request. It makes the context of the request, has the lane answer, and
ends both. Nobody else on the data path catches what nobody expected.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from aiohttp import HttpVersion10, web

from gateway.http.fates import FieldFates
from gateway.http.refusal import Refusal
from gateway.http.request_fields import fields_of
from gateway.proxy.downstream.aiohttp_connection import AiohttpConnection
from gateway.proxy.generation import Generation
from gateway.proxy.local_reply import AlreadySent, own_reply
from gateway.proxy.refusing import FAILED, connection_option, send_refusal
from gateway.proxy.request_context import RequestContext, RequestContextFactory
from gateway.request import Request

_logger = logging.getLogger(__name__)

# A refused body up to this size is read and dropped so that the connection can be kept; a larger one costs it.
DRAINED_BYTES_MAX = 2**16


class GuardedLane:
    """Handles the requests of one application. A lane says how a request is read and answered."""

    def __init__(self, contexts: RequestContextFactory, *, drained_bytes_max: int = DRAINED_BYTES_MAX) -> None:
        self._contexts = contexts
        self._drained_bytes_max = drained_bytes_max

    def read_head(self, request: web.Request, running: Generation) -> Request:
        """The head as the pipeline takes it."""
        raise NotImplementedError

    def head_of(
        self, request: web.Request, running: Generation, fates: FieldFates, certificate: str | None = None
    ) -> Request:
        """The head, its fields read by `fates`; `certificate` is the one that the client showed on its connection."""
        assert isinstance(request.protocol, AiohttpConnection)  # the listener makes no others
        fields, peer = fields_of(fates, request.raw_headers), request.protocol.client.peer
        request_id = self._contexts.new_request_id()
        return Request(
            method=request.method,
            target=request.raw_path,
            fields=fields,
            peer=peer,
            scheme=request.scheme,
            version=(request.version.major, request.version.minor),
            new_request_id=request_id,
            trace=self._contexts.trace(running.compiled, fields, peer, request_id),
            certificate=certificate,
        )

    async def answer(self, responder: LocalResponder, head: Request) -> bool:
        """Respond; whether the connection goes on."""
        raise NotImplementedError

    async def handle(self, request: web.Request) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, AiohttpConnection)  # the listener makes no others
        connection.head_is_whole(request.content)
        running = self._contexts.running
        head = self.read_head(request, running)
        path = request.raw_path.partition("?")[0]
        context = RequestContext(self._contexts, running, head.new_request_id, head.method, path, head.peer, head.trace)
        responder = LocalResponder(request, connection, context, self._drained_bytes_max)
        try:
            return AlreadySent(keeps_alive=await self.answer(responder, head))
        except ConnectionError:
            # The client is gone, so nobody can be told. aiohttp must not take this for a fault of ours.
            connection.client.cut()
            return AlreadySent()
        except Exception:
            # The one broad guard of the data path: nobody expected it, so nothing of it is told to the client.
            _logger.exception("the gateway failed on a request", extra={"event": "internal_error"})
            if context.status:
                connection.client.cut()
                return AlreadySent()
            return AlreadySent(keeps_alive=responder.refuse(FAILED))
        finally:
            context.end()
            connection.exchange_is_over()
            connection.client.exchange_is_over()


class LocalResponder:
    """Sends the gateway's own response to one request. `more_fields` go with each of them.

    The request's framing was sound where `is_sound` is set: then even a 400 need not end the connection.
    """

    def __init__(
        self, request: web.Request, connection: AiohttpConnection, context: RequestContext, drained_bytes_max: int
    ) -> None:
        self.request = request
        self.context = context
        self.more_fields: list[tuple[str, str]] = []
        self.is_sound = False
        self._connection = connection
        self._drained_bytes_max = drained_bytes_max

    @property
    def may_keep_alive(self) -> bool:
        return self.request.keep_alive and not self._connection.client.is_draining

    def refuse(self, refusal: Refusal) -> bool:
        return send_refusal(
            self._connection.client,
            self.context,
            refusal,
            self.more_fields,
            keeps_alive=self._keeps_alive,
            is_http10=self._is_http10,
            is_sound=self.is_sound,
            to_head=self._is_head,
        )

    def say(self, status: int, fields: Iterable[tuple[str, str]], body: bytes = b"") -> bool:
        return self.write(
            own_reply(self.context, status, fields, body, connection=self.connection_option, to_head=self._is_head)
        )

    def write(self, response: bytes) -> bool:
        """Send a whole response, which has `connection_option`; whether the connection goes on."""
        self._connection.client.write(response)
        return self._keeps_alive

    @property
    def connection_option(self) -> str | None:
        """What a response of the gateway's own says of the connection."""
        return connection_option(keeps_alive=self._keeps_alive, is_http10=self._is_http10)

    @property
    def _keeps_alive(self) -> bool:
        return self.may_keep_alive and not _has_costly_body(self.request, self._drained_bytes_max)

    @property
    def _is_head(self) -> bool:
        return self.request.method == "HEAD"

    @property
    def _is_http10(self) -> bool:
        return self.request.version == HttpVersion10


def _has_costly_body(request: web.Request, drained_bytes_max: int) -> bool:
    """Whether a body that nobody wants is better cut off than read; it is never the next request (CVE-2025-4366)."""
    if not request.body_exists or request.content.at_eof():
        return False
    length = request.content_length
    return "Expect" in request.headers or length is None or length > drained_bytes_max
