"""A remembered answer as it lies in Redis, before it is sealed: compact JSON.

Its age is told without trusting another host's clock: the entry says how old the answer was and how long it had
left when it was written, and Redis, which counts down by one clock for all, says how much of that is left.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from gateway.authn.facts import CLAIM_NAMES, Facts, Inactive
from gateway.authn.tiers import Memorable, Recalled
from gateway.http.strict_json import DEPTH_MAX, loads

# Fleets whose clocks are further apart than this have other worries. What is older by the wall clock than its
# life allows and this much more was put back into Redis by somebody.
_CLOCKS_APART_MAX_S = 600.0
# The claims lie one level deeper than in the provider's answer.
_DEPTH_MAX = DEPTH_MAX + 1
# What is beyond is no time, and would not survive arithmetic.
_NUMBER_MAX = 2**53


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """`age_ms`, `left_ms` and `kept_ms` are as of the writing; `standing` says which purges the writer knew.

    `call` is the fence under which it was asked for, empty for none. Redis forgets it when `kept_ms` are over, or
    `left_ms` where that is more.
    """

    answer: Memorable
    age_ms: int
    left_ms: int
    standing: bytes
    call: bytes = b""
    kept_ms: int = 0

    def recalled(self, left_ms: int, now: float) -> Recalled | None:
        """The answer when Redis gives it `left_ms` more, at `now` on our wall clock; `None` if that cannot be."""
        whole_ms = max(self.kept_ms, self.left_ms)
        if not 0 < left_ms <= whole_ms:
            return None
        since_ms = whole_ms - left_ms
        age_s = (self.age_ms + since_ms) / 1000
        if now - self.answer.introspected_at > (self.age_ms + whole_ms) / 1000 + _CLOCKS_APART_MAX_S:
            return None
        fresh_s = max(0, self.left_ms - since_ms) / 1000
        answer = _as_introspected_at(self.answer, now - age_s)
        return Recalled(answer, age_s, fresh_s, self.call, kept_s=left_ms / 1000)


def encode(entry: StoredEntry) -> bytes:
    """JSON in ASCII: a claim may hold a lone surrogate, which has no UTF-8."""
    answer = entry.answer
    fields: dict[str, Any] = {
        "active": isinstance(answer, Facts),
        "at": answer.introspected_at,
        "age": entry.age_ms,
        "left": entry.left_ms,
        "known": entry.standing.hex(),
        "call": entry.call.hex(),
    }
    if entry.kept_ms:
        fields["kept"] = entry.kept_ms
    if isinstance(answer, Inactive) and answer.reason is not None:
        fields["why"] = answer.reason
    if isinstance(answer, Facts):
        fields |= {"claims": answer.claims, "exp": answer.exp, "nbf": answer.nbf, "scopes": sorted(answer.scopes)}
    return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()


def decode(text: bytes) -> StoredEntry | None:
    """The inverse of `encode`; `None` for what another version of the gateway may have meant by it."""
    try:
        fields = loads(text, _DEPTH_MAX, pool=CLAIM_NAMES)
        match fields:
            case {"at": at, "age": int(age_ms), "left": int(left_ms), "known": str(known), "call": str(call)} if all(
                map(_is_number, (at, age_ms, left_ms))
            ):
                kept_ms = fields.get("kept", 0)
                answer = _answer(fields, at)
                if answer is None or not isinstance(kept_ms, int) or not _is_number(kept_ms):
                    return None
                return StoredEntry(answer, age_ms, left_ms, bytes.fromhex(known), bytes.fromhex(call), kept_ms)
    except ValueError:
        pass
    return None


def _answer(fields: dict[str, Any], at: float) -> Memorable | None:
    match fields:
        case {"active": True, "claims": dict(claims), "exp": exp, "nbf": nbf, "scopes": list(scopes)}:
            has_times = all(time is None or _is_number(time) for time in (exp, nbf))
            has_scopes = all(isinstance(scope, str) for scope in scopes)
            return Facts(claims, at, exp, nbf, frozenset(scopes)) if has_times and has_scopes else None
        case {"active": False}:
            why = fields.get("why")
            return Inactive(at, why) if isinstance(why, str | None) else None
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _NUMBER_MAX


def _as_introspected_at(answer: Memorable, at: float) -> Memorable:
    if isinstance(answer, Inactive):
        return Inactive(at, answer.reason)
    return Facts(answer.claims, at, answer.exp, answer.nbf, answer.scopes)
