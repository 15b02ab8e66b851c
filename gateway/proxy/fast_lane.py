"""The fast lane: serves one plain, complete request in the iteration of the event loop in which it arrives.

It decides by the same pipeline as the general lane and relays answers by the same relay; what it spares is the task,
the request object, the reader and the writer.
"""

from __future__ import annotations

from typing import Final

from gateway.decision import Decision, Publish, Receive, Request
from gateway.http.ordinary import read_ordinary
from gateway.pipeline import decide
from gateway.proxy.downstream.client_connection import ClientConnection
from gateway.proxy.fast_exchange import OrdinaryExchange
from gateway.proxy.generation import Generation
from gateway.proxy.request_context import RequestContext, RequestContextFactory
from gateway.proxy.upstream.pools import UpstreamPools

_VERSION: Final = (1, 1)


class FastLane:
    """Of one listener."""

    def __init__(self, contexts: RequestContextFactory, backends: UpstreamPools) -> None:
        self.contexts = contexts
        self.backends = backends

    def take(self, client: ClientConnection, data: bytes) -> bool:
        """Whether it answers what came; otherwise nothing has happened."""
        if client.is_congested:
            return False
        running = self.contexts.running
        compiled, last = running.compiled, client.last_request
        if last.decision is not None and last.request is not None and last.is_same(compiled, data):
            last.request.new_request_id = self.contexts.new_request_id()
            self._begin(client, running, last.request, last.body, last.decision)
            return True
        ordinary = read_ordinary(compiled.fates, compiled.head_limits, data)
        if ordinary is None:
            return False
        if ordinary.missing_bytes:
            client.body_is_to_come(data, ordinary.missing_bytes)
            return False
        fields, request_id = ordinary.fields, self.contexts.new_request_id()
        trace = self.contexts.trace(compiled, fields, client.peer)
        request = Request(
            ordinary.method,
            ordinary.target,
            fields,
            client.peer,
            client.scheme,
            _VERSION,
            request_id,
            trace,
            certificate=client.certificate,
        )
        decision = decide(compiled, request)
        route = decision.context.route
        if isinstance(decision, (Receive, Publish)) or (route is not None and not route.is_plain):
            return False
        last.note(compiled, data, request, ordinary.body, decision)
        self._begin(client, running, request, ordinary.body, decision)
        return True

    def _begin(
        self, client: ClientConnection, running: Generation, request: Request, body: bytes | None, decision: Decision
    ) -> None:
        target = decision.context.target
        path = request.target.partition("?")[0] if target is None else target.path
        request_id = request.new_request_id
        context = RequestContext(self.contexts, running, request_id, request.method, path, client.peer, request.trace)
        OrdinaryExchange(self.backends, client, context, body).go(decision)
