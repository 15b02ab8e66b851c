"""The fast lane: one plain request, whole and alone, answered in the turn in which it arrived.

It decides by the same pipeline as the general lane and relays answers by the same relay; what it spares is the task,
the request object, the reader and the writer. A request that is like one before it spares most of the deciding, too.
"""

from __future__ import annotations

from time import time

from gateway.decision import Receive, Request
from gateway.http.ordinary import parted, read_ordinary
from gateway.http.refusal import Refusal
from gateway.identity import NOBODY, Identity
from gateway.pipeline import admit, decide
from gateway.proxy.downstream.client_connection import ClientConnection
from gateway.proxy.fast_exchange import DecidedExchange, RepeatedExchange
from gateway.proxy.generation import Generation
from gateway.proxy.repeats import Repeat
from gateway.proxy.request_context import RequestContext, RequestContextFactory
from gateway.proxy.upstream.pools import UpstreamPools

_VERSION = (1, 1)


class FastLane:
    """Of one listener."""

    def __init__(self, turns: RequestContextFactory, backends: UpstreamPools) -> None:
        self.turns = turns
        self.backends = backends

    def take(self, client: ClientConnection, data: bytes) -> bool:
        """Whether it answers what came; otherwise nothing has happened."""
        parts = parted(data)
        if parts is None or client.is_congested:
            return False
        head, token, behind = parts
        running = self.turns.current()
        repeat = running.repeats.known.get(head)
        if repeat is not None and self._take_again(client, running, repeat, token, behind):
            return True
        ordinary = read_ordinary(data, parts)
        if ordinary is None:
            return False
        method, target, fields, body = ordinary
        request_id = self.turns.new_request_id()
        request = Request(method, target, fields, client.peer, client.scheme, _VERSION, request_id)
        decision = decide(running.gate, request)
        route = decision.case.route
        if isinstance(decision, Receive) or (route is not None and not route.is_plain):
            return False
        turn = RequestContext(self.turns, running, request_id, method, target.partition("?")[0], client.peer)
        DecidedExchange(self.backends, client, turn, head, token, body).go(decision)
        return True

    def _take_again(
        self, client: ClientConnection, running: Generation, repeat: Repeat, token: bytes, behind: bytes
    ) -> bool:
        """The same for a request that is like one before, where its token is remembered."""
        body_bytes, provider = repeat.body_bytes, repeat.provider
        if len(behind) != (body_bytes or 0) or len(token) > repeat.token_bytes_max or client.scheme != repeat.scheme:
            return False
        now, facts = time(), None
        identity: Identity | Refusal = NOBODY
        matched = repeat.matched
        route = matched.value
        if provider is not None:
            try:
                facts = running.authenticator.cached_facts(provider, token, route.max_age_s, now)
                if facts is None:
                    return False
                identity = admit(running.gate, route, provider, facts, matched, now)
            except Exception:  # noqa: BLE001 - nobody expected it; on the longer way it is told of
                return False
        turn = RequestContext(self.turns, running, self.turns.new_request_id(), repeat.method, repeat.path, client.peer)
        turn.route = route.config.name
        turn.matched = matched
        if facts is not None:
            turn.provider, turn.tier = provider, "local"
            turn.facts, turn.token = facts, token
            turn.name(facts)
        RepeatedExchange(self.backends, client, turn, None if body_bytes is None else behind).go(repeat, identity)
        return True
