"""The outcome of a delivery: the reply to its sender, the line in the log and the label in the metrics.

Replies: OpenID Connect Back-Channel Logout 1.0 §2.8; RFC 8935 §2.2 and §2.4; for Keycloak's admin pushes 204 or 400.
An outcome that is open, because keys cannot be fetched or a worker does not respond, is neither yes nor no: 503.
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

# `turned_away`: there was no room for it, so its content is not known.
Outcome = Literal["evicted", "unmatched", "acknowledged", "replayed", "refused", "unclear", "turned_away"]
EventKind = Literal["logout", "security_event", "k_push_not_before", "k_logout"]

NOBODY = "none"  # stands for the provider of a delivery whose sender is not known
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
    """Holds the response to the sender. `reason` is set where the delivery was refused."""

    status: int
    headers: Fields
    body: bytes = b""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Holds the outcome of a delivery. `why` is set where it was not acted on."""

    outcome: Outcome
    events: tuple[EventName, ...] = ("other",)
    provider: str = NOBODY
    event_id: str | None = None
    why: EventError | str | None = None
    retry_after_s: float | None = None


def refused(error: EventError) -> Verdict:
    return Verdict("refused", why=error)


def reply_to(kind: EventKind, verdict: Verdict) -> DeliveryReply | Refusal:
    """The reply to the sender."""
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
            "it cannot be told now whether this is so; try again",
            (("Retry-After", str(wait_s)),),
            verdict.why,
        )
    return DeliveryReply(_STATUS_OF_KIND[kind], headers)


class EventLog:
    """Writes one line for each delivery. Of a token it writes only the id, and only when the token is verified.

    A genuine delivery that the configuration refuses is a warning: its hint says what to write. Anybody can send
    deliveries that are not verified. Their lines are limited, and the next line says how many were left out.
    `monotonic` measures, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._budgets: dict[tuple[Outcome, bool], _LineBudget] = {}

    def write(self, kind: EventKind, verdict: Verdict) -> None:
        why = verdict.why.description if isinstance(verdict.why, EventError) else verdict.why
        hint = verdict.why.hint if isinstance(verdict.why, EventError) else None
        left_out = 0
        if verdict.provider == NOBODY:
            now_s = self._monotonic()
            # A delivery with a hint has a budget of its own, so that a flood of others does not hide it.
            budget = self._budgets.setdefault((verdict.outcome, hint is not None), _LineBudget(now_s))
            if not budget.allows(now_s):
                return
            left_out, budget.left_out = budget.left_out, 0
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
        is_warning = verdict.outcome in _WORTH_A_WARNING or hint is not None
        level = logging.WARNING if is_warning else logging.INFO
        _log.log(level, "security event %s", verdict.outcome, extra={"event": "security_event", "fields": fields})


class _LineBudget:
    """Allows `_LINES_AT_ONCE` lines, and then `_LINES_PER_S`."""

    def __init__(self, now_s: float) -> None:
        self.left_out = 0
        self._level = float(_LINES_AT_ONCE)
        self._at_s = now_s

    def allows(self, now_s: float) -> bool:
        self._level = min(_LINES_AT_ONCE, self._level + (now_s - self._at_s) * _LINES_PER_S)
        self._at_s = now_s
        if self._level < 1:
            self.left_out += 1
            return False
        self._level -= 1
        return True
