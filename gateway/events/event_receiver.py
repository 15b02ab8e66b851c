"""Receives the deliveries that revoke something, verifies them and acts on them.

    refuse_by_head -> (body is read) -> receive: form or token -> claims -> issuer, audience, signature -> seen before?
        -> invalidated everywhere -> remembered -> announced to the other workers

- There are four endpoints, one for each `EventKind`. They differ in how a body becomes a token and how claims are read.
- A fault that shows in the head is refused before the body is read.
- Before the signature is verified nothing is done and nothing is believed.
- Keys that cannot be fetched, or a worker that cannot be reached, are neither yes nor no: the sender is to try again.
- An event is remembered only when all of it is done. So a delivery that failed half-way is done again.
- There are no tasks here; the caller owns the one that runs `receive`. `gateway.events.verdict` holds the replies.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.authn.compact_jws import Unverified
from gateway.events.jws import EventError, read_compact
from gateway.events.logout import AGE_MAX_S, LEEWAY_S, read_logout
from gateway.events.push import EXPIRATION_MAX_S, read_admin_logout, read_not_before
from gateway.events.replay import Replays, SharedSeen
from gateway.events.security_event import EventName, SecurityEvent
from gateway.events.security_event_token import read_security_event
from gateway.events.transmitter import Transmitter
from gateway.events.verdict import DeliveryReply, EventKind, EventLog, Outcome, Verdict, refused, reply_to
from gateway.events.verify import selectors_of, verified_transmitter
from gateway.http.form import FORM, FormError, media_type, read_form
from gateway.http.refusal import Refusal
from gateway.introspection.invalidation import ClaimSelector, SeenEvent
from gateway.provider.errors import ProviderError
from gateway.provider.signing_keys import ALGORITHMS

BODY_MAX_BYTES = 64 * 2**10
# In a token's form only `.`, `-` and `_` could be percent-encoded, and need not be.
_TRIPLETS_MAX = 1024
_SET = "application/secevent+jwt"
# A logout token or a push is too old to be accepted by the time it is forgotten. A SET has no age: after a day it is
# accepted again.
_LOGOUT_LIFE_S = AGE_MAX_S + 2 * LEEWAY_S
_PUSH_LIFE_S = EXPIRATION_MAX_S + LEEWAY_S
_SET_LIFE_S = 24 * 3600.0


def _nothing() -> None:
    """The callback for callers that need none."""


class EventMeter(Protocol):
    def event_received(self, provider: str, event: EventName, outcome: Outcome) -> None: ...


class NotEverywhereError(Exception):
    """An invalidation may not have reached every worker. The text is for the operator."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Holds a request as it came: all values of the two header fields, and the whole body."""

    content_type: Sequence[str]
    authorization: Sequence[str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """Reads one kind of event. The body must have `content_type`. `None`: any, because its sender names a wrong one."""

    kind: EventKind
    transmitters: tuple[Transmitter, ...]
    content_type: str | None
    extract: Callable[[bytes], str | EventError]
    read: Callable[[Unverified, float], SecurityEvent | EventError]
    life_s: float


class Invalidate(Protocol):
    """Returns when the instance has forgotten the `selectors`, and refuses their tokens from before `not_before`."""

    def __call__(self, selectors: tuple[ClaimSelector, ...], not_before: float | None, /) -> Awaitable[None]: ...


class EventReceiver:
    """Acts on deliveries of the transmitters given.

    `invalidate` returns when the whole instance has forgotten; it raises `NotEverywhereError`. `replay_key` makes the
    key by which an event is known again, from its realm and `jti`. `announce` makes the instance's other workers
    `remember` an event that is done. `clock` is the wall clock.
    """

    def __init__(
        self,
        *,
        logout_transmitters: Sequence[Transmitter],
        event_transmitters: Sequence[Transmitter],
        invalidate: Invalidate,
        replays: Replays,
        shared: SharedSeen | None,
        replay_key: Callable[[str, str], bytes],
        meter: EventMeter,
        clock: Callable[[], float],
        announce: Callable[[SeenEvent], Awaitable[None]] | None = None,
    ) -> None:
        logouts, events = tuple(logout_transmitters), tuple(event_transmitters)
        endpoints = (
            _Endpoint("logout", logouts, FORM, _logout_token, read_logout, _LOGOUT_LIFE_S),
            _Endpoint("security_event", events, _SET, _token, read_security_event, _SET_LIFE_S),
            _Endpoint("k_push_not_before", logouts, None, _token, read_not_before, _PUSH_LIFE_S),
            _Endpoint("k_logout", logouts, None, _token, read_admin_logout, _PUSH_LIFE_S),
        )
        self._endpoints: dict[EventKind, _Endpoint] = {endpoint.kind: endpoint for endpoint in endpoints}
        self._invalidate = invalidate
        self._replays = replays
        self._shared = shared
        self._replay_key = replay_key
        self._meter = meter
        self._clock = clock
        self._announce = announce
        self._log = EventLog()

    def refused_by_head(self, kind: EventKind, head: Delivery) -> DeliveryReply | Refusal | None:
        """The refusal of a delivery whose head is enough to refuse it, counted and logged; `None`: read the body."""
        error = _wrong_head(self._endpoints[kind], head)
        return None if error is None else self._record(kind, refused(error))

    def record_unread(self, kind: EventKind, why: str) -> None:
        """Count and log a delivery that did not arrive whole, or that came from a network that may not send any."""
        self._record(kind, Verdict("refused", why=why))

    def reject_overload(self, kind: EventKind, why: str) -> DeliveryReply | Refusal:
        """The reply to a delivery that there was no room for. It may have been genuine, so the log warns."""
        return self._record(kind, Verdict("turned_away", why=why))

    async def receive(
        self,
        kind: EventKind,
        delivery: Delivery,
        on_verified: Callable[[], object] = _nothing,
        on_unknown_key: Callable[[], object] = _nothing,
    ) -> DeliveryReply | Refusal:
        """Act on a delivery, count and log it. Raises nothing but `CancelledError`.

        `on_verified` is called when the signature is verified; nothing is done before that. `on_unknown_key` is called
        when the key that signed it is not known, or not yet: then `retry` may succeed later.
        """
        return self._record(kind, await self._verdict(self._endpoints[kind], delivery, on_verified, on_unknown_key))

    async def retry(self, kind: EventKind, delivery: Delivery) -> None:
        """Act on a delivery whose key was not known, if it is known by now. Does not log the same failure again."""
        verdict = await self._verdict(self._endpoints[kind], delivery)
        if verdict.outcome not in {"refused", "unclear"}:
            self._record(kind, verdict)

    def _record(self, kind: EventKind, verdict: Verdict) -> DeliveryReply | Refusal:
        for event in verdict.events:
            self._meter.event_received(verdict.provider, event, verdict.outcome)
        self._log.write(kind, verdict)
        return reply_to(kind, verdict)

    def remember(self, seen: SeenEvent) -> None:
        """Remember an event that another worker has acted on."""
        self._replays.note(self._replay_key(seen.realm, seen.event_id), seen.life_s)

    async def _verdict(
        self,
        endpoint: _Endpoint,
        delivery: Delivery,
        on_verified: Callable[[], object] = _nothing,
        on_unknown_key: Callable[[], object] = _nothing,
    ) -> Verdict:
        token = _read(endpoint, delivery)
        event = token if isinstance(token, EventError) else endpoint.read(token, self._clock())
        if isinstance(event, EventError):
            return refused(event)
        assert isinstance(token, Unverified)  # an EventError has returned by now
        try:
            transmitter = await verified_transmitter(token, event, endpoint.transmitters, delivery.authorization)
        except ProviderError as error:
            on_unknown_key()
            return Verdict("unclear", why=error.reason, retry_after_s=error.retry_after_s)
        if isinstance(transmitter, EventError):
            if transmitter.code == "invalid_key" and token.algorithm in ALGORITHMS:
                on_unknown_key()
            return refused(transmitter)
        on_verified()
        return await self._act(endpoint, event, transmitter)

    async def _act(self, endpoint: _Endpoint, event: SecurityEvent, transmitter: Transmitter) -> Verdict:
        """Do what a verified event asks for."""

        def verdict(outcome: Outcome, why: EventError | str | None = None) -> Verdict:
            return Verdict(outcome, event.events, transmitter.provider, event.id, why)

        seen = SeenEvent(f"{endpoint.kind} {transmitter.realm}", event.id, endpoint.life_s)
        replay_key = self._replay_key(seen.realm, seen.event_id)
        if await self._replays.is_replay(replay_key, self._shared):
            if endpoint.kind != "security_event":
                return verdict("replayed", EventError("invalid_request", "the token has been used before"))
            return verdict("replayed")
        outcome: Outcome = "acknowledged"
        if event.invalidates:
            selectors = selectors_of(event, transmitter, endpoint.transmitters)
            if isinstance(selectors, EventError):
                return verdict("refused", selectors)
            outcome = "evicted" if selectors else "unmatched"
            try:
                if selectors:
                    await self._invalidate(selectors, event.not_before)
            except NotEverywhereError as error:
                return verdict("unclear", str(error))
        await self._replays.remember(replay_key, seen.life_s, self._shared)
        if self._announce is not None:
            await self._announce(seen)
        return verdict(outcome)


def _read(endpoint: _Endpoint, delivery: Delivery) -> Unverified | EventError:
    compact = _wrong_head(endpoint, delivery) or endpoint.extract(delivery.body)
    return compact if isinstance(compact, EventError) else read_compact(compact)


def _wrong_head(endpoint: _Endpoint, head: Delivery) -> EventError | None:
    if endpoint.content_type is not None and media_type(head.content_type) != endpoint.content_type:
        return EventError("invalid_request", f"the body is not {endpoint.content_type}")
    if endpoint.transmitters and not any(one.accepts(head.authorization) for one in endpoint.transmitters):
        return EventError("authentication_failed", "the Authorization header is not what was agreed on")
    return None


def _logout_token(body: bytes) -> str | EventError:
    try:
        form = read_form(body, _TRIPLETS_MAX)
    except FormError as error:
        return EventError("invalid_request", str(error))
    return form.get("logout_token") or EventError("invalid_request", "the form has no logout_token")


def _token(body: bytes) -> str | EventError:
    try:
        return body.decode("ascii").strip(" \t\r\n")
    except UnicodeDecodeError:
        return EventError("invalid_request", "this is not a token in compact form")
