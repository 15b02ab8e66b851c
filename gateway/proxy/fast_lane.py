"""The fast lane: serves a plain, complete request in the iteration of the event loop in which it arrives.

It decides by the same pipeline as the general lane and relays answers by the same relay; what it spares is the task,
the request object, the reader and the writer.
"""

from __future__ import annotations

from typing import Final

from gateway.compiled import CompiledRoute
from gateway.decision import Decision, Publish, Receive
from gateway.http.ordinary import USUAL, Manner, Ordinary, read_ordinary
from gateway.http.unfinished import HeadLimits
from gateway.pipeline import decide
from gateway.proxy.downstream.client_connection import ClientConnection
from gateway.proxy.fast_exchange import OrdinaryExchange
from gateway.proxy.generation import Generation
from gateway.proxy.request_context import RequestContext, RequestContextFactory
from gateway.proxy.upstream.pools import UpstreamPools
from gateway.request import Request

_HTTP10: Final = (1, 0)
_HTTP11: Final = (1, 1)


class FastLane:
    """Of one listener."""

    def __init__(self, contexts: RequestContextFactory, backends: UpstreamPools) -> None:
        self.contexts = contexts
        self.backends = backends

    def take(self, client: ClientConnection, data: bytes) -> bool:
        """Whether it answers what came; otherwise nothing has happened."""
        running = self.contexts.running
        compiled, last = running.compiled, client.last_request
        if last.decision is not None and last.request is not None and last.is_same(compiled, data):
            request, request_id = last.request, self.contexts.new_request_id()
            request.new_request_id = request_id
            request.trace = self.contexts.trace(compiled, request.fields, client.peer, request_id)
            self._begin(client, running, request, last.body, last.decision, USUAL)
            return True
        ordinary = read_ordinary(compiled.fates, compiled.head_limits, data)
        if ordinary is None:
            return False
        if ordinary.missing_bytes:
            client.body_is_to_come(self, data, ordinary.missing_bytes)
            return False
        return self._serve(client, running, ordinary, data)

    def left(self, client: ClientConnection, data: bytes) -> None:
        """Record a request whose client has left before its body was whole; `data` is what came of it."""
        running = self.contexts.running
        # It was ordinary as it came, and within the limits of that moment.
        ordinary = read_ordinary(running.compiled.fates, HeadLimits(len(data), len(data)), data)
        assert ordinary is not None  # as it was then: what comes behind a head does not change what the head says
        request = self._request(client, running, ordinary)
        decision = decide(running.compiled, request)
        context = self._context(client, running, request, decision)
        context.tell(decision.context)
        context.bytes_received = len(ordinary.body or b"")
        context.end()

    def _serve(self, client: ClientConnection, running: Generation, ordinary: Ordinary, data: bytes) -> bool:
        """The same for an ordinary request that `data` begins with."""
        compiled, manner = running.compiled, ordinary.manner
        request = self._request(client, running, ordinary)
        decision = decide(compiled, request)
        route = decision.context.route
        if isinstance(decision, (Receive, Publish)) or (route is not None and not route.is_plain):
            return False
        if manner is USUAL:
            client.last_request.note(compiled, data, request, ordinary.body, decision)
        elif manner.is_chunked and route is not None and not _has_room(route, ordinary):
            return False
        if manner.behind:
            client.hold(manner.behind)
        self._begin(client, running, request, ordinary.body, decision, manner)
        return True

    def _begin(
        self,
        client: ClientConnection,
        running: Generation,
        request: Request,
        body: bytes | None,
        decision: Decision,
        manner: Manner,
    ) -> None:
        context = self._context(client, running, request, decision)
        OrdinaryExchange(self.backends, client, context, body, manner).go(decision)

    def _request(self, client: ClientConnection, running: Generation, ordinary: Ordinary) -> Request:
        fields, contexts = ordinary.fields, self.contexts
        request_id = contexts.new_request_id()
        return Request(
            ordinary.method,
            ordinary.target,
            fields,
            client.peer,
            client.scheme,
            _HTTP10 if ordinary.manner.is_http10 else _HTTP11,
            request_id,
            contexts.trace(running.compiled, fields, client.peer, request_id),
            certificate=client.certificate,
        )

    def _context(
        self, client: ClientConnection, running: Generation, request: Request, decision: Decision
    ) -> RequestContext:
        target, request_id = decision.context.target, request.new_request_id
        path = request.target.partition("?")[0] if target is None else target.path
        return RequestContext(self.contexts, running, request_id, request.method, path, client.peer, request.trace)


def _has_room(route: CompiledRoute, ordinary: Ordinary) -> bool:
    """Whether a body whose length was not declared may be as long as it is."""
    return route.max_body_bytes is None or len(ordinary.body or b"") <= route.max_body_bytes
