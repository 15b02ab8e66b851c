"""Events over HTTP: head looked at, body read within bounds, handed to the inbox, its answer sent.

    head -> address, length, media type, authorization -> body, unplaced -> a place -> verified -> done -> place left

A place is for work, not for waiting. A body that has not arrived holds none; there is room for some hundred of those,
and the oldest goes for the newest: nobody honest needs 100 ms. A delivery that waits for keys holds a place and may
lose it to a newer one in the same way; one that was verified keeps it until all is done. So whoever fills the room
takes it from itself, even where an ingress makes the attacker and the provider one address.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from aiohttp import web

from gateway.authn.bearer import Token
from gateway.decision import Allow, Receive
from gateway.events.event_receiver import BODY_MAX_BYTES, Delivery, EventMeter, EventReceiver, NotEverywhereError
from gateway.events.replay import Replays
from gateway.events.revocation import BODY_MAX_BYTES as REVOCATION_MAX_BYTES
from gateway.events.revocation import media_refusal, revoked_token
from gateway.events.transmitter import event_transmitter, logout_transmitter
from gateway.events.verdict import DeliveryReply
from gateway.http.client_network import client_network
from gateway.http.forwarded import Network
from gateway.http.headers import values_of
from gateway.http.refusal import Refusal, too_many
from gateway.introspection.admission import Admission
from gateway.introspection.invalidation import ClaimSelector, SeenEvent, evict
from gateway.introspection.token_buckets import RetryAfter
from gateway.proxy.access_record import AccessRecord
from gateway.proxy.downstream.reclaiming import Hold, Reclaimable
from gateway.proxy.event_port import EventPort, Passing
from gateway.proxy.generation import Generation
from gateway.proxy.request_body import BodyError, BodyFault, Pace, RequestBody
from gateway.runtime.invalidation_broadcaster import DelayedInvalidations, InvalidationBroadcaster

# A body of 64 KiB takes milliseconds, unless the line is very poor.
_BODY_S = 5.0
_BODIES_MAX, _BODIES_PER_NETWORK_MAX, _BODIES_MAX_BYTES = 512, 256, 4 * 2**20
_AT_ONCE_MAX, _AT_ONCE_PER_NETWORK_MAX = 256, 64
# Keycloak publishes the first key of a new algorithm only after its first logout token was answered, and does not send
# that again: what is signed by a key that is not known is looked at again, when the keys may be fetched once more.
_AGAIN_S = (6.0, 15.0)
_KEPT_MAX, _KEPT_PER_NETWORK_MAX = 256, 64
_REFUSAL_OF_FAULT = {
    BodyFault.TOO_LARGE: Refusal("content_too_large", "the body is too large"),
    BodyFault.TOO_SLOW: Refusal("request_timeout", "the body did not arrive in time"),
    BodyFault.BROKEN: Refusal("invalid_request", "the body is broken"),
}
_PRESSED_OUT = Refusal("request_timeout", "the body did not arrive before newer ones needed the room")
_ELSEWHERE = Refusal("forbidden", "events do not come from this address", reason="events.from does not hold it")


class Receiving:
    """A `EventPort` for one configuration; without an `inbox` nobody may send anything.

    `sources` are the networks that events come from; empty for all. `desk` charges for revocations.
    """

    def __init__(
        self,
        inbox: EventReceiver | None,
        evicting: InvalidationBroadcaster,
        desk: Admission,
        sources: Sequence[Network] = (),
    ) -> None:
        self._inbox = inbox
        self._evicting = evicting
        self._desk = desk
        self._sources = sources
        self._bodies = Reclaimable(_BODIES_MAX, _BODIES_PER_NETWORK_MAX, _BODIES_MAX_BYTES)
        self._forms = Reclaimable(_BODIES_MAX, _BODIES_PER_NETWORK_MAX, _BODIES_MAX_BYTES)
        self._places = Reclaimable(_AT_ONCE_MAX, _AT_ONCE_PER_NETWORK_MAX)
        self._kept = Reclaimable(_KEPT_MAX, _KEPT_PER_NETWORK_MAX)  # to be looked at again

    def remember(self, seen: SeenEvent) -> None:
        if self._inbox is not None:
            self._inbox.remember(seen)

    async def receive(self, request: web.Request, received: Receive, exchange: AccessRecord) -> DeliveryReply | Refusal:
        address = received.case.caller.address
        if self._inbox is None:
            return _ELSEWHERE
        if self._sources and not _is_among(address, self._sources):
            self._inbox.not_read(received.kind, "it comes from an address that events.from does not hold")
            return _ELSEWHERE
        if received.case.body_bytes > BODY_MAX_BYTES:
            self._inbox.not_read(received.kind, "the body is too large")
            return _REFUSAL_OF_FAULT[BodyFault.TOO_LARGE]
        headers = received.case.request.headers
        content_type, authorization = values_of(headers, "content-type"), values_of(headers, "authorization")
        reply = self._inbox.refused_by_head(received.kind, Delivery(content_type, authorization))
        if reply is None:
            network = client_network(address).block
            body = await whole_body(request, BODY_MAX_BYTES, exchange, self._bodies, network)
            if isinstance(body, Refusal):
                tell = self._inbox.turned_away if body is _PRESSED_OUT else self._inbox.not_read
                tell(received.kind, body.detail)
                return body
            # A sender that has no patience left does not stop what it began, and holds its place until that is done.
            delivery = Delivery(content_type, authorization, body)
            reply = await self._evicting.finish(self._placed(self._inbox, received, delivery, network))
        if isinstance(reply, DeliveryReply) and reply.reason is not None:
            exchange.code, exchange.reason = "invalid_request", reply.reason
        return reply

    async def _placed(
        self, inbox: EventReceiver, received: Receive, delivery: Delivery, network: str
    ) -> DeliveryReply | Refusal:
        loop = asyncio.get_running_loop()
        place: Hold | None = None
        try:
            async with asyncio.timeout(None) as bound:
                place = self._places.take(network, lambda: bound.reschedule(loop.time()))
                if place is None:
                    return inbox.turned_away(received.kind, "too many events are under way")

                def keep_delivery() -> None:
                    self._look_again(inbox, received, delivery, network)

                return await inbox.receive(received.kind, delivery, place.keep, keep_delivery)
        except TimeoutError:
            return inbox.turned_away(received.kind, "newer ones needed the place in which it waited for keys")
        finally:
            if place is not None:
                self._places.leave(place)

    def _look_again(self, inbox: EventReceiver, received: Receive, delivery: Delivery, network: str) -> None:
        loop = asyncio.get_running_loop()
        handles: list[asyncio.TimerHandle] = []

        def look() -> None:
            self._evicting.own(inbox.receive_again(received.kind, delivery))

        def forget() -> None:
            for handle in handles:
                handle.cancel()

        hold = self._kept.take(network, forget)
        if hold is not None:
            handles += (loop.call_later(after_s, look) for after_s in _AGAIN_S)
            handles.append(loop.call_later(_AGAIN_S[-1], self._kept.leave, hold))

    async def passing(self, request: web.Request, allow: Allow, exchange: AccessRecord) -> Passing | Refusal | None:
        if allow.route.config.on_success != "evict_token" or request.method != "POST":
            return None
        headers = allow.case.request.headers
        if refusal := media_refusal(values_of(headers, "content-type"), values_of(headers, "content-encoding")):
            return refusal
        limits = (REVOCATION_MAX_BYTES, allow.route.max_body_bytes)
        limit_bytes = min(limit for limit in limits if limit is not None)
        network = client_network(allow.case.caller.address).block
        body = await whole_body(request, limit_bytes, exchange, self._forms, network)
        if isinstance(body, Refusal):
            return body
        token = revoked_token(body)
        if isinstance(token, Refusal):
            return token
        charged = self._desk.charge_revocation(token, allow.case.caller.address)
        if isinstance(charged, RetryAfter):
            return too_many("too many tokens that nobody knows were revoked from this address", charged.wait_s)
        return _Revocation(token, body, self._evicting, charged)


class _Revocation:
    """The provider answers 200 to a token that it never issued as well (RFC 7009 §2.2).

    Each such token becomes an order to the whole fleet, because another instance may know what this one does not. So
    the order is made, and the network that sends many of them is charged for each. `not_revoked` gives that back.
    """

    def __init__(
        self, token: Token, body: bytes, evicting: InvalidationBroadcaster, not_revoked: Callable[[], None]
    ) -> None:
        self.body = body
        self._token = token
        self._evicting = evicting
        self._not_revoked = not_revoked

    async def answered(self, status: int) -> Refusal | None:
        if status // 100 != 2:  # noqa: PLR2004 - RFC 9110 §15.3
            self._not_revoked()
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


def receiver_of(
    running: Generation,
    evicting: InvalidationBroadcaster,
    repeats: DelayedInvalidations,
    replays: Replays,
    meter: EventMeter,
) -> EventPort:
    """The receiver of a configuration. Evictions, their repeats and the replays outlive it."""
    config = running.config
    events = config.events
    if events is None:
        return Receiving(None, evicting, running.desk)
    logouts = (logout_transmitter(name, one, running.providers[name]) for name, one in config.providers.items())
    transmitters = (event_transmitter(name, one, running.providers[name]) for name, one in config.providers.items())

    async def forget(named: tuple[ClaimSelector, ...], not_before: float | None) -> None:
        repeats.after(events.repeat_after, named)
        await evicting.evict(evict(named, not_before=not_before))

    inbox = EventReceiver(
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
    return Receiving(inbox, evicting, running.desk, events.sources)


async def whole_body(
    request: web.Request, limit_bytes: int, exchange: AccessRecord, bodies: Reclaimable, network: str
) -> bytes | Refusal:
    """The body, read to its end within a few seconds and among the `bodies` that are read now, or why it was not."""
    if (request.content_length or 0) > limit_bytes:
        return _REFUSAL_OF_FAULT[BodyFault.TOO_LARGE]
    body = RequestBody(request, limit_bytes, Pace(_BODY_S))
    loop = asyncio.get_running_loop()
    hold: Hold | None = None
    try:
        if (there := body.whole()) is not None:
            return there
        async with asyncio.timeout(_BODY_S) as bound:

            def give_up() -> None:
                if not bound.expired():  # else it goes in this turn of the loop anyway
                    bound.reschedule(loop.time())

            hold = bodies.take(network, give_up)
            return await _read(body, bodies, hold)
    except TimeoutError:
        return _PRESSED_OUT if hold is not None and hold.is_lost else _REFUSAL_OF_FAULT[BodyFault.TOO_SLOW]
    except BodyError:
        return _REFUSAL_OF_FAULT[body.fault or BodyFault.BROKEN]
    finally:
        if hold is not None:
            bodies.leave(hold)
        exchange.bytes_received = body.received_bytes


async def _read(body: RequestBody, bodies: Reclaimable, hold: Hold | None) -> bytes:
    read = bytearray()
    async for chunk in body.chunks():
        read += chunk
        if hold is not None:
            bodies.grew(hold, len(chunk))
    return bytes(read)


def _is_among(address: str, networks: Sequence[Network]) -> bool:
    """The address of a Unix socket's peer is empty, and in no network."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    plain = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(plain in network for network in networks)
