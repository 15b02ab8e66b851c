"""The doors that revocations come in by, and what is done for what comes.

    head -> bytes -> form or token -> claims -> issuer, audience, signature -> seen before? -> evicted everywhere

What is answered stands in `gateway.events.verdict`. What shows in the head is refused before the body is read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.events.jws import EventError, Unverified, read_compact
from gateway.events.logout import AGE_MAX_S, LEEWAY_S, read_logout
from gateway.events.push import EXPIRATION_MAX_S, read_admin_logout, read_not_before
from gateway.events.replay import Replays, SharedSeen
from gateway.events.security_event import EventName, SecurityEvent
from gateway.events.security_event_token import read_security_event
from gateway.events.transmitter import Transmitter
from gateway.events.verdict import DeliveryReply, EventKind, EventLog, Outcome, Verdict, answer, refused
from gateway.events.verify import named_by, verified_transmitter
from gateway.http.form import FORM, FormError, media_type, read_form
from gateway.http.refusal import Refusal
from gateway.introspection.invalidation import ClaimSelector, SeenEvent
from gateway.provider.errors import ProviderError
from gateway.provider.signing_keys import ALGORITHMS

BODY_MAX_BYTES = 64 * 2**10
# In a token's form `.`, `-` and `_` alone could be written so, and need not be.
_TRIPLETS_MAX = 1024
_SET = "application/secevent+jwt"
# A logout token or a push is too old to be taken before it is forgotten; a SET has no age, and is taken again after a
# day.
_LOGOUT_LIFE_S = AGE_MAX_S + 2 * LEEWAY_S
_PUSH_LIFE_S = EXPIRATION_MAX_S + LEEWAY_S
_SET_LIFE_S = 24 * 3600.0


def _nothing() -> None:
    """Nobody wants to know."""


class EventMeter(Protocol):
    def event_received(self, provider: str, event: EventName, outcome: Outcome) -> None: ...


class NotEverywhereError(Exception):
    """An eviction may not have reached every worker; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request as it came: all values of the two headers, and the whole body."""

    content_type: Sequence[str]
    authorization: Sequence[str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class _Door:
    """Where one kind of event comes in. `media` is what its body must be; `None`: its sender says nothing sound."""

    kind: EventKind
    senders: tuple[Transmitter, ...]
    media: str | None
    compact: Callable[[bytes], str | EventError]
    read: Callable[[Unverified, float], SecurityEvent | EventError]
    life_s: float


class Invalidate(Protocol):
    """Returns when the instance has forgotten `named` and believes nothing of it from before `not_before`."""

    def __call__(self, named: tuple[ClaimSelector, ...], not_before: float | None, /) -> Awaitable[None]: ...


class EventReceiver:
    """`evict` returns when the instance has forgotten what is named; it raises `NotEverywhereError`.

    `mark` gives an event's own mark from its realm and `jti`. `tell` has the instance's other workers `remember` an
    event that is done. `clock` is the wall clock.
    """

    def __init__(
        self,
        *,
        logout_senders: Sequence[Transmitter],
        event_senders: Sequence[Transmitter],
        evict: Invalidate,
        replays: Replays,
        shared: SharedSeen | None,
        mark: Callable[[str, str], bytes],
        meter: EventMeter,
        clock: Callable[[], float],
        tell: Callable[[SeenEvent], Awaitable[None]] | None = None,
    ) -> None:
        logouts, events = tuple(logout_senders), tuple(event_senders)
        doors = (
            _Door("logout", logouts, FORM, _logout_token, read_logout, _LOGOUT_LIFE_S),
            _Door("security_event", events, _SET, _token, read_security_event, _SET_LIFE_S),
            _Door("k_push_not_before", logouts, None, _token, read_not_before, _PUSH_LIFE_S),
            _Door("k_logout", logouts, None, _token, read_admin_logout, _PUSH_LIFE_S),
        )
        self._doors: dict[EventKind, _Door] = {door.kind: door for door in doors}
        self._evict = evict
        self._replays = replays
        self._shared = shared
        self._mark = mark
        self._meter = meter
        self._clock = clock
        self._tell = tell
        self._log = EventLog()

    def refused_by_head(self, kind: EventKind, head: Delivery) -> DeliveryReply | Refusal | None:
        """Why the body need not be read; counted and logged."""
        wrong = _wrong_head(self._doors[kind], head)
        return None if wrong is None else self._told(kind, refused(wrong))

    def not_read(self, kind: EventKind, why: str) -> None:
        """Count and log a delivery that did not arrive whole, or from where none may come."""
        self._told(kind, Verdict("refused", why=why))

    def turned_away(self, kind: EventKind, why: str) -> DeliveryReply | Refusal:
        """The answer to a delivery that there was no room for. It may have been genuine, so it raises the alarm."""
        return self._told(kind, Verdict("turned_away", why=why))

    async def receive(
        self,
        kind: EventKind,
        delivery: Delivery,
        on_verified: Callable[[], object] = _nothing,
        on_unknown_key: Callable[[], object] = _nothing,
    ) -> DeliveryReply | Refusal:
        """Act on a delivery, count and log it. Raises nothing but `CancelledError`.

        `on_verified` is called once it is who it says; until then nothing has been done for it. `on_unknown_key` is
        called where the key that signed it is not known, or not yet: then `receive_again` is worth a try.
        """
        return self._told(kind, await self._judged(self._doors[kind], delivery, on_verified, on_unknown_key))

    async def receive_again(self, kind: EventKind, delivery: Delivery) -> None:
        """Act on a delivery whose key was not known, if it is by now; that it is not is told only once."""
        verdict = await self._judged(self._doors[kind], delivery)
        if verdict.outcome not in {"refused", "unclear"}:
            self._told(kind, verdict)

    def _told(self, kind: EventKind, verdict: Verdict) -> DeliveryReply | Refusal:
        for event in verdict.events:
            self._meter.event_received(verdict.provider, event, verdict.outcome)
        self._log.tell(kind, verdict)
        return answer(kind, verdict)

    def remember(self, seen: SeenEvent) -> None:
        """Know an event again that another worker has acted on."""
        self._replays.note(self._mark(seen.realm, seen.event_id), seen.life_s)

    async def _judged(
        self,
        door: _Door,
        delivery: Delivery,
        on_verified: Callable[[], object] = _nothing,
        on_unknown_key: Callable[[], object] = _nothing,
    ) -> Verdict:
        token = _read(door, delivery)
        notice = token if isinstance(token, EventError) else door.read(token, self._clock())
        if isinstance(notice, EventError):
            return refused(notice)
        assert isinstance(token, Unverified)  # what is wrong stays so
        try:
            sender = await verified_transmitter(token, notice, door.senders, delivery.authorization)
        except ProviderError as error:
            on_unknown_key()
            return Verdict("unclear", why=error.reason, retry_after_s=error.retry_after_s)
        if isinstance(sender, EventError):
            if sender.code == "invalid_key" and token.algorithm in ALGORITHMS:
                on_unknown_key()
            return refused(sender)
        on_verified()
        return await self._act(door, notice, sender)

    async def _act(self, door: _Door, notice: SecurityEvent, sender: Transmitter) -> Verdict:
        """What is to be done for an event that is who it says."""

        def verdict(outcome: Outcome, why: EventError | str | None = None) -> Verdict:
            return Verdict(outcome, notice.events, sender.provider, notice.id, why)

        seen = SeenEvent(f"{door.kind} {sender.realm}", notice.id, door.life_s)
        mark = self._mark(seen.realm, seen.event_id)
        if await self._replays.is_replay(mark, self._shared):
            if door.kind != "security_event":
                return verdict("replayed", EventError("invalid_request", "the token has been used before"))
            return verdict("replayed")
        outcome: Outcome = "acknowledged"
        if notice.evicts:
            named = named_by(notice, sender, door.senders)
            if isinstance(named, EventError):
                return verdict("refused", named)
            outcome = "evicted" if named else "unmatched"
            try:
                if named:
                    await self._evict(named, notice.not_before)
            except NotEverywhereError as error:
                return verdict("unclear", str(error))
        await self._replays.remember(mark, seen.life_s, self._shared)
        if self._tell is not None:
            await self._tell(seen)
        return verdict(outcome)


def _read(door: _Door, delivery: Delivery) -> Unverified | EventError:
    compact = _wrong_head(door, delivery) or door.compact(delivery.body)
    return compact if isinstance(compact, EventError) else read_compact(compact)


def _wrong_head(door: _Door, head: Delivery) -> EventError | None:
    if door.media is not None and media_type(head.content_type) != door.media:
        return EventError("invalid_request", f"the body is not {door.media}")
    if door.senders and not any(sender.admits(head.authorization) for sender in door.senders):
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
        return EventError("invalid_request", "this is no token in compact form")
