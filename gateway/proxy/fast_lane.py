"""The fast lane: serves one plain, complete request in the iteration of the event loop in which it arrives.

It decides by the same pipeline as the general lane and relays answers by the same relay; what it spares is the task,
the request object, the reader and the writer.
"""

from __future__ import annotations

from typing import Final

from gateway.decision import Publish, Receive, Request
from gateway.http.ordinary import read_ordinary
from gateway.pipeline import decide
from gateway.proxy.downstream.client_connection import ClientConnection
from gateway.proxy.fast_exchange import OrdinaryExchange
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
        running = self.contexts.current()
        compiled = running.compiled
        ordinary = read_ordinary(compiled.fates, compiled.head_limits, data)
        if ordinary is None:
            return False
        method, target = ordinary.method, ordinary.target
        request_id = self.contexts.new_request_id()
        trace = self.contexts.trace(compiled, ordinary.fields, client.peer)
        request = Request(
            method,
            target,
            ordinary.fields,
            client.peer,
            client.scheme,
            _VERSION,
            request_id,
            trace,
            certificate=client.certificate,
        )
        decision = decide(compiled, request)
        route = decision.context.route
        if isinstance(decision, Receive | Publish) or (route is not None and not route.is_plain):
            return False
        path = target.partition("?")[0]
        context = RequestContext(self.contexts, running, request_id, method, path, client.peer, trace)
        OrdinaryExchange(self.backends, client, context, ordinary.body).go(decision)
        return True
