"""Forwards an allowed request of the general lane to a backend of its route, and relays the response.

It does not decide who may pass. A request is not sent again once a byte of a response has come. If the client leaves,
the backend's request is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import monotonic
from typing import cast

from aiohttp import web

from gateway.decision import Allow
from gateway.http.headers import connection_options, values_of
from gateway.http.refusal import Refusal
from gateway.http.request_fields import Pairs
from gateway.http.response_head import field_line
from gateway.proxy.access_record import AccessRecord
from gateway.proxy.awaited_relay import AwaitedRelay
from gateway.proxy.downstream.aiohttp_connection import AiohttpConnection
from gateway.proxy.downstream.connection_state import TUNNEL
from gateway.proxy.event_port import Passing
from gateway.proxy.header_text import pairs
from gateway.proxy.held_response import HeldBackError, HeldResponse
from gateway.proxy.refusing import refusal_of
from gateway.proxy.relay_ends import BackendEnd
from gateway.proxy.request_body import REFUSAL_OF_FAULT, BodyError, Pace, RequestBody
from gateway.proxy.request_head import IDEMPOTENT, backend_request, framing_of
from gateway.proxy.streams.tunnel import Tap
from gateway.proxy.upstream.attempts import Attempts
from gateway.proxy.upstream.backend_error import BackendError
from gateway.proxy.upstream.backend_request import UNKNOWN_LENGTH, WEBSOCKET, BodyFraming
from gateway.proxy.upstream.backend_state import BackendState
from gateway.proxy.upstream.connection import BackendConnection
from gateway.proxy.upstream.pools import UpstreamPools
from gateway.proxy.upstream.route_backends import RouteBackends


class Forwarder:
    """Shared by all exchanges of the general lane."""

    def __init__(self, backends: UpstreamPools) -> None:
        self._backends = backends

    async def forward(
        self,
        request: web.Request,
        allow: Allow,
        backends: RouteBackends,
        record: AccessRecord,
        more_fields: Iterable[tuple[str, str]],
        *,
        keeps_alive: bool,
        pace: Pace,
        passing: Passing | None = None,
    ) -> bool | Refusal:
        """Relay the response with `more_fields` of ours: whether the connection goes on, or a refusal to be sent.

        A client whose body comes more slowly than `pace` is given up. `passing` has read the body before,
        and is told of the response.
        """
        body = RequestBody(request, allow.route.max_body_bytes, pace, None if passing is None else passing.body)
        more = b"".join(field_line(name, value) for name, value in more_fields)
        config = allow.route.config
        retries = config.retries if request.method in IDEMPOTENT else 0
        order = backends.order(backends.first(allow), allow)
        attempts = Attempts(order, retries, monotonic() + config.timeout)
        timeout_s = config.timeout  # the first answer has all of it, whatever the connection took
        try:
            while True:
                attempt = _Attempt(request, allow, body, record, more, passing, keeps_alive=keeps_alive)
                error = await attempt.run(self._backends, backends.states[attempts.place], timeout_s)
                # A body that was begun cannot be sent again, because it streamed through.
                if error is None or not attempts.go_on(error, monotonic(), is_repeatable=not body.is_touched):
                    break
                timeout_s = attempts.left_s(monotonic())
        finally:
            record.bytes_received = max(record.bytes_received, body.received_bytes)
            if passing is not None and not attempt.has_come:
                passing.lost()
        return attempt.relay.keeps_alive if error is None else _refusal(error, attempts, body)


def _refusal(error: BackendError, attempts: Attempts, body: RequestBody) -> Refusal:
    if isinstance(error, HeldBackError):
        return error.refusal
    return REFUSAL_OF_FAULT[body.fault] if body.fault is not None else refusal_of(attempts.told(error))


class _Attempt:
    """One request sent to one backend."""

    def __init__(
        self,
        request: web.Request,
        allow: Allow,
        body: RequestBody,
        record: AccessRecord,
        more: bytes,
        passing: Passing | None,
        *,
        keeps_alive: bool,
    ) -> None:
        self._request = request
        self._allow = allow
        self._body = body
        self._record = record
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[BackendError | None] = self._loop.create_future()
        self._connection: BackendConnection | None = None
        self._passing = passing
        self._withheld: HeldResponse | None = None
        assert isinstance(request.protocol, AiohttpConnection)  # the listener makes no others
        self._client = request.protocol.client
        self.relay = AwaitedRelay(
            self._over,
            self._client,
            record,
            is_http10=request.version < (1, 1),
            keeps_alive=keeps_alive,
            more_fields=more,
            switch=self._switch if wants_websocket(request) else None,
            outside=lambda: allow.outside,
        )

    @property
    def has_come(self) -> bool:
        """Whether a response that `passing` is told of has come."""
        return self._withheld is not None and self._withheld.has_come

    async def run(self, backends: UpstreamPools, state: BackendState, timeout_s: float) -> BackendError | None:
        """What kept the response from being passed on, if anything did. Its head is due within `timeout_s`."""
        config = self._allow.route.config
        # Before there is a connection: one that is taken and not used is nobody's to give back.
        request, fields = backend_request(self._request.method, state.backend, self._allow, self._framing())
        self._record.backend = state.label
        try:
            connection = await backends.pool(state.backend).acquire(min(config.connect_timeout, timeout_s))
        except BackendError as error:
            state.failed(error)
            return error
        except asyncio.CancelledError:
            state.left()
            raise
        self._connection = connection
        backend_end: BackendEnd = connection
        if self._passing is not None:
            backend_end = self._withheld = HeldResponse(connection, self._passing.answered)
        sent = self._body.whole()
        try:
            self.relay.begin(backend_end, state, self._allow.route, request, fields, sent)
            connection.await_response(timeout_s)
            if sent is not None:
                return await self._over
            state.awaits_body()
            return await self._upload(connection)
        finally:
            if not self._over.done() or self._over.cancelled():
                # Cancelled: the client has left, or the gateway is leaving.
                if self._client.state == TUNNEL:
                    self.relay.end_tunnel()
                else:
                    self.relay.abandon()
            self.relay.forget_tunnel()

    async def _upload(self, connection: BackendConnection) -> BackendError | None:
        sending = self._loop.create_task(self._send_body(connection))
        try:
            await asyncio.wait((sending, self._over), return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and (fault := sending.exception()) is not None:
                if not isinstance(fault, BodyError):
                    raise fault
                return self._give_up(fault)
            # A response that comes before the end of the body is passed on while that goes on.
            return await self._over
        finally:
            sending.cancel()
            await asyncio.wait((sending,))

    async def _send_body(self, connection: BackendConnection) -> None:
        timeout_s = self._allow.route.timeout
        body = self._body
        # While the client's next bytes are awaited the backend owes nothing; otherwise its time is running.
        body.on_waiting = lambda: connection.await_response(None)
        body.on_passed = lambda: connection.await_response(timeout_s)
        room = asyncio.Event()
        self.relay.on_room = room.set
        async for chunk in body.chunks():
            connection.write_body(chunk)
            while not connection.is_writable:
                room.clear()
                await room.wait()
        connection.end_body()

    def _give_up(self, fault: BodyError) -> BackendError | None:
        """Give up a request whose body did not come to its end: the backend must not take it for a complete one."""
        self.relay.abandon()
        if self.relay.has_begun:
            self.relay.keeps_alive = False
            self._record.reason = "the request's body broke off"
            self._client.abort(by_reset=self._request.version < (1, 1))
            return None
        return BackendError(str(fault))

    def _framing(self) -> BodyFraming:
        body = self._body
        if wants_websocket(self._request):
            return WEBSOCKET
        if body.exists and body.length is None:
            return UNKNOWN_LENGTH
        is_told = body.exists or self._allow.context.request.fields.lengths
        return framing_of(body.length or 0 if is_told else None)

    def _switch(self) -> None:
        transport = cast("asyncio.Transport", self._request.transport)
        assert self._connection is not None  # it has just sent a 101
        self._client.state = TUNNEL
        tap = Tap(transport, self._connection, self.relay, self._record)
        self.relay.tunnel = tap
        self._request.protocol.set_parser(tap)  # type: ignore[arg-type]  # any parser of its shape; typed for WebSockets


def wants_websocket(request: web.Request) -> bool:
    """RFC 6455 §4.1. Other upgrades are not offered to backends: h2c would carry requests past the gateway.

    Nor is an upgrade with a body: backends may disagree on which of its bytes belong to the new protocol.
    """
    if "Upgrade" not in request.headers:
        return False
    if request.method != "GET" or request.version < (1, 1) or request.body_exists:
        return False
    return _names_websocket(pairs(request.raw_headers))


def _names_websocket(fields: Pairs) -> bool:
    """Whether this, and nothing else, is the protocol to change to."""
    protocols = [value.lower() for value in values_of(fields, "upgrade")]
    return protocols == ["websocket"] and "upgrade" in connection_options(fields)
