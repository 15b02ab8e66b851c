"""One request of the fast lane and its response. A task is made where there is something to wait for: facts that nobody
here remembers, a backend that has to be connected to.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from time import monotonic
from typing import Any

from gateway.authn.question import FactsLookup
from gateway.compiled import CompiledRoute
from gateway.decision import NEEDS, Allow, Decision, Needs, NeedsFacts, Preflight, Refuse
from gateway.http.location import Outside
from gateway.http.ordinary import USUAL, Manner
from gateway.http.refusal import Refusal
from gateway.http.response_head import field_line
from gateway.proxy.added_fields import added_fields
from gateway.proxy.downstream.client_connection import ClientConnection
from gateway.proxy.local_reply import own_reply
from gateway.proxy.refusing import FAILED, connection_option, refusal_of, send_refusal
from gateway.proxy.relay import Relay
from gateway.proxy.request_context import RequestContext
from gateway.proxy.request_head import IDEMPOTENT, backend_request, framing_of
from gateway.proxy.upstream.attempts import Attempts
from gateway.proxy.upstream.backend_error import BackendError
from gateway.proxy.upstream.backend_request import UNKNOWN_LENGTH, BackendRequest
from gateway.proxy.upstream.backend_state import BackendState
from gateway.proxy.upstream.connection import BackendConnection
from gateway.proxy.upstream.pool import Pool
from gateway.proxy.upstream.pools import UpstreamPools

_logger = logging.getLogger(__name__)


class OrdinaryExchange(Relay):
    """Serves a request after its decision, and relays its response.

    `body` is `None` where none was declared.
    """

    _allow: Allow | None = None
    _attempts: Attempts | None = None  # made when the first one has failed
    _has_chunked_body = False
    _has_ended = False
    _retries = 0
    _added: Sequence[tuple[str, str]] = ()
    _state: BackendState  # of the backend that is asked
    _task: asyncio.Task[None] | None = None
    _was_sent = False

    def __init__(
        self,
        backends: UpstreamPools,
        client: ClientConnection,
        context: RequestContext,
        body: bytes | None,
        manner: Manner,
    ) -> None:
        super().__init__(client, context)
        if manner is not USUAL:
            self.keeps_alive = not manner.is_last
            self._is_http10 = manner.is_http10
            self._has_chunked_body = manner.is_chunked
        self._context = context
        self._backends = backends
        self._body = body
        client.fast_exchange_begins(self)

    def leave(self) -> None:
        """The client is gone."""
        if self._has_ended:
            return
        self._has_ended = True
        if self._task is not None:
            self._task.cancel()
        if self._was_sent:
            self.abandon()
        self._context.end()

    def over(self, error: BackendError | None) -> None:
        if error is None:
            self._end(keeps_alive=self.keeps_alive)
        else:
            self._go_on(error, self._route)

    def go(self, decision: Decision) -> None:
        """Act on the decision as far as that goes without waiting."""
        try:
            decision = self._context.go_on(decision)
            if isinstance(decision, NEEDS):
                # Not now: one whose client leaves in this turn is not asked about.
                asyncio.get_running_loop().call_soon(self._begin_to_ask, decision)
            else:
                self._act(decision)
        except Exception as error:  # noqa: BLE001 - as in the general lane: nobody expected it
            self._fail(error)

    def _begin_to_ask(self, needs: Needs) -> None:
        if self._has_ended:
            return
        try:
            has_begun = self._context.begin(needs, self._heard)
        except Exception as error:  # noqa: BLE001 - as in `go`
            self._fail(error)
            return
        if not has_begun:
            self._wait(self._ask(needs))

    def _heard(self, needs: NeedsFacts, found: FactsLookup | BaseException) -> bool:
        if self._has_ended:
            return False
        if isinstance(found, BaseException):
            self._fail(found)
            return True
        try:
            decision = self._context.resumed(needs, found)
        except Exception as error:  # noqa: BLE001 - as in `go`
            self._fail(error)
        else:
            self.go(decision)
        return True

    async def _ask(self, needs: Needs) -> None:
        decision = await self._context.ask(needs)
        self._task = None
        self.go(decision)

    def _act(self, decision: Decision) -> None:
        context = self._context
        context.tell(decision.context)
        added = self._added = added_fields(decision, context, context.running.limiter)
        if not isinstance(decision, Allow):
            self._answer(decision)
            return
        if decision.identity.is_notable:
            context.running.large_identities.tell(decision.route.name, decision.identity)
        self._allow = decision
        if added:
            self._more_fields = b"".join([field_line(name, value) for name, value in added])
        if context.method in IDEMPOTENT:
            self._retries = decision.route.retries
        self._forward(decision.route)

    def _outside(self) -> Outside:
        assert self._allow is not None  # as above
        return self._allow.outside

    def _forward(self, route: CompiledRoute) -> None:
        attempts, body, allow = self._attempts, self._body, self._allow
        assert allow is not None  # nothing is sent before
        backends = self._context.running.backends[route.name]
        state = self._state = backends.first(allow) if attempts is None else backends.states[attempts.place]
        backend = state.backend
        self._context.backend = state.label
        framing = UNKNOWN_LENGTH if self._has_chunked_body else framing_of(None if body is None else len(body))
        request, fields = backend_request(self._context.method, backend, allow, framing)
        if body:
            self._context.bytes_received = len(body)
        pool = self._backends.pool(backend)
        connection = pool.take()
        if connection is None:
            self._wait(self._connect(pool, route, request, fields))
        elif attempts is not None:
            self._begin(connection, route, request, fields)
        else:
            self._was_sent = True
            self.begin(connection, state, route, request, fields, self._body or b"")

    async def _connect(self, pool: Pool, route: CompiledRoute, request: BackendRequest, fields: bytes) -> None:
        config, started_s = route.config, monotonic()
        left_s = config.timeout if self._attempts is None else self._attempts.left_s(started_s)
        connection: BackendConnection | BackendError
        try:
            connection = await pool.acquire(min(config.connect_timeout, left_s))
        except BackendError as error:
            connection = error.with_traceback(None)  # which would hold this frame, and that holds the error
        except asyncio.CancelledError:
            self._state.left()
            raise
        self._task = None
        if isinstance(connection, BackendError):
            self._state.failed(connection)
            self._started_s = started_s
            self._go_on(connection, route)
        else:
            self._begin(connection, route, request, fields)

    def _begin(
        self, connection: BackendConnection, route: CompiledRoute, request: BackendRequest, fields: bytes
    ) -> None:
        self._was_sent = True
        self.begin(connection, self._state, route, request, fields, self._body or b"")
        if self._attempts is not None:
            connection.await_response(self._attempts.left_s(monotonic()))

    def _go_on(self, error: BackendError, route: CompiledRoute) -> None:
        """To another backend, or with a refusal. As in the general lane, a body goes out once."""
        attempts = self._attempts
        if attempts is None:
            assert self._allow is not None  # as above
            order = self._context.running.backends[route.name].order(self._state, self._allow)
            ends_s = self._started_s + route.timeout
            attempts = self._attempts = Attempts(order, self._retries, ends_s)
        if attempts.go_on(error, monotonic(), is_repeatable=not self._body):
            self._forward(route)
        else:
            self._refuse(refusal_of(attempts.told(error)))

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.get_running_loop().create_task(work)
        self._task.add_done_callback(self._waited)

    def _waited(self, task: asyncio.Task[None]) -> None:
        if self._task is task:
            self._task = None  # it was cancelled, and its error has a frame that has this exchange
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _refuse(self, refusal: Refusal) -> None:
        keeps_alive = send_refusal(
            self._client,
            self._context,
            refusal,
            self._added,
            keeps_alive=self._keeps_alive,
            is_http10=self._is_http10,
        )
        self._end(keeps_alive=keeps_alive)

    def _answer(self, decision: Decision) -> None:
        """Respond to what no backend sees."""
        if isinstance(decision, Refuse):
            self._refuse(decision.refusal)
            return
        assert isinstance(decision, Preflight)  # the lane takes no other
        if isinstance(decision.answer, Refusal):
            self._refuse(decision.answer)
            return
        keeps_alive = self._keeps_alive and not self._client.is_draining
        option = connection_option(keeps_alive=keeps_alive, is_http10=self._is_http10)
        self._client.write(own_reply(self._context, 204, self._added, connection=option))
        self._end(keeps_alive=keeps_alive)

    @property
    def _keeps_alive(self) -> bool:
        """Whether the connection goes on after a response of the gateway's own."""
        # As in the general lane, which does not read a body to its end that it does not need and that has no length.
        return self.keeps_alive and not (self._has_chunked_body and not self._was_sent)

    def _fail(self, error: BaseException) -> None:
        """Nobody expected it, so nothing of it is told to the client."""
        _logger.error("the gateway failed on a request", exc_info=error, extra={"event": "internal_error"})
        if self._has_ended:
            return
        if self._was_sent:
            self.abandon()
        if self._context.status:
            self._client.cut()  # within a response, which must not look whole
        else:
            self._refuse(FAILED)

    def _end(self, *, keeps_alive: bool) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._context.end()
            self._client.fast_exchange_is_over(keeps_alive=keeps_alive)
