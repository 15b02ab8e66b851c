"""The general lane: one aiohttp handler that carries every request through the pipeline and acts on the decision.

All that is decided is decided in `gateway.pipeline`; here are the awaits: facts that must be fetched, the body that
must be forwarded. One configuration is taken at the start and used to the end, whatever is reloaded meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import assert_never

from aiohttp import HttpVersion10, web

from gateway.decision import (
    NEEDS,
    Allow,
    Decision,
    NeedsFacts,
    NeedsOutcome,
    Preflight,
    Publish,
    Receive,
    Refuse,
    Request,
)
from gateway.http.refusal import Refusal
from gateway.http.request_fields import fields_of
from gateway.pipeline import decide
from gateway.proxy.added_fields import added_fields
from gateway.proxy.cors import RouteCors
from gateway.proxy.downstream.aiohttp_connection import AiohttpConnection
from gateway.proxy.event_port import Passing
from gateway.proxy.forwarding import Forwarder
from gateway.proxy.generation import Generation
from gateway.proxy.local_reply import AlreadySent, local_reply
from gateway.proxy.refusing import FAILED, connection_option, send_refusal
from gateway.proxy.request_body import Pace, expects_continue
from gateway.proxy.request_context import RequestContext, RequestContextFactory

_logger = logging.getLogger(__name__)

# A refused body up to this size is read and dropped so that the connection can be kept; a larger one costs it.
_DRAINED_BYTES_MAX = 2**16


class GeneralLane:
    """Handles the requests of one application."""

    def __init__(self, app: web.Application, contexts: RequestContextFactory, forwarder: Forwarder) -> None:
        self._contexts = contexts
        self._forwarder = forwarder
        self._cors = RouteCors(app)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, AiohttpConnection)  # the listener makes no others
        connection.head_is_whole(request.content)
        running = self._contexts.current()
        head = self._head(request, running)
        path = request.raw_path.partition("?")[0]
        context = RequestContext(self._contexts, running, head.new_request_id, head.method, path, head.peer, head.trace)
        responder = _LocalResponder(request, connection, context)
        try:
            return AlreadySent(keeps_alive=await self._answer(responder, head))
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

    def _head(self, request: web.Request, running: Generation) -> Request:
        assert isinstance(request.protocol, AiohttpConnection)  # the listener makes no others
        fields, peer = fields_of(running.compiled.fates, request.raw_headers), request.protocol.client.peer
        return Request(
            method=request.method,
            target=request.raw_path,
            fields=fields,
            peer=peer,
            scheme=request.scheme,
            version=(request.version.major, request.version.minor),
            new_request_id=self._contexts.new_request_id(),
            trace=self._contexts.trace(running.compiled, fields, peer),
        )

    async def _answer(self, responder: _LocalResponder, head: Request) -> bool:
        """Whether the connection goes on."""
        request, context = responder.request, responder.context
        if await _has_broken_body(request):
            return responder.refuse(Refusal("invalid_request", "the body is broken"))
        decision = await self._decide(context, head)
        context.tell(decision.context)
        responder.more_fields = added_fields(decision, context)
        match decision:
            case Refuse():
                return responder.refuse(decision.refusal)
            case Preflight():
                return await self._preflight(responder, decision)
            case Receive():
                reply = await context.running.receiver.receive(request, decision, context)
                if isinstance(reply, Refusal):
                    return responder.refuse(reply)
                return responder.say(reply.status, reply.headers, reply.body)
            case Publish():
                return self._publish(responder, decision)
            case Allow():
                said = await self._forward(responder, decision)
                return responder.refuse(said) if isinstance(said, Refusal) else said
            case NeedsFacts() | NeedsOutcome():
                raise AssertionError("a decision that still needs something was taken for final")
            case _:
                assert_never(decision)

    async def _preflight(self, responder: _LocalResponder, decision: Preflight) -> bool:
        response = await self._cors.preflight(responder.request, decision.route)
        if isinstance(response, Refusal):
            return responder.refuse(response)
        return responder.say(response.status, response.headers.items())

    def _publish(self, responder: _LocalResponder, decision: Publish) -> bool:
        document = decision.document
        if responder.request.method == "OPTIONS":
            return responder.say(204, document.preflight)
        return responder.say(200, document.fields, document.body)

    async def _forward(self, responder: _LocalResponder, allow: Allow) -> bool | Refusal:
        request, context = responder.request, responder.context
        passing: Passing | Refusal | None = None
        if allow.identity.is_notable:
            context.running.large_identities.tell(allow.route.name, allow.identity)
        if allow.route.config.on_success is not None:
            passing = await context.running.receiver.passing(request, allow, context)
        if isinstance(passing, Refusal):
            return passing
        server = context.running.config.server
        return await self._forwarder.forward(
            request,
            allow,
            context.running.backends[allow.route.name],
            context,
            responder.more_fields,
            keeps_alive=responder.may_keep_alive,
            pace=Pace(server.idle_timeout, server.min_body_rate),
            passing=passing,
        )

    async def _decide(self, context: RequestContext, head: Request) -> Decision:
        decision = context.go_on(decide(context.running.compiled, head))
        while isinstance(decision, NEEDS):
            decision = await context.ask(decision)
        return decision


class _LocalResponder:
    """Sends the gateway's own response to one request. `more_fields` go with each of them."""

    def __init__(self, request: web.Request, connection: AiohttpConnection, context: RequestContext) -> None:
        self.request = request
        self.context = context
        self.more_fields: list[tuple[str, str]] = []
        self._connection = connection

    @property
    def may_keep_alive(self) -> bool:
        return self.request.keep_alive and not self._connection.client.is_draining

    def refuse(self, refusal: Refusal) -> bool:
        return send_refusal(
            self._connection.client,
            self.context,
            refusal,
            self.more_fields,
            keeps_alive=self.may_keep_alive and not _has_costly_body(self.request),
            is_http10=self._is_http10,
        )

    def say(self, status: int, fields: Iterable[tuple[str, str]], body: bytes = b"") -> bool:
        context = self.context
        to_head = self.request.method == "HEAD"
        context.status, context.bytes_sent = status, 0 if to_head else len(body)
        keeps_alive = self.may_keep_alive and not _has_costly_body(self.request)
        option = connection_option(keeps_alive=keeps_alive, is_http10=self._is_http10)
        reply = local_reply(status, fields, body, context.request_id, connection=option, to_head=to_head)
        self._connection.client.write(reply)
        return keeps_alive

    @property
    def _is_http10(self) -> bool:
        return self.request.version == HttpVersion10


async def _has_broken_body(request: web.Request) -> bool:
    """Whether that shows before anybody is asked. A client that awaits `100 Continue` is not waited for."""
    connection = request.protocol
    if not isinstance(connection, AiohttpConnection) or "Transfer-Encoding" not in request.headers:
        return False
    return await connection.has_broken_body(may_wait=not expects_continue(request))


def _has_costly_body(request: web.Request) -> bool:
    """Whether a body that nobody wants is better cut off than read; it is never the next request (CVE-2025-4366)."""
    if not request.body_exists or request.content.at_eof():
        return False
    length = request.content_length
    return "Expect" in request.headers or length is None or length > _DRAINED_BYTES_MAX
