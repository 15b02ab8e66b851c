"""The general lane: one aiohttp handler that carries every request through the pipeline and acts on the decision.

All that is decided is decided in `gateway.pipeline`; here are the awaits: facts that must be fetched, the body that
must be forwarded. One configuration is taken at the start and used to the end, whatever is reloaded meanwhile.
"""

from __future__ import annotations

from typing import assert_never

from aiohttp import web

from gateway.decision import NEEDS, Allow, Decision, NeedsFacts, NeedsOutcome, Preflight, Publish, Receive, Refuse
from gateway.http.refusal import Refusal
from gateway.pipeline import decide
from gateway.proxy.added_fields import added_fields
from gateway.proxy.downstream.aiohttp_connection import AiohttpConnection
from gateway.proxy.event_port import Passing
from gateway.proxy.forwarding import Forwarder
from gateway.proxy.generation import Generation
from gateway.proxy.guarded_lane import GuardedLane, LocalResponder
from gateway.proxy.request_body import Pace, expects_continue
from gateway.proxy.request_context import RequestContext, RequestContextFactory
from gateway.request import Request


class GeneralLane(GuardedLane):
    """Handles the requests of the public listener."""

    def __init__(self, contexts: RequestContextFactory, forwarder: Forwarder) -> None:
        super().__init__(contexts)
        self._forwarder = forwarder

    def read_head(self, request: web.Request, running: Generation) -> Request:
        assert isinstance(request.protocol, AiohttpConnection)  # the listener makes no others
        return self.head_of(request, running, running.compiled.fates, request.protocol.client.certificate)

    async def answer(self, responder: LocalResponder, head: Request) -> bool:
        """Whether the connection goes on."""
        request, context = responder.request, responder.context
        if await _has_broken_body(request):
            return responder.refuse(Refusal("invalid_request", "the body is broken"))
        decision = await self._decide(context, head)
        context.tell(decision.context)
        responder.more_fields = added_fields(decision, context, context.running.limiter)
        match decision:
            case Refuse():
                return responder.refuse(decision.refusal)
            case Preflight():
                return _preflight(responder, decision)
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

    def _publish(self, responder: LocalResponder, decision: Publish) -> bool:
        document = decision.document
        if responder.request.method == "OPTIONS":
            return responder.say(204, document.preflight)
        return responder.say(200, document.fields, document.body)

    async def _forward(self, responder: LocalResponder, allow: Allow) -> bool | Refusal:
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


def _preflight(responder: LocalResponder, preflight: Preflight) -> bool:
    if isinstance(preflight.answer, Refusal):
        return responder.refuse(preflight.answer)
    return responder.say(204, responder.more_fields)


async def _has_broken_body(request: web.Request) -> bool:
    """Whether that shows before anybody is asked. A client that awaits `100 Continue` is not waited for."""
    connection = request.protocol
    if not isinstance(connection, AiohttpConnection) or "Transfer-Encoding" not in request.headers:
        return False
    return await connection.has_broken_body(may_wait=not expects_continue(request))
