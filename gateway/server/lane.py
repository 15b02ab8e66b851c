"""The general lane: one aiohttp handler that carries every request through the pipeline and acts on the decision.

All that is decided is decided in `gateway.pipeline`; here are the awaits: facts that must be fetched, the body that
must be forwarded. One configuration is taken at the start and used to the end, whatever is reloaded meanwhile.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol, assert_never

from aiohttp import HttpVersion10, HttpVersion11, web

from gateway.authn.facts import Facts
from gateway.http.refusal import Refusal, render
from gateway.pipeline import Allow, Decision, NeedsFacts, Preflight, Receive, Refuse, Request, decide, resume
from gateway.server.backend_client import pairs
from gateway.server.body import expects_continue
from gateway.server.connection import Connection, Said, wire_form
from gateway.server.cors import RouteCors
from gateway.server.exchange import Exchange
from gateway.server.forwarding import Forwarder, abort
from gateway.server.passing import drop_additions
from gateway.server.running import Running

_logger = logging.getLogger(__name__)

# A refused body up to this size is read and dropped so that the connection can be kept; a larger one costs it.
_DRAINED_BYTES_MAX = 2**16
_VERSIONS = (HttpVersion10, HttpVersion11)
# After these, what follows on the connection may not be what it seems.
_UNTRUSTED_FRAMING = frozenset(
    {
        "invalid_request",
        "invalid_target",
        "uri_too_long",
        "headers_too_large",
        "content_too_large",
        "request_timeout",
        "internal_error",
    }
)


class Recorder(Protocol):
    """Who is told of every exchange; must neither block nor raise."""

    requests_in_flight: int

    def finished(self, exchange: Exchange) -> None: ...


class Lane:
    """Handles the requests of one application. `current` gives the configuration in force."""

    def __init__(
        self,
        app: web.Application,
        current: Callable[[], Running],
        forwarder: Forwarder,
        recorder: Recorder,
        new_request_id: Callable[[], str],
    ) -> None:
        self._current = current
        self._forwarder = forwarder
        self._recorder = recorder
        self._new_request_id = new_request_id
        self._cors = RouteCors(app)
        self.is_draining = False
        app.on_response_prepare.append(self._finish_head)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        connection = request.protocol
        if isinstance(connection, Connection):
            connection.head_is_whole(request.content)
        running = self._current()
        running.exchanges += 1
        self._recorder.requests_in_flight += 1
        started = time.monotonic()
        head = self._head(request)
        exchange = Exchange(
            head.new_request_id, head.method, request.raw_path.partition("?")[0], head.peer, time.time()
        )
        request[_EXCHANGE] = exchange
        try:
            return await self._answer(request, running, head, exchange)
        except ConnectionError:
            # The client is gone; there is nobody to tell, and it is no fault of ours, for which aiohttp would take it.
            abort(request)
            return Said()
        except Exception:
            # The one broad guard of the data path: nobody expected it, so nothing of it is told to the client.
            _logger.exception("the gateway failed on a request", extra={"event": "internal_error"})
            if request.writer.output_size > 0:
                abort(request)
                raise
            return self._refuse(request, Refusal("internal_error", "the gateway failed on this request"), exchange)
        finally:
            exchange.duration_s = time.monotonic() - started
            running.exchanges -= 1
            self._recorder.requests_in_flight -= 1
            self._recorder.finished(exchange)
            if isinstance(connection, Connection):
                connection.exchange_is_over()

    def refused(self, refusal: Refusal, client: str) -> str:
        """Record the refusal of what never became a request; returns the id it is known by."""
        exchange = Exchange(self._new_request_id(), "", "", client, time.time())
        exchange.status, exchange.code = refusal.status, refusal.code
        self._recorder.finished(exchange)
        return exchange.request_id

    def _head(self, request: web.Request) -> Request:
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        return Request(
            method=request.method,
            target=request.raw_path,
            headers=pairs(request.raw_headers),
            peer=peer[0] if isinstance(peer, tuple) else "",
            scheme=request.scheme,
            version=(request.version.major, request.version.minor),
            new_request_id=self._new_request_id(),
        )

    async def _answer(
        self, request: web.Request, running: Running, head: Request, exchange: Exchange
    ) -> web.StreamResponse:
        if await _has_broken_body(request):
            return self._refuse(request, Refusal("invalid_request", "the body is broken"), exchange)
        decision = await self._decide(running, head, exchange)
        case = decision.case
        exchange.request_id, exchange.client = case.request_id, case.caller.address
        exchange.provider = case.provider
        if case.target is not None:
            exchange.path = case.target.path
        if case.route is not None:
            exchange.route = case.route.name
            self._cors.matched(request, case.route)
        _note_caller(exchange, case.facts)
        match decision:
            case Refuse():
                return self._refuse(request, decision.refusal, exchange)
            case Preflight():
                answer = await self._cors.preflight(request, decision.route)
            case Receive():
                answer = await running.receiver.receive(request, decision, exchange)
            case Allow():
                answer = await self._forward(request, running, decision, exchange)
            case NeedsFacts():
                raise AssertionError("a decision that still needs facts was taken for final")
            case _:
                assert_never(decision)
        if isinstance(answer, Refusal):
            return self._refuse(request, answer, exchange)
        exchange.status = answer.status
        return answer

    async def _forward(
        self, request: web.Request, running: Running, allow: Allow, exchange: Exchange
    ) -> web.StreamResponse | Refusal:
        passing = await running.receiver.passing(request, allow, exchange)
        if isinstance(passing, Refusal):
            return passing
        idle_timeout_s = running.config.server.idle_timeout
        return await self._forwarder.forward(
            request, allow, running.rotation, exchange, idle_timeout_s=idle_timeout_s, passing=passing
        )

    async def _decide(self, running: Running, head: Request, exchange: Exchange) -> Decision:
        decision = decide(running.gate, head)
        while isinstance(decision, NeedsFacts):
            found = running.authenticator.remembered(decision.question)
            if found is None:
                found = await running.authenticator.ask(decision.question)
            exchange.tier = found.tier
            decision = resume(running.gate, decision, found.answer, time.time())
        return decision

    def _refuse(self, request: web.Request, refusal: Refusal, exchange: Exchange) -> web.StreamResponse:
        exchange.status, exchange.code, exchange.reason = refusal.status, refusal.code, refusal.reason
        rendered = render(refusal, exchange.request_id)
        if request.version not in _VERSIONS and isinstance(request.protocol, Connection):
            # aiohttp answers in the version it was asked in; there is no such answer.
            request.protocol.answer_last(wire_form(refusal, exchange.request_id))
            return Said()
        response = web.Response(status=rendered.status, body=rendered.body, headers=rendered.headers)
        exchange.bytes_sent = 0 if request.method == "HEAD" else len(rendered.body)
        if refusal.code in _UNTRUSTED_FRAMING or _has_costly_body(request):
            response.force_close()
        return response

    async def _finish_head(self, request: web.Request, response: web.StreamResponse) -> None:
        """The last hand on every head, refusals and preflights included."""
        drop_additions(response)
        exchange = request.get(_EXCHANGE)
        if exchange is not None:
            response.headers["X-Request-Id"] = exchange.request_id
        is_last = self.is_draining or "Upgrade" in request.headers
        if is_last and response.status != HTTPStatus.SWITCHING_PROTOCOLS:
            # Draining, or bytes behind an upgrade that was declined: they may have been meant for another protocol,
            # and aiohttp's parser loses what came with the request where that is none it knows.
            response.force_close()
            response.headers["Connection"] = "close"


_EXCHANGE = web.RequestKey("exchange", Exchange)


async def _has_broken_body(request: web.Request) -> bool:
    """Whether that shows before anybody is asked. A client that awaits `100 Continue` is not waited for."""
    connection = request.protocol
    if not isinstance(connection, Connection) or "Transfer-Encoding" not in request.headers:
        return False
    return await connection.has_broken_body(may_wait=not expects_continue(request))


def _has_costly_body(request: web.Request) -> bool:
    """Whether a body that nobody wants is better cut off than read; it is never the next request (CVE-2025-4366)."""
    if not request.body_exists or request.content.at_eof():
        return False
    length = request.content_length
    return "Expect" in request.headers or length is None or length > _DRAINED_BYTES_MAX


def _note_caller(exchange: Exchange, facts: Facts | None) -> None:
    if facts is not None:
        exchange.subject, exchange.client_id = _name(facts.claims.get("sub")), _name(facts.claims.get("client_id"))


def _name(claim: object) -> str | None:
    return claim if isinstance(claim, str) else None
