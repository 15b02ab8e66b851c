"""The two doors that revocations come in by, and what is answered at each.

    bytes -> form or SET -> claims -> issuer, audience, signature -> seen before? -> evicted everywhere -> answer

Answers: OpenID Connect Back-Channel Logout 1.0 §2.8; RFC 8935 §2.2 and §2.4. What cannot be told now, because keys
cannot be fetched or a worker does not answer, is neither yes nor no: 503, and the sender may try again.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from gateway.authn.eviction import Named, Seen
from gateway.events.jws import Unverified, Wrong, read_compact
from gateway.events.logout import AGE_MAX_S, LEEWAY_S, read_logout
from gateway.events.notice import EventName, Notice
from gateway.events.replay import Replays, SharedSeen
from gateway.events.security_event import read_security_event
from gateway.events.sender import Sender
from gateway.events.verify import named_by, verified_sender
from gateway.http.form import FORM, FormError, media_type, read_form
from gateway.http.refusal import Fields, Refusal
from gateway.provider.errors import ProviderError

_log = logging.getLogger(__name__)

Outcome = Literal["evicted", "unmatched", "acknowledged", "replayed", "refused", "unclear"]
Kind = Literal["logout", "security_event"]

BODY_MAX_BYTES = 64 * 2**10
# In a token's form `.`, `-` and `_` alone could be written so, and need not be.
_TRIPLETS_MAX = 1024
_SET = "application/secevent+jwt"
# A logout token is too old to be taken before it is forgotten; a SET has no age, and is taken again after a day.
_LOGOUT_LIFE_S = AGE_MAX_S + 2 * LEEWAY_S
_SET_LIFE_S = 24 * 3600.0
NOBODY = "none"  # the provider of what nobody is known to have sent


class Meter(Protocol):
    def event_received(self, provider: str, event: EventName, outcome: Outcome) -> None: ...


class NotEverywhereError(Exception):
    """An eviction may not have reached every worker; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the sender is answered. `reason` is set where it was refused."""

    status: int
    headers: Fields
    body: bytes = b""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request as it came: all values of the two headers, and the whole body."""

    content_type: Sequence[str]
    authorization: Sequence[str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Door:
    kind: Kind
    senders: tuple[Sender, ...]
    read: Callable[[Unverified, float], Notice | Wrong]
    life_s: float


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What became of a delivery; `why` says it of one that was not acted on."""

    outcome: Outcome
    events: tuple[EventName, ...] = ("other",)
    provider: str = NOBODY
    event_id: str | None = None
    why: Wrong | str | None = None
    retry_after_s: float | None = None


class Inbox:
    """`evict` returns when the instance has forgotten what is named; it raises `NotEverywhereError`.

    `mark` gives an event's own mark from its realm and `jti`. `tell` has the instance's other workers `remember` an
    event that is done. `clock` is the wall clock.
    """

    def __init__(
        self,
        *,
        logout_senders: Sequence[Sender],
        event_senders: Sequence[Sender],
        evict: Callable[[tuple[Named, ...]], Awaitable[None]],
        replays: Replays,
        shared: SharedSeen | None,
        mark: Callable[[str, str], bytes],
        meter: Meter,
        clock: Callable[[], float],
        tell: Callable[[Seen], Awaitable[None]] | None = None,
    ) -> None:
        self._doors: dict[Kind, _Door] = {
            "logout": _Door("logout", tuple(logout_senders), read_logout, _LOGOUT_LIFE_S),
            "security_event": _Door("security_event", tuple(event_senders), read_security_event, _SET_LIFE_S),
        }
        self._evict = evict
        self._replays = replays
        self._shared = shared
        self._mark = mark
        self._meter = meter
        self._clock = clock
        self._tell = tell

    async def receive(self, kind: Kind, delivery: Delivery) -> Reply | Refusal:
        """Acts on a delivery, counts and logs it. Raises nothing but `CancelledError`."""
        door = self._doors[kind]
        compact = _logout_token(delivery) if kind == "logout" else _security_event(delivery)
        verdict = _refused(compact) if isinstance(compact, Wrong) else await self._judged(door, compact, delivery)
        for event in verdict.events:
            self._meter.event_received(verdict.provider, event, verdict.outcome)
        _tell(kind, verdict)
        return _answer(kind, verdict)

    def remember(self, seen: Seen) -> None:
        """Know an event again that another worker has acted on."""
        self._replays.note(self._mark(seen.realm, seen.event_id), seen.life_s)

    async def _judged(self, door: _Door, compact: str, delivery: Delivery) -> _Verdict:
        token = read_compact(compact)
        notice = token if isinstance(token, Wrong) else door.read(token, self._clock())
        if isinstance(notice, Wrong):
            return _refused(notice)
        assert isinstance(token, Unverified)  # what is wrong stays so
        try:
            sender = await verified_sender(token, notice, door.senders, delivery.authorization)
        except ProviderError as error:
            return _Verdict("unclear", why=error.reason, retry_after_s=error.retry_after_s)
        if isinstance(sender, Wrong):
            return _refused(sender)
        return await self._act(door, notice, sender)

    async def _act(self, door: _Door, notice: Notice, sender: Sender) -> _Verdict:
        """What is to be done for an event that is who it says."""

        def verdict(outcome: Outcome, why: Wrong | str | None = None) -> _Verdict:
            return _Verdict(outcome, notice.events, sender.provider, notice.id, why)

        seen = Seen(f"{door.kind} {sender.realm}", notice.id, door.life_s)
        mark = self._mark(seen.realm, seen.event_id)
        if await self._replays.is_replay(mark, self._shared):
            if door.kind == "logout":
                return verdict("replayed", Wrong("invalid_request", "the token has been used before"))
            return verdict("replayed")
        outcome: Outcome = "acknowledged"
        if notice.evicts:
            named = named_by(notice, sender, door.senders)
            if isinstance(named, Wrong):
                return verdict("refused", named)
            outcome = "evicted" if named else "unmatched"
            try:
                if named:
                    await self._evict(named)
            except NotEverywhereError as error:
                return verdict("unclear", str(error))
        await self._replays.remember(mark, seen.life_s, self._shared)
        if self._tell is not None:
            await self._tell(seen)
        return verdict(outcome)


def _logout_token(delivery: Delivery) -> str | Wrong:
    if media_type(delivery.content_type) != FORM:
        return Wrong("invalid_request", f"the body is not {FORM}")
    try:
        form = read_form(delivery.body, _TRIPLETS_MAX)
    except FormError as error:
        return Wrong("invalid_request", str(error))
    return form.get("logout_token") or Wrong("invalid_request", "the form has no logout_token")


def _security_event(delivery: Delivery) -> str | Wrong:
    if media_type(delivery.content_type) != _SET:
        return Wrong("invalid_request", f"the body is not {_SET}")
    try:
        return delivery.body.decode("ascii").strip(" \t\r\n")
    except UnicodeDecodeError:
        return Wrong("invalid_request", "this is no token in compact form")


def _refused(wrong: Wrong) -> _Verdict:
    return _Verdict("refused", why=wrong)


def _answer(kind: Kind, verdict: _Verdict) -> Reply | Refusal:
    headers: Fields = (("Cache-Control", "no-store"),)
    if isinstance(verdict.why, Wrong):
        document: dict[str, Any] = {"error": "invalid_request", "error_description": verdict.why.description}
        if kind == "security_event":
            document = {"err": verdict.why.code, "description": verdict.why.description}
        headers += (("Content-Type", "application/json"), ("Content-Language", "en"))
        return Reply(400, headers, json.dumps(document).encode() + b"\n", verdict.why.description)
    if verdict.outcome == "unclear":
        wait_s = max(1, math.ceil(verdict.retry_after_s or 0))
        return Refusal(
            "event_unavailable",
            "it can not be told now whether this is so; try again",
            (("Retry-After", str(wait_s)),),
            verdict.why,
        )
    return Reply(200 if kind == "logout" else 202, headers)


def _tell(kind: Kind, verdict: _Verdict) -> None:
    """One line for each delivery; nothing of a token but the id of one that is who it says."""
    why = verdict.why.description if isinstance(verdict.why, Wrong) else verdict.why
    fields = {
        "kind": kind,
        "provider": verdict.provider,
        "events": ",".join(verdict.events),
        "outcome": verdict.outcome,
        "event_id": verdict.event_id,
        "reason": why,
    }
    level = logging.WARNING if verdict.outcome in {"unclear", "unmatched"} else logging.INFO
    _log.log(level, "security event %s", verdict.outcome, extra={"event": "security_event", "fields": fields})
