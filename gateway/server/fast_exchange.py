"""One request of the fast lane and its answer. A task is made where there is something to wait for: facts that nobody
here remembers, a backend that has to be connected to.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from gateway.config.upstream import Backend
from gateway.gate import GatedRoute
from gateway.http.answer_head import field_line
from gateway.http.refusal import Refusal
from gateway.identity import Identity
from gateway.pipeline import Allow, Decision, NeedsFacts, Refuse
from gateway.server.backends.client import Backends
from gateway.server.backends.connection import BackendConnection
from gateway.server.backends.errors import BackendError, BackendUnreachableError
from gateway.server.backends.pool import Pool
from gateway.server.client import ClientConnection
from gateway.server.forwarding import refusal_of
from gateway.server.lane import UNTRUSTED_FRAMING
from gateway.server.own_answer import refusal_answer, staleness
from gateway.server.relay import Relay
from gateway.server.repeats import IDEMPOTENT, Repeat
from gateway.server.request_head import request_head
from gateway.server.turn import Turn

_logger = logging.getLogger(__name__)


class _FastExchange(Relay):
    """What becomes of a request once it is decided, the relay of its answer included.

    `body` is `None` where no length was declared.
    """

    _has_ended = False
    _retries = 0
    _task: asyncio.Task[None] | None = None
    _was_sent = False

    def __init__(self, backends: Backends, client: ClientConnection, turn: Turn, body: bytes | None) -> None:
        super().__init__(client, turn)
        self._turn = turn
        self._backends = backends
        self._body = body
        client.fast_exchange = self

    def leave(self) -> None:
        """The client is gone."""
        if self._has_ended:
            return
        self._has_ended = True
        if self._task is not None:
            self._task.cancel()
        if self._was_sent:
            self.abandon()
        self._turn.end()

    def over(self, error: BackendError | None) -> None:
        if error is None:
            self._end(keeps_alive=self.keeps_alive)
        elif self._retries and self._may_be_sent_again(error):
            self._retries -= 1
            self._forward(self._route)
        else:
            self._refuse(refusal_of(error))

    def _request_head(self, backend: Backend, place: int) -> bytes:
        """What `backend` is sent, which has this place on the route, without the body."""
        raise NotImplementedError

    def _forward(self, route: GatedRoute) -> None:
        place = self._turn.running.rotation.turn(route)
        backend = route.config.backend[place]
        wire = self._request_head(backend, place)
        if self._body:
            wire += self._body
            self._turn.bytes_received = len(self._body)
        pool = self._backends.pool(backend)
        connection = pool.take()
        if connection is not None:
            self._was_sent = True
            self.begin(connection, route, wire)
        else:
            self._wait(self._connect(pool, route, wire))

    async def _connect(self, pool: Pool, route: GatedRoute, wire: bytes) -> None:
        connection: BackendConnection | BackendError
        try:
            connection = await pool.acquire(route.config.connect_timeout)
        except BackendError as error:
            connection = error.with_traceback(None)  # which would hold this frame, and that holds the error
        self._task = None
        if isinstance(connection, BackendError):
            self._route = route
            self.over(connection)
        else:
            self._was_sent = True
            self.begin(connection, route, wire)

    def _may_be_sent_again(self, error: BackendError) -> bool:
        """As in the general lane, a body goes out once."""
        return isinstance(error, BackendUnreachableError) and not (self._was_sent and self._body)

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.get_running_loop().create_task(work)
        self._task.add_done_callback(self._waited)

    def _waited(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _refuse(self, refusal: Refusal) -> None:
        turn = self._turn
        turn.status, turn.code, turn.reason = refusal.status, refusal.code, refusal.reason
        keeps_alive = refusal.code not in UNTRUSTED_FRAMING and not self._client.is_draining
        answer, turn.bytes_sent = refusal_answer(
            refusal,
            turn.request_id,
            connection=None if keeps_alive else "close",
            to_head=turn.method == "HEAD",
            more=staleness(turn),
        )
        self._client.write(answer)
        self._end(keeps_alive=keeps_alive)

    def _fail(self, error: BaseException) -> None:
        """Nobody expected it, so nothing of it is told to the client."""
        _logger.error("the gateway failed on a request", exc_info=error, extra={"event": "internal_error"})
        if self._has_ended:
            return
        if self._was_sent:
            self.abandon()
        if self._turn.status:
            self._client.cut()  # within an answer, which must not look whole
        else:
            self._refuse(Refusal("internal_error", "the gateway failed on this request"))

    def _end(self, *, keeps_alive: bool) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._turn.end()
            self._client.fast_exchange_is_over(keeps_alive=keeps_alive)


class DecidedExchange(_FastExchange):
    """Of a request that is decided on its own. `head` and `token` are what it came as."""

    _allow: Allow | None = None

    def __init__(
        self, backends: Backends, client: ClientConnection, turn: Turn, head: bytes, token: bytes, body: bytes | None
    ) -> None:
        super().__init__(backends, client, turn, body)
        self._came_as = head, token

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

    async def _ask(self, needs: NeedsFacts) -> None:
        decision = await self._turn.ask(needs)
        self._task = None
        self.go(decision)

    def _act(self, decision: Decision) -> None:
        turn = self._turn
        turn.tell(decision.case)
        if isinstance(decision, Refuse):
            self._refuse(decision.refusal)
            return
        assert isinstance(decision, Allow)  # a preflight is no ordinary request
        self._allow = decision
        if turn.stale_s is None:
            turn.running.repeats.remember(*self._came_as, decision)
        else:
            self._more_fields = b"".join(field_line(*pair) for pair in staleness(turn))
        if turn.method in IDEMPOTENT:
            self._retries = decision.route.config.retries
        self._forward(decision.route)

    def _request_head(self, backend: Backend, place: int) -> bytes:
        _ = place
        allow = self._allow
        assert allow is not None  # nothing is sent before
        framing = "" if self._body is None else f"Content-Length: {len(self._body)}\r\n"
        return request_head(self._turn.method, backend, allow, framing)


class RepeatedExchange(_FastExchange):
    """Of a request that is like one before."""

    _identity: Identity
    _repeat: Repeat

    def go(self, repeat: Repeat, identity: Identity | Refusal) -> None:
        """Act on what the policy says of the caller."""
        try:
            if isinstance(identity, Refusal):
                self._refuse(identity)
                return
            self._repeat = repeat
            self._identity = identity
            self._retries = repeat.retries
            self._forward(repeat.matched.value)
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error)

    def _request_head(self, backend: Backend, place: int) -> bytes:
        _ = backend
        turn = self._turn
        return self._repeat.forms[place].head(turn.request_id, turn.client, self._identity)
