"""Carrying an allowed request to a backend of its route and the answer back, streaming both ways.

Decides nothing about who may pass. What it owes to both ends: a body that breaks is seen by the client as an abort,
never as an end; nothing is sent twice after a byte of an answer came; a client that leaves cancels the backend's
request.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from gateway.config.upstream import Backend
from gateway.gate import GatedRoute
from gateway.http.framing import answer_problem, declared_length, has_body
from gateway.http.headers import Pairs, nominated, response_to_client, values_of
from gateway.http.refusal import Refusal
from gateway.pipeline import Allow
from gateway.server.backend_client import (
    BackendClient,
    BackendError,
    BackendTimeoutError,
    BackendUnreachableError,
    Informational,
    body_of,
    pairs,
)
from gateway.server.body import BodyFault, RequestBody
from gateway.server.exchange import Exchange
from gateway.server.header_bytes import serialize
from gateway.server.passing import PassedResponse, SwitchedResponse
from gateway.server.receiver import Passing
from gateway.server.tunnel import tunnel

# RFC 9110 §9.2.2. What is not idempotent is sent once, whatever happens.
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_SWITCHING_PROTOCOLS = 101
_REFUSAL_OF_FAULT = {
    BodyFault.TOO_LARGE: Refusal("content_too_large", "the body is too large"),
    BodyFault.TOO_SLOW: Refusal("request_timeout", "the body did not arrive in time"),
    BodyFault.BROKEN: Refusal("invalid_request", "the body is broken"),
}


@dataclass(slots=True)
class Rotation:
    """Round robin over each route's backends; per worker, and anew with each configuration."""

    _turns: dict[str, count[int]] = field(default_factory=dict)

    def next(self, route: GatedRoute) -> Backend:
        backends = route.config.backend
        turn = self._turns.setdefault(route.name, count())
        return backends[next(turn) % len(backends)]


class Forwarder:
    """Shared by all exchanges of a worker."""

    def __init__(self, client: BackendClient) -> None:
        self._client = client

    async def forward(
        self,
        request: web.Request,
        allow: Allow,
        rotation: Rotation,
        exchange: Exchange,
        *,
        idle_timeout_s: float,
        passing: Passing | None = None,
    ) -> web.StreamResponse | Refusal:
        """The answer, already sent to the client, or a refusal to be sent where no answer could be passed on.

        A client that sends nothing of its body for `idle_timeout_s` is given up. `passing` has read the body before,
        and is told of the answer.
        """
        held = passing.body if passing is not None else None
        body = RequestBody(request, allow.route.max_body_bytes, idle_timeout_s, held)
        upstream = None
        try:
            upstream = await self._send_with_retries(request, allow, rotation, body, exchange)
        except BackendError as error:
            if body.fault is not None:
                return _REFUSAL_OF_FAULT[body.fault]
            return _refusal_of(error)
        finally:
            exchange.bytes_received = body.received_bytes
            if passing is not None and upstream is None:
                passing.lost()
        try:
            if passing is not None and (refusal := await passing.answered(upstream.status)):
                return refusal
            return await self._pass_on(request, upstream, allow, exchange)
        finally:
            exchange.bytes_received = max(exchange.bytes_received, body.received_bytes)
            # An answer that was read to its end has given its connection back; another one's is closed.
            upstream.close()

    async def _send_with_retries(
        self, request: web.Request, allow: Allow, rotation: Rotation, body: RequestBody, exchange: Exchange
    ) -> aiohttp.ClientResponse:
        retries = allow.route.config.retries if request.method in _IDEMPOTENT else 0
        while True:
            started = time.monotonic()
            try:
                return await self._send(request, allow, rotation.next(allow.route), body)
            except BackendUnreachableError:
                # A body that was begun is gone: it streamed through and can not be sent again.
                if retries == 0 or body.is_touched:
                    raise
                retries -= 1
            finally:
                exchange.backend_s = time.monotonic() - started

    async def _send(
        self, request: web.Request, allow: Allow, backend: Backend, body: RequestBody
    ) -> aiohttp.ClientResponse:
        """One attempt: sent, and the head of the answer found sound."""
        config = allow.route.config
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as deadline:
                is_waiting = True

                def restart() -> None:
                    if is_waiting:
                        deadline.reschedule(loop.time() + config.timeout)

                def suspend() -> None:
                    if is_waiting:
                        deadline.reschedule(None)

                # While the client's next bytes are awaited the backend owes nothing; otherwise its time is running.
                body.on_waiting, body.on_passed = suspend, restart
                try:
                    upstream = await self._client.send(
                        request.method,
                        backend,
                        allow.path_and_query,
                        _fields(request, allow, backend, body),
                        body=body.chunks() if body.exists else None,
                        connect_timeout_s=config.connect_timeout,
                        on_sent=restart,
                        on_informational=_relay(request, allow.route),
                        problem_of=partial(_problem, request),
                    )
                finally:
                    is_waiting = False
        except TimeoutError:
            raise BackendTimeoutError("no response headers within timeout") from None
        return upstream

    async def _pass_on(
        self, request: web.Request, upstream: aiohttp.ClientResponse, allow: Allow, exchange: Exchange
    ) -> web.StreamResponse:
        fields = pairs(upstream.raw_headers)
        kept = response_to_client(fields, allow.route.response_rules)
        if upstream.status == _SWITCHING_PROTOCOLS:
            return await _switch(request, upstream, kept, exchange)
        length = declared_length(fields)
        if length is not None:
            kept.append(("Content-Length", length))
        response = PassedResponse(upstream.status, upstream.reason or "", kept)
        if length is None and request.version < (1, 1) and has_body(request.method, upstream.status):
            response.force_close()  # the end of the body; aiohttp would wait for another request
        await response.prepare(request)
        exchange.status = upstream.status
        if not has_body(request.method, upstream.status):
            await response.write_eof()
            return response
        connection = upstream.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.read_timeout = allow.route.config.read_timeout
            connection.protocol.start_timeout()
        try:
            async for chunk in body_of(upstream):
                await response.write(chunk)
                exchange.bytes_sent += len(chunk)
            await response.write_eof()
        except (aiohttp.ClientError, TimeoutError):
            is_gone = request.transport is None or request.transport.is_closing()
            exchange.reason = "the client left" if is_gone else "the backend's answer broke off"
            abort(request)
        return response


def wants_websocket(request: web.Request) -> bool:
    """RFC 6455 §4.1. Other upgrades are not offered to backends: h2c would carry requests past the gateway.

    Nor is one with a body, of which backends may take more or less for the first bytes of the new protocol.
    """
    if request.method != "GET" or request.version < (1, 1) or request.body_exists:
        return False
    return _names_websocket(pairs(request.raw_headers))


def _names_websocket(fields: Pairs) -> bool:
    """Whether this, and nothing else, is the protocol to change to."""
    protocols = [value.lower() for value in values_of(fields, "upgrade")]
    return protocols == ["websocket"] and "upgrade" in nominated(fields)


def _problem(request: web.Request, status: int, reason: str, version: tuple[int, int], fields: Pairs) -> str | None:
    if status == _SWITCHING_PROTOCOLS:
        if not wants_websocket(request):
            return "101 to a request that asked for no upgrade"
        if not _names_websocket(fields):
            return "101 to another protocol than asked for"
    return answer_problem(status, version, fields, reason)


def abort(request: web.Request) -> None:
    """End the client's connection so that a body cut short is not taken for a whole one (RFC 9112 §8)."""
    if request.transport is None:
        return
    sock = request.transport.get_extra_info("socket")
    if request.version < (1, 1) and sock is not None:
        # The end of the connection is the end of the body there: only a reset says that it was none.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()


def _fields(request: web.Request, allow: Allow, backend: Backend, body: RequestBody) -> list[tuple[str, str]]:
    keeps_host = allow.route.config.preserve_host and allow.case.target is not None
    host = allow.case.target.authority if keeps_host and allow.case.target else backend.authority
    fields = [("Host", host), *allow.headers]
    lengths = values_of(allow.case.request.headers, "content-length")
    if body.exists and lengths:
        fields.append(("Content-Length", lengths[0]))
    if wants_websocket(request):
        fields += [("Connection", "Upgrade"), ("Upgrade", "websocket")]
    return fields


def _relay(request: web.Request, route: GatedRoute) -> Informational:
    async def relay(status: int, reason: str, fields: Pairs) -> None:
        """RFC 9110 §15.2: passed on, except to HTTP/1.0 clients; 100 is the gateway's own to send."""
        if request.version < (1, 1) or status == 100 or request.transport is None:  # noqa: PLR2004
            return
        kept = response_to_client(fields, route.response_rules)
        request.transport.write(serialize(f"HTTP/1.1 {status} {reason}", CIMultiDict(kept)))

    return relay


async def _switch(
    request: web.Request, upstream: aiohttp.ClientResponse, kept: Pairs, exchange: Exchange
) -> web.StreamResponse:
    upgrade: Mapping[str, str] = {"Connection": "Upgrade", "Upgrade": "websocket"}
    response = SwitchedResponse(_SWITCHING_PROTOCOLS, upstream.reason or "", [*kept, *upgrade.items()])
    response.force_close()
    await response.prepare(request)
    exchange.status = _SWITCHING_PROTOCOLS
    await tunnel(request, upstream, exchange)
    return response


def _refusal_of(error: BackendError) -> Refusal:
    if isinstance(error, BackendTimeoutError):
        return Refusal("gateway_timeout", "the backend did not answer in time", reason=str(error))
    return Refusal("bad_gateway", "the backend could not be reached or gave no valid answer", reason=str(error))
