"""The general lane of the decisions listener: subrequests that the fast lane does not take, by the same rules.

No body is read, whatever the subrequest declares: proxies tell of a request before they have its body.
"""

from __future__ import annotations

from aiohttp import web

from gateway.decision import NEEDS, Allow, Refuse
from gateway.http.framing import framing_problem
from gateway.http.refusal import Refusal
from gateway.pipeline import decide
from gateway.proxy.added_fields import added_fields
from gateway.proxy.decision_reply import allowed_reply, told_request
from gateway.proxy.generation import Generation
from gateway.proxy.guarded_lane import GuardedLane, LocalResponder
from gateway.proxy.request_context import RequestContextFactory
from gateway.request import Request


class DecisionLane(GuardedLane):
    """Handles the subrequests of one application."""

    def __init__(self, contexts: RequestContextFactory) -> None:
        super().__init__(contexts, drained_bytes_max=0)

    def read_head(self, request: web.Request, running: Generation) -> Request:
        beside = running.compiled.beside
        assert beside is not None  # without it there is no listener
        return self.head_of(request, running, beside.compiled.fates)

    async def answer(self, responder: LocalResponder, head: Request) -> bool:
        context, fields = responder.context, head.fields
        beside = context.running.compiled.beside
        assert beside is not None  # as above
        if problem := framing_problem(head.version, fields.lengths, fields.encodings):
            return responder.refuse(Refusal("invalid_request", problem))
        responder.is_sound = True
        request = told_request(context, head.method, head.target, fields, head.peer, head.scheme, head.trace)
        if isinstance(request, Refusal):
            return responder.refuse(request)
        decision = context.go_on(decide(beside.compiled, request))
        while isinstance(decision, NEEDS):
            decision = await context.ask(decision)
        context.tell(decision.context)
        responder.more_fields = added_fields(decision, context, context.running.limiter)
        if isinstance(decision, Refuse):
            return responder.refuse(decision.refusal)
        assert isinstance(decision, Allow)  # the gateway answers nothing itself here
        if decision.identity.is_notable:
            context.running.large_identities.tell(decision.route.name, decision.identity)
        context.status = 200
        wire = allowed_reply(
            beside.answered,
            decision,
            context.request_id,
            more=responder.more_fields,
            connection=responder.connection_option,
        )
        return responder.write(wire)
