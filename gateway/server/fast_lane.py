"""The fast lane: one plain request, whole and alone, answered in the turn in which it arrived.

It decides by the same pipeline as the general lane and relays answers by the same relay; what it spares is the task,
the request object, the reader and the writer. A task is made where there is something to wait for: facts that nobody
here remembers, a backend that has to be connected to.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from gateway.http.answer_head import field_line
from gateway.http.ordinary import Ordinary, read_ordinary
from gateway.http.refusal import Refusal
from gateway.pipeline import Allow, Decision, NeedsFacts, Receive, Refuse, Request, decide
from gateway.server.backends.client import Backends
from gateway.server.backends.connection import BackendConnection
from gateway.server.backends.errors import BackendError, BackendUnreachableError
from gateway.server.backends.pool import Pool
from gateway.server.client import ClientConnection
from gateway.server.forwarding import IDEMPOTENT, refusal_of
from gateway.server.lane import UNTRUSTED_FRAMING
from gateway.server.own_answer import refusal_answer, staleness
from gateway.server.relay import Relay
from gateway.server.request_head import request_head
from gateway.server.turn import Turns

_logger = logging.getLogger(__name__)
_VERSION = (1, 1)


class FastLane:
    """Of one listener."""

    def __init__(self, turns: Turns, backends: Backends) -> None:
        self.turns = turns
        self.backends = backends
        self.loop = asyncio.get_running_loop()

    def take(self, client: ClientConnection, data: bytes) -> bool:
        """Whether it answers what came; otherwise nothing has happened."""
        ordinary = read_ordinary(data)
        if ordinary is None or client.is_congested:
            return False
        gate = self.turns.current().gate
        request = Request(
            ordinary.method,
            ordinary.target,
            ordinary.fields,
            client.peer,
            client.scheme,
            _VERSION,
            self.turns.new_request_id(),
        )
        decision = decide(gate, request)
        route = decision.case.route
        if isinstance(decision, Receive) or (route is not None and not route.is_plain):
            return False
        _Exchange(self, client, ordinary, request).go(decision)
        return True


class _Exchange:
    """One request and its answer."""

    __slots__ = ("_allow", "_client", "_is_over", "_lane", "_ordinary", "_relay", "_retries", "_task", "_turn")

    def __init__(self, lane: FastLane, client: ClientConnection, ordinary: Ordinary, request: Request) -> None:
        self._lane = lane
        self._client = client
        self._ordinary = ordinary
        self._turn = lane.turns.begin(
            request.new_request_id, ordinary.method, ordinary.target.partition("?")[0], client.peer
        )
        self._allow: Allow | None = None
        self._relay: Relay | None = None
        self._retries = 0
        self._task: asyncio.Task[None] | None = None
        self._is_over = False
        client.fast_exchange = self

    def go(self, decision: Decision) -> None:
        """Act on the decision as far as that goes without waiting."""
        try:
            decision = self._turn.go_on(decision)
            if isinstance(decision, NeedsFacts):
                self._wait(self._ask(decision))
            else:
                self._act(decision)
        except Exception as error:  # noqa: BLE001 - as in the general lane: nobody expected it
            self._fail(error)

    def leave(self) -> None:
        """The client is gone."""
        if self._is_over:
            return
        self._is_over = True
        if self._task is not None:
            self._task.cancel()
        if self._relay is not None:
            self._relay.abandon()
        self._turn.end()

    def _act(self, decision: Decision) -> None:
        self._turn.tell(decision.case)
        if isinstance(decision, Refuse):
            self._refuse(decision.refusal)
            return
        assert isinstance(decision, Allow)  # a preflight is no ordinary request
        self._allow = decision
        if self._ordinary.method in IDEMPOTENT:
            self._retries = decision.route.config.retries
        self._forward(decision)

    def _forward(self, allow: Allow) -> None:
        backend = self._turn.running.rotation.next(allow.route)
        body = self._ordinary.body
        if body is None:
            wire = request_head(self._ordinary.method, backend, allow, "")
        else:
            wire = request_head(self._ordinary.method, backend, allow, f"Content-Length: {len(body)}\r\n") + body
        pool = self._lane.backends.pool(backend)
        connection = pool.take()
        if connection is not None:
            self._send(connection, allow, wire)
        else:
            self._wait(self._connect(pool, allow, wire))

    def _send(self, connection: BackendConnection, allow: Allow, wire: bytes) -> None:
        exchange = self._turn.exchange
        exchange.bytes_received = len(self._ordinary.body or b"")
        stale = b"" if exchange.stale_s is None else b"".join(field_line(*pair) for pair in staleness(exchange))
        self._relay = Relay(
            self._client, allow.route, exchange, self._ordinary.method, self._answered, more_fields=stale
        )
        self._relay.begin(connection, wire)

    async def _ask(self, needs: NeedsFacts) -> None:
        decision = await self._turn.ask(needs)
        self._task = None
        self.go(decision)

    async def _connect(self, pool: Pool, allow: Allow, wire: bytes) -> None:
        try:
            connection = await pool.acquire(allow.route.config.connect_timeout)
        except BackendError as error:
            self._task = None
            self._answered(error)
            return
        self._task = None
        self._send(connection, allow, wire)

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = self._lane.loop.create_task(work)
        self._task.add_done_callback(self._waited)

    def _waited(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _answered(self, error: BackendError | None) -> None:
        if error is None:
            relay = self._relay
            assert relay is not None  # it has just said so
            self._end(keeps_alive=relay.keeps_alive)
        elif self._retries and self._allow is not None and self._may_be_sent_again(error):
            self._retries -= 1
            self._forward(self._allow)
        else:
            self._refuse(refusal_of(error))

    def _may_be_sent_again(self, error: BackendError) -> bool:
        """As in the general lane, a body goes out once."""
        return isinstance(error, BackendUnreachableError) and (self._relay is None or not self._ordinary.body)

    def _refuse(self, refusal: Refusal) -> None:
        exchange = self._turn.exchange
        exchange.status, exchange.code, exchange.reason = refusal.status, refusal.code, refusal.reason
        keeps_alive = refusal.code not in UNTRUSTED_FRAMING and not self._client.is_draining
        answer, exchange.bytes_sent = refusal_answer(
            refusal,
            exchange.request_id,
            connection=None if keeps_alive else "close",
            to_head=self._ordinary.method == "HEAD",
            more=staleness(exchange),
        )
        self._client.write(answer)
        self._end(keeps_alive=keeps_alive)

    def _fail(self, error: BaseException) -> None:
        """Nobody expected it, so nothing of it is told to the client."""
        _logger.error("the gateway failed on a request", exc_info=error, extra={"event": "internal_error"})
        if self._is_over:
            return
        if self._relay is not None:
            self._relay.abandon()
        if self._turn.exchange.status:
            self._client.cut()  # within an answer, which must not look whole
        else:
            self._refuse(Refusal("internal_error", "the gateway failed on this request"))

    def _end(self, *, keeps_alive: bool) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._turn.end()
        self._client.fast_exchange_is_over(keeps_alive=keeps_alive)
