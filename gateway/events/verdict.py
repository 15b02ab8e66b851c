"""What became of a delivery, and what its sender, the operator's log and the metrics are told of it.

Answers: OpenID Connect Back-Channel Logout 1.0 §2.8; RFC 8935 §2.2 and §2.4; for Keycloak's admin pushes 204 or 400.
What cannot be told now, because keys cannot be fetched or a worker does not answer, is neither yes nor no: 503.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from gateway.events.jws import EventError
from gateway.events.security_event import EventName
from gateway.http.refusal import Fields, Refusal

_log = logging.getLogger(__name__)

# `turned_away`: there was no room for it, and nobody knows what it would have said.
Outcome = Literal["evicted", "unmatched", "acknowledged", "replayed", "refused", "unclear", "turned_away"]
EventKind = Literal["logout", "security_event", "k_push_not_before", "k_logout"]

NOBODY = "none"  # the provider of what nobody is known to have sent
_STATUS_OF_KIND: dict[EventKind, int] = {
    "logout": 200,
    "security_event": 202,
    "k_push_not_before": 204,
    "k_logout": 204,
}
_WORTH_A_WARNING = frozenset({"unclear", "unmatched", "turned_away"})
_LINES_AT_ONCE, _LINES_PER_S = 100, 1.0


@dataclass(frozen=True, slots=True)
class DeliveryReply:
    """What the sender is answered. `reason` is set where it was refused."""

    status: int
    headers: Fields
    body: bytes = b""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a delivery; `why` says it of one that was not acted on."""

    outcome: Outcome
    events: tuple[EventName, ...] = ("other",)
    provider: str = NOBODY
    event_id: str | None = None
    why: EventError | str | None = None
    retry_after_s: float | None = None


def refused(wrong: EventError) -> Verdict:
    return Verdict("refused", why=wrong)


def answer(kind: EventKind, verdict: Verdict) -> DeliveryReply | Refusal:
    """What the sender is told."""
    headers: Fields = (("Cache-Control", "no-store"),)
    if isinstance(verdict.why, EventError):
        document: dict[str, Any] = {"error": "invalid_request", "error_description": verdict.why.description}
        if kind == "security_event":
            document = {"err": verdict.why.code, "description": verdict.why.description}
        headers += (("Content-Type", "application/json"), ("Content-Language", "en"))
        return DeliveryReply(
            400, headers, json.dumps(document).encode() + b"\n", verdict.why.hint or verdict.why.description
        )
    if verdict.outcome in {"unclear", "turned_away"}:
        wait_s = max(1, math.ceil(verdict.retry_after_s or 0))
        return Refusal(
            "event_unavailable",
            "it can not be told now whether this is so; try again",
            (("Retry-After", str(wait_s)),),
            verdict.why,
        )
    return DeliveryReply(_STATUS_OF_KIND[kind], headers)


class EventLog:
    """Writes one line for each delivery; nothing of a token but the id of one that is who it says.

    What is genuine and was refused for the configuration's sake is a warning: its hint says what to write. Anybody can
    send what nobody is known to have sent: of that only so many lines are written, and the next one says how many
    were left out. `monotonic` measures, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lines: dict[tuple[Outcome, bool], _Lines] = {}

    def tell(self, kind: EventKind, verdict: Verdict) -> None:
        why = verdict.why.description if isinstance(verdict.why, EventError) else verdict.why
        hint = verdict.why.hint if isinstance(verdict.why, EventError) else None
        left_out = 0
        if verdict.provider == NOBODY:
            now_s = self._monotonic()
            # What is genuine but for the configuration is told of even while others flood.
            lines = self._lines.setdefault((verdict.outcome, hint is not None), _Lines(now_s))
            if not lines.admit(now_s):
                return
            left_out, lines.left_out = lines.left_out, 0
        fields: dict[str, Any] = {
            "kind": kind,
            "provider": verdict.provider,
            "events": ",".join(verdict.events),
            "outcome": verdict.outcome,
            "event_id": verdict.event_id,
            "reason": hint or why,
        }
        if left_out:
            fields["left_out"] = left_out
        is_worth_it = verdict.outcome in _WORTH_A_WARNING or hint is not None
        level = logging.WARNING if is_worth_it else logging.INFO
        _log.log(level, "security event %s", verdict.outcome, extra={"event": "security_event", "fields": fields})


class _Lines:
    """How many lines may be written now: `_LINES_AT_ONCE`, and then `_LINES_PER_S`."""

    def __init__(self, now_s: float) -> None:
        self.left_out = 0
        self._level = float(_LINES_AT_ONCE)
        self._at_s = now_s

    def admit(self, now_s: float) -> bool:
        self._level = min(_LINES_AT_ONCE, self._level + (now_s - self._at_s) * _LINES_PER_S)
        self._at_s = now_s
        if self._level < 1:
            self.left_out += 1
            return False
        self._level -= 1
        return True
