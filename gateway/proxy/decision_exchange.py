"""The fast lane of the decisions listener: decides on a told request in the iteration in which its subrequest arrives.

How it works: `DecisionFastLane` takes what is one plain subrequest and reads the request that it tells of. The pipeline
decides on that, as for one of the gateway's own. A `DecisionExchange` waits for facts and for what else has to hold,
and answers with the 200 or the refusal. Nothing is forwarded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from gateway.authn.question import FactsLookup
from gateway.compiled import Beside
from gateway.decision import NEEDS, Allow, Decision, Needs, NeedsFacts, Refuse
from gateway.http.ordinary import Manner, read_ordinary
from gateway.http.refusal import Refusal
from gateway.pipeline import decide
from gateway.proxy.added_fields import added_fields
from gateway.proxy.decision_reply import allowed_reply, told_request
from gateway.proxy.downstream.client_connection import ClientConnection
from gateway.proxy.refusing import FAILED, connection_option, send_refusal
from gateway.proxy.request_context import RequestContext, RequestContextFactory

_logger = logging.getLogger(__name__)


class DecisionFastLane:
    """Of the decisions listener."""

    def __init__(self, contexts: RequestContextFactory) -> None:
        self.contexts = contexts

    def take(self, client: ClientConnection, data: bytes) -> bool:
        """Whether it answers what came; otherwise nothing has happened."""
        running = self.contexts.running
        beside = running.compiled.beside
        assert beside is not None  # without it there is no listener
        compiled = beside.compiled
        ordinary = read_ordinary(compiled.fates, compiled.head_limits, data)
        if ordinary is None or ordinary.missing_bytes:
            return False
        method, target, request_id = ordinary.method, ordinary.target, self.contexts.new_request_id()
        trace = self.contexts.trace(running.compiled, ordinary.fields, client.peer, request_id)
        path = target.partition("?")[0]
        context = RequestContext(self.contexts, running, request_id, method, path, client.peer, trace)
        if ordinary.manner.behind:
            client.hold(ordinary.manner.behind)
        exchange = DecisionExchange(client, context, beside, ordinary.manner, to_head=method == "HEAD")
        request = told_request(context, method, target, ordinary.fields, client.peer, client.scheme, trace)
        if isinstance(request, Refusal):
            exchange.refuse(request)
        else:
            exchange.go(decide(compiled, request))
        return True

    def left(self, client: ClientConnection, data: bytes) -> None:
        """No body is waited for."""


class DecisionExchange:
    """One subrequest and its response."""

    def __init__(
        self, client: ClientConnection, context: RequestContext, beside: Beside, manner: Manner, *, to_head: bool
    ) -> None:
        self._client = client
        self._context = context
        self._beside = beside
        self._manner = manner
        self._to_head = to_head
        self._added: Sequence[tuple[str, str]] = ()
        self._has_ended = False
        self._task: asyncio.Task[None] | None = None
        client.fast_exchange_begins(self)

    def leave(self) -> None:
        """The proxy is gone."""
        if self._has_ended:
            return
        self._has_ended = True
        if self._task is not None:
            self._task.cancel()
        self._context.end()

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

    def refuse(self, refusal: Refusal) -> None:
        keeps_alive = send_refusal(
            self._client,
            self._context,
            refusal,
            self._added,
            keeps_alive=not self._manner.is_last,
            is_http10=self._manner.is_http10,
            is_sound=True,
            to_head=self._to_head,
        )
        self._end(keeps_alive=keeps_alive)

    def _begin_to_ask(self, needs: Needs) -> None:
        if self._has_ended:
            return
        try:
            has_begun = self._context.begin(needs, self._heard)
        except Exception as error:  # noqa: BLE001 - as in `go`
            self._fail(error)
            return
        if not has_begun:
            self._task = asyncio.get_running_loop().create_task(self._ask(needs))
            self._task.add_done_callback(self._waited)

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
        context, client = self._context, self._client
        context.tell(decision.context)
        added = self._added = added_fields(decision, context, context.running.limiter)
        if isinstance(decision, Refuse):
            self.refuse(decision.refusal)
            return
        assert isinstance(decision, Allow)  # the gateway answers nothing itself here
        if decision.identity.is_notable:
            context.running.large_identities.tell(decision.route.name, decision.identity)
        context.status = 200
        keeps_alive = not (client.is_draining or self._manner.is_last)
        option = connection_option(keeps_alive=keeps_alive, is_http10=self._manner.is_http10)
        client.write(allowed_reply(self._beside.answered, decision, context.request_id, more=added, connection=option))
        self._end(keeps_alive=keeps_alive)

    def _waited(self, task: asyncio.Task[None]) -> None:
        if self._task is task:
            self._task = None  # it was cancelled, and its error has a frame that has this exchange
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Nobody expected it, so nothing of it is told to the client."""
        _logger.error("the gateway failed on a request", exc_info=error, extra={"event": "internal_error"})
        if not self._has_ended:
            self.refuse(FAILED)

    def _end(self, *, keeps_alive: bool) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._context.end()
            self._client.fast_exchange_is_over(keeps_alive=keeps_alive)
