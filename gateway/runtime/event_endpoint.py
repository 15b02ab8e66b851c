"""Events over HTTP: checks the head, reads the body within bounds, has the event received, and returns the reply.

    head -> address, length, media type, authorization -> body, no place yet -> place -> verified -> done -> place left

How this works:

- Work takes a place, waiting does not. A body that has not arrived holds no place. There is room for some hundred such
  bodies, and a new one displaces the oldest: an honest sender does not need 100 ms.
- A delivery that waits for keys holds a place, and a newer one may displace it in the same way. A delivery that was
  verified keeps its place until it is done.
- So a sender that fills the room takes it from itself, even where an ingress gives the attacker and the provider one
  address.
- A delivery that was signed with an unknown key is tried again later, when the keys may be fetched once more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address

from aiohttp import web

from gateway.authn.bearer import Token
from gateway.config.realms import by_realm
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
from gateway.introspection.invalidation import ClaimSelector, SeenEvent, new_invalidation
from gateway.introspection.token_buckets import RetryAfter
from gateway.proxy.access_record import AccessRecord
from gateway.proxy.downstream.reclaiming import Hold, Reclaimable
from gateway.proxy.event_port import EventPort, Passing
from gateway.proxy.generation import Generation
from gateway.proxy.request_body import REFUSAL_OF_FAULT, BodyError, BodyFault, Pace, RequestBody
from gateway.runtime.invalidation_broadcaster import DelayedInvalidations, InvalidationBroadcaster

# A body of 64 KiB takes milliseconds, except over a very poor line.
_BODY_S = 5.0
_BODIES_MAX, _BODIES_PER_NETWORK_MAX, _BODIES_MAX_BYTES = 512, 256, 4 * 2**20
_AT_ONCE_MAX, _AT_ONCE_PER_NETWORK_MAX = 256, 64
# Keycloak publishes the first key of a new algorithm only after the response to its first logout token, and does not
# send that token again. So a delivery with an unknown key is tried again when the keys may be fetched once more.
_RETRY_AFTER_S = (6.0, 15.0)
_RETRIES_MAX, _RETRIES_PER_NETWORK_MAX = 256, 64
_DISPLACED = Refusal("request_timeout", "the body did not arrive before newer ones needed the room")
_FOREIGN_ADDRESS = Refusal("forbidden", "events do not come from this address", reason="events.from does not hold it")


class EventEndpoint:
    """Receives events, and tokens that a client revokes, under one configuration (`EventPort`).

    Without a `receiver` it refuses every event. `sources` are the networks that may send events; empty means all.
    `admission` charges for revocations.
    """

    def __init__(
        self,
        receiver: EventReceiver | None,
        broadcaster: InvalidationBroadcaster,
        admission: Admission,
        sources: Sequence[Network] = (),
    ) -> None:
        self._receiver = receiver
        self._broadcaster = broadcaster
        self._admission = admission
        self._sources = sources
        self._bodies = Reclaimable(_BODIES_MAX, _BODIES_PER_NETWORK_MAX, _BODIES_MAX_BYTES)
        self._forms = Reclaimable(_BODIES_MAX, _BODIES_PER_NETWORK_MAX, _BODIES_MAX_BYTES)
        self._places = Reclaimable(_AT_ONCE_MAX, _AT_ONCE_PER_NETWORK_MAX)
        self._retries = Reclaimable(_RETRIES_MAX, _RETRIES_PER_NETWORK_MAX)

    def remember(self, seen: SeenEvent) -> None:
        if self._receiver is not None:
            self._receiver.remember(seen)

    async def receive(self, request: web.Request, received: Receive, record: AccessRecord) -> DeliveryReply | Refusal:
        address = received.context.caller.address
        if self._receiver is None:
            return _FOREIGN_ADDRESS
        if self._sources and not _is_among(address, self._sources):
            self._receiver.record_unread(received.kind, "it comes from an address that events.from does not hold")
            return _FOREIGN_ADDRESS
        if received.context.body_bytes > BODY_MAX_BYTES:
            self._receiver.record_unread(received.kind, "the body is too large")
            return REFUSAL_OF_FAULT[BodyFault.TOO_LARGE]
        headers = received.context.request.fields.pairs
        content_type, authorization = values_of(headers, "content-type"), values_of(headers, "authorization")
        reply = self._receiver.refused_by_head(received.kind, Delivery(content_type, authorization))
        if reply is None:
            network = client_network(address).block
            body = await read_body(request, BODY_MAX_BYTES, record, self._bodies, network)
            if isinstance(body, Refusal):
                tell = self._receiver.reject_overload if body is _DISPLACED else self._receiver.record_unread
                tell(received.kind, body.detail)
                return body
            # Work that was begun goes on when its sender leaves, and keeps its place until it is done.
            delivery = Delivery(content_type, authorization, body)
            reply = await self._broadcaster.finish(self._receive_in_place(self._receiver, received, delivery, network))
        if isinstance(reply, DeliveryReply) and reply.reason is not None:
            record.code, record.reason = "invalid_request", reply.reason
        return reply

    async def _receive_in_place(
        self, receiver: EventReceiver, received: Receive, delivery: Delivery, network: str
    ) -> DeliveryReply | Refusal:
        loop = asyncio.get_running_loop()
        place: Hold | None = None
        try:
            async with asyncio.timeout(None) as bound:
                place = self._places.take(network, lambda: bound.reschedule(loop.time()))
                if place is None:
                    return receiver.reject_overload(received.kind, "too many events are under way")

                def retry_later() -> None:
                    self._retry_later(receiver, received, delivery, network)

                return await receiver.receive(received.kind, delivery, place.keep, retry_later)
        except TimeoutError:
            return receiver.reject_overload(received.kind, "newer ones needed the place in which it waited for keys")
        finally:
            if place is not None:
                self._places.leave(place)

    def _retry_later(self, receiver: EventReceiver, received: Receive, delivery: Delivery, network: str) -> None:
        loop = asyncio.get_running_loop()
        handles: list[asyncio.TimerHandle] = []

        def retry() -> None:
            self._broadcaster.own(receiver.retry(received.kind, delivery))

        def forget() -> None:
            for handle in handles:
                handle.cancel()

        hold = self._retries.take(network, forget)
        if hold is not None:
            handles += (loop.call_later(after_s, retry) for after_s in _RETRY_AFTER_S)
            handles.append(loop.call_later(_RETRY_AFTER_S[-1], self._retries.leave, hold))

    async def passing(self, request: web.Request, allow: Allow, record: AccessRecord) -> Passing | Refusal | None:
        if allow.route.config.on_success != "evict_token" or request.method != "POST":
            return None
        headers = allow.context.request.fields.pairs
        if refusal := media_refusal(values_of(headers, "content-type"), values_of(headers, "content-encoding")):
            return refusal
        limits = (REVOCATION_MAX_BYTES, allow.route.max_body_bytes)
        limit_bytes = min(limit for limit in limits if limit is not None)
        network = client_network(allow.context.caller.address).block
        body = await read_body(request, limit_bytes, record, self._forms, network)
        if isinstance(body, Refusal):
            return body
        token = revoked_token(body)
        if isinstance(token, Refusal):
            return token
        charged = self._admission.charge_revocation(token, allow.context.caller.address)
        if isinstance(charged, RetryAfter):
            return too_many("too many tokens that nobody knows were revoked from this address", charged.wait_s)
        return _Revocation(token, body, self._broadcaster, charged, self._admission.is_worth_revoking)


class _Revocation:
    """Invalidates a token once the backend, a revocation endpoint, has accepted its revocation.

    A provider answers 200 to tokens that it never issued as well (RFC 7009 §2.2). The whole fleet is told of each
    token nevertheless, because another instance may have cached it. So a network that sends many unknown tokens is
    charged for each. `not_revoked` refunds the charge. A made-up token is only forgotten: to remember it as revoked,
    where nobody is asked about tokens, would push out others (`is_worth_revoking`).
    """

    def __init__(
        self,
        token: Token,
        body: bytes,
        broadcaster: InvalidationBroadcaster,
        not_revoked: Callable[[], None],
        is_worth_revoking: Callable[[Token], Awaitable[bool]],
    ) -> None:
        self.body = body
        self._is_worth_revoking = is_worth_revoking
        self._token = token
        self._broadcaster = broadcaster
        self._not_revoked = not_revoked

    async def answered(self, status: int) -> Refusal | None:
        if status // 100 != 2:  # noqa: PLR2004 - RFC 9110 §15.3
            self._not_revoked()
            return None
        try:
            revoked_at = time.time() if await self._is_worth_revoking(self._token) else None
            await self._broadcaster.broadcast(new_invalidation(token=self._token, revoked_at=revoked_at))
        except NotEverywhereError as error:
            # RFC 7009 §2.2.1: with 503 the client has to assume that the token still exists, and may try again.
            detail = "the token was revoked, but may still work here for a moment; try again"
            return Refusal("eviction_unavailable", detail, (("Retry-After", "1"),), str(error))
        return None

    def lost(self) -> None:
        # If it was not revoked, this costs only one introspection. So it must not count as a revocation for good.
        self._broadcaster.broadcast_soon(new_invalidation(token=self._token))


def event_endpoint_of(
    generation: Generation,
    broadcaster: InvalidationBroadcaster,
    delayed: DelayedInvalidations,
    replays: Replays,
    meter: EventMeter,
) -> EventPort:
    """The endpoint of a generation. `broadcaster`, `delayed` and `replays` outlive it."""
    config = generation.config
    events = config.events
    if events is None:
        return EventEndpoint(None, broadcaster, generation.admission)
    settings = by_realm(config.providers)
    logouts = (logout_transmitter(name, one, generation.providers[name]) for name, one in settings.items())
    transmitters = (event_transmitter(name, one, generation.providers[name]) for name, one in settings.items())

    async def invalidate(selectors: tuple[ClaimSelector, ...], not_before: float | None) -> None:
        delayed.after(events.repeat_after, selectors)
        # A not-before time says itself which tokens end.
        revoked_at = time.time() if not_before is None else None
        await broadcaster.broadcast(new_invalidation(selectors, not_before=not_before, revoked_at=revoked_at))

    receiver = EventReceiver(
        logout_transmitters=[transmitter for transmitter in logouts if transmitter is not None],
        event_transmitters=[transmitter for transmitter in transmitters if transmitter is not None],
        invalidate=invalidate,
        replays=replays,
        shared=generation.cache.shared,
        replay_key=generation.cache.keys.event_key,
        meter=meter,
        clock=time.time,
        announce=broadcaster.tell_workers_seen,
    )
    return EventEndpoint(receiver, broadcaster, generation.admission, events.sources)


async def read_body(
    request: web.Request, limit_bytes: int, record: AccessRecord, bodies: Reclaimable, network: str
) -> bytes | Refusal:
    """The whole body, or the refusal of one that takes more than a few seconds or that newer `bodies` displace."""
    if (request.content_length or 0) > limit_bytes:
        return REFUSAL_OF_FAULT[BodyFault.TOO_LARGE]
    body = RequestBody(request, limit_bytes, Pace(_BODY_S))
    loop = asyncio.get_running_loop()
    hold: Hold | None = None
    try:
        if (there := body.whole()) is not None:
            return there
        async with asyncio.timeout(_BODY_S) as bound:

            def give_up() -> None:
                if not bound.expired():  # an expired one ends in this pass of the loop anyway
                    bound.reschedule(loop.time())

            hold = bodies.take(network, give_up)
            return await _read(body, bodies, hold)
    except TimeoutError:
        return _DISPLACED if hold is not None and hold.is_lost else REFUSAL_OF_FAULT[BodyFault.TOO_SLOW]
    except BodyError:
        return REFUSAL_OF_FAULT[body.fault or BodyFault.BROKEN]
    finally:
        if hold is not None:
            bodies.leave(hold)
        record.bytes_received = body.received_bytes


async def _read(body: RequestBody, bodies: Reclaimable, hold: Hold | None) -> bytes:
    read = bytearray()
    async for chunk in body.chunks():
        read += chunk
        if hold is not None:
            bodies.grew(hold, len(chunk))
    return bytes(read)


def _is_among(address: str, networks: Sequence[Network]) -> bool:
    """Whether `address` is in one of `networks`; the empty address of a Unix socket's peer is in none."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    plain = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(plain in network for network in networks)
