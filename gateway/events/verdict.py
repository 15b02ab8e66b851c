"""What became of a delivery, and what its sender, the operator's log and the metrics are told of it.

Answers: OpenID Connect Back-Channel Logout 1.0 §2.8; RFC 8935 §2.2 and §2.4; for Keycloak's admin pushes 204 or 400.
What cannot be told now, because keys cannot be fetched or a worker does not answer, is neither yes nor no: 503.
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass
from typing import Any, Literal

from gateway.events.jws import Wrong
from gateway.events.notice import EventName
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


@dataclass(frozen=True, slots=True)
class Reply:
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
    why: Wrong | str | None = None
    retry_after_s: float | None = None


def refused(wrong: Wrong) -> Verdict:
    return Verdict("refused", why=wrong)


def answer(kind: EventKind, verdict: Verdict) -> Reply | Refusal:
    """What the sender is told."""
    headers: Fields = (("Cache-Control", "no-store"),)
    if isinstance(verdict.why, Wrong):
        document: dict[str, Any] = {"error": "invalid_request", "error_description": verdict.why.description}
        if kind == "security_event":
            document = {"err": verdict.why.code, "description": verdict.why.description}
        headers += (("Content-Type", "application/json"), ("Content-Language", "en"))
        return Reply(400, headers, json.dumps(document).encode() + b"\n", verdict.why.hint or verdict.why.description)
    if verdict.outcome in {"unclear", "turned_away"}:
        wait_s = max(1, math.ceil(verdict.retry_after_s or 0))
        return Refusal(
            "event_unavailable",
            "it can not be told now whether this is so; try again",
            (("Retry-After", str(wait_s)),),
            verdict.why,
        )
    return Reply(_STATUS_OF_KIND[kind], headers)


def log(kind: EventKind, verdict: Verdict) -> None:
    """One line for each delivery; nothing of a token but the id of one that is who it says.

    What is genuine and was refused for the configuration's sake is a warning: its hint says what to write.
    """
    why = verdict.why.description if isinstance(verdict.why, Wrong) else verdict.why
    hint = verdict.why.hint if isinstance(verdict.why, Wrong) else None
    fields = {
        "kind": kind,
        "provider": verdict.provider,
        "events": ",".join(verdict.events),
        "outcome": verdict.outcome,
        "event_id": verdict.event_id,
        "reason": hint or why,
    }
    is_worth_it = verdict.outcome in _WORTH_A_WARNING or hint is not None
    level = logging.WARNING if is_worth_it else logging.INFO
    _log.log(level, "security event %s", verdict.outcome, extra={"event": "security_event", "fields": fields})
