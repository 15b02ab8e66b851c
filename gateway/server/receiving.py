"""Events over HTTP: the body read within bounds, handed to the inbox, its answer sent."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiohttp import web

from gateway.authn.bearer import Token
from gateway.authn.eviction import Named, Seen, evict
from gateway.events.inbox import BODY_MAX_BYTES, Delivery, Inbox, Meter, NotEverywhereError, Reply
from gateway.events.replay import Replays
from gateway.events.revocation import BODY_MAX_BYTES as REVOCATION_MAX_BYTES
from gateway.events.revocation import media_refusal, revoked_token
from gateway.events.sender import event_sender, logout_sender
from gateway.http.client_network import network_of
from gateway.http.headers import values_of
from gateway.http.refusal import Refusal
from gateway.pipeline import Allow, Receive
from gateway.server.body import BodyError, BodyFault, Pace, RequestBody
from gateway.server.evicting import Evicting, Repeats
from gateway.server.exchange import Exchange
from gateway.server.receiver import Passing, Receiver
from gateway.server.running import Running

# A body of 64 KiB takes milliseconds; who needs longer holds one of the places, all of which an attacker may want.
_BODY_S = 5.0
_AT_ONCE_MAX = 256
_AT_ONCE_PER_ADDRESS_MAX = 64
_BUSY = Refusal("event_unavailable", "too many events at once; try again", (("Retry-After", "1"),))
_REFUSAL_OF_FAULT = {
    BodyFault.TOO_LARGE: Refusal("content_too_large", "the body is too large"),
    BodyFault.TOO_SLOW: Refusal("request_timeout", "the body did not arrive in time"),
    BodyFault.BROKEN: Refusal("invalid_request", "the body is broken"),
}

_T = TypeVar("_T")


class Receiving:
    """A `Receiver` for one configuration; without an `inbox` nobody may send anything."""

    def __init__(self, inbox: Inbox | None, evicting: Evicting) -> None:
        self._inbox = inbox
        self._evicting = evicting
        self._under_way = 0
        self._by_address: Counter[str] = Counter()

    def remember(self, seen: Seen) -> None:
        if self._inbox is not None:
            self._inbox.remember(seen)

    async def receive(self, request: web.Request, received: Receive, exchange: Exchange) -> Reply | Refusal:
        address = network_of(received.case.caller.address)
        if self._inbox is None or self._under_way >= _AT_ONCE_MAX:
            return _BUSY
        if self._by_address[address] >= _AT_ONCE_PER_ADDRESS_MAX:
            return _BUSY
        self._take(address)
        has_begun = False
        try:
            body = await whole_body(request, BODY_MAX_BYTES, exchange)
            if isinstance(body, Refusal):
                return body
            headers = received.case.request.headers
            delivery = Delivery(values_of(headers, "content-type"), values_of(headers, "authorization"), body)
            # A sender that has no patience left does not stop what it began, and holds its place until that is done.
            has_begun = True
            reply = await self._evicting.finish(self._to_its_end(self._inbox.receive(received.kind, delivery), address))
        finally:
            if not has_begun:
                self._leave(address)
        if isinstance(reply, Refusal):
            return reply
        if reply.reason is not None:
            exchange.code, exchange.reason = "invalid_request", reply.reason
        return reply

    async def _to_its_end(self, work: Coroutine[Any, Any, _T], address: str) -> _T:
        try:
            return await work
        finally:
            self._leave(address)

    def _take(self, address: str) -> None:
        self._under_way += 1
        self._by_address[address] += 1

    def _leave(self, address: str) -> None:
        self._under_way -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    async def passing(self, request: web.Request, allow: Allow, exchange: Exchange) -> Passing | Refusal | None:
        if allow.route.config.on_success != "evict_token" or request.method != "POST":
            return None
        headers = allow.case.request.headers
        if refusal := media_refusal(values_of(headers, "content-type"), values_of(headers, "content-encoding")):
            return refusal
        limits = (REVOCATION_MAX_BYTES, allow.route.max_body_bytes)
        body = await whole_body(request, min(limit for limit in limits if limit is not None), exchange)
        if isinstance(body, Refusal):
            return body
        token = revoked_token(body)
        return token if isinstance(token, Refusal) else _Revocation(token, body, self._evicting)


class _Revocation:
    def __init__(self, token: Token, body: bytes, evicting: Evicting) -> None:
        self.body = body
        self._token = token
        self._evicting = evicting

    async def answered(self, status: int) -> Refusal | None:
        if status // 100 != 2:  # noqa: PLR2004 - RFC 9110 §15.3
            return None
        try:
            await self._evicting.evict(evict(token=self._token))
        except NotEverywhereError as error:
            # RFC 7009 §2.2.1: with 503 the client has to assume that the token still exists, and may try again.
            detail = "the token was revoked, but may be good here for a moment; try again"
            return Refusal("eviction_unavailable", detail, (("Retry-After", "1"),), str(error))
        return None

    def lost(self) -> None:
        # It costs one introspection if it was not revoked.
        self._evicting.evict_soon(evict(token=self._token))


def receiver_of(running: Running, evicting: Evicting, repeats: Repeats, replays: Replays, meter: Meter) -> Receiver:
    """The receiver of a configuration. Evictions, their repeats and the replays outlive it."""
    config = running.config
    events = config.events
    if events is None:
        return Receiving(None, evicting)
    logouts = (logout_sender(name, one, running.providers[name]) for name, one in config.providers.items())
    transmitters = (event_sender(name, one, running.providers[name]) for name, one in config.providers.items())

    async def forget(named: tuple[Named, ...]) -> None:
        repeats.after(events.repeat_after, named)
        await evicting.evict(evict(named))

    inbox = Inbox(
        logout_senders=[sender for sender in logouts if sender is not None],
        event_senders=[sender for sender in transmitters if sender is not None],
        evict=forget,
        replays=replays,
        shared=running.cache.shared,
        mark=running.cache.keys.event_mark,
        meter=meter,
        clock=time.time,
        tell=evicting.tell_workers_seen,
    )
    return Receiving(inbox, evicting)


async def whole_body(request: web.Request, limit_bytes: int, exchange: Exchange) -> bytes | Refusal:
    """The body, read to its end within a few seconds, or why it was not."""
    if (request.content_length or 0) > limit_bytes:
        return _REFUSAL_OF_FAULT[BodyFault.TOO_LARGE]
    body = RequestBody(request, limit_bytes, Pace(_BODY_S))
    read = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in body.chunks():
                read += chunk
    except TimeoutError:
        return _REFUSAL_OF_FAULT[BodyFault.TOO_SLOW]
    except BodyError:
        return _REFUSAL_OF_FAULT[body.fault or BodyFault.BROKEN]
    finally:
        exchange.bytes_received = body.received_bytes
    return bytes(read)
