"""A result as it lies in Redis, before it is sealed: compact JSON.

Two clocks tell its age, and the older age counts. Redis says how much of its life is left. The entry itself says, under
seal, when the provider was asked by the writer's wall clock. Somebody who writes to Redis can put an old entry back
with a new life, so Redis cannot make a result younger than the wall clock says.

The writer's clock may be a little ahead of the reader's. Then the wall clock shows too low an age, by no more than
`skew_s`. An entry from further in the future is not used, but it says that the reader's own clock may be slow.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from gateway.authn.facts import CLAIM_NAMES, Facts, Inactive, scope_set
from gateway.introspection.ports import Memorable, Recalled

# A larger number is not a time, and would not survive arithmetic.
_NUMBER_MAX: Final = 2**53
_MISSING: Final = object()


@dataclass(slots=True, init=False)
class StoredEntry:
    """Holds a result with its age. `age_ms`, `left_ms` and `kept_ms` are as of the writing.

    `log_position` says which purges the writer knew. `fence` is that of its lease, empty for none. Redis drops the
    entry when `kept_ms` are over, or `left_ms` if that is more. `is_announced`: the result is inactive, and a purge has
    told the fleet.
    """

    result: Memorable
    age_ms: int
    left_ms: int
    log_position: bytes
    fence: bytes
    kept_ms: int
    is_announced: bool

    def __init__(
        self,
        result: Memorable,
        age_ms: int,
        left_ms: int,
        log_position: bytes,
        fence: bytes = b"",
        kept_ms: int = 0,
        is_announced: bool = False,
    ) -> None:
        self.result = result
        self.age_ms = age_ms
        self.left_ms = left_ms
        self.log_position = log_position
        self.fence = fence
        self.kept_ms = kept_ms
        self.is_announced = is_announced

    def recalled(self, left_ms: int, now: float, skew_s: float) -> Recalled | None:
        """The result when Redis gives it `left_ms` more, at `now` on our wall clock; `None` if it cannot be used."""
        whole_ms = max(self.kept_ms, self.left_ms)
        if not 0 < left_ms <= whole_ms:
            return None
        ahead_s = self.ahead_s(left_ms, now)
        if ahead_s > skew_s:
            return Recalled(self.result, math.inf, 0.0, ahead_s=ahead_s)
        age_s = max(self._age_by_redis_s(left_ms), now - self.result.introspected_at)
        since_s = age_s - self.age_ms / 1000
        fresh_s, kept_s = self.left_ms / 1000 - since_s, whole_ms / 1000 - since_s
        if kept_s <= 0:
            return None
        result = as_introspected_at(self.result, now - age_s)
        return Recalled(result, age_s, max(0.0, fresh_s), self.fence, kept_s, self.is_announced)

    def ahead_s(self, left_ms: int, now: float) -> float:
        """How far the writer's clock is ahead of ours, as far as Redis can be trusted.

        Below zero the clock is behind, or the entry was put back, or it reached Redis late.
        """
        return self._age_by_redis_s(left_ms) - (now - self.result.introspected_at)

    def _age_by_redis_s(self, left_ms: int) -> float:
        return (self.age_ms + max(self.kept_ms, self.left_ms) - left_ms) / 1000


def encode(entry: StoredEntry) -> bytes:
    """JSON in ASCII: a claim may hold a lone surrogate, which has no UTF-8."""
    result = entry.result
    fields: dict[str, Any] = {
        "active": isinstance(result, Facts),
        "at": result.introspected_at,
        "age": entry.age_ms,
        "left": entry.left_ms,
        "known": entry.log_position.hex(),
        "call": entry.fence.hex(),
    }
    if entry.kept_ms:
        fields["kept"] = entry.kept_ms
    if isinstance(result, Inactive) and result.reason is not None:
        fields["why"] = result.reason
    if entry.is_announced:
        fields["told"] = True
    if isinstance(result, Facts):
        fields |= {"claims": result.claims, "exp": result.exp, "nbf": result.nbf, "scopes": sorted(result.scopes)}
        if result.phantom is not None:
            fields["phantom"] = result.phantom
    return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()


def decode(text: bytes) -> StoredEntry | None:
    """The inverse of `encode`; `None` for an entry that another version of the gateway may have written."""
    try:
        whole = text.decode()
        fields, end = _DECODER.raw_decode(whole)
    except (ValueError, RecursionError):
        return None
    if end != len(whole) or not isinstance(fields, dict):
        return None
    at: Any = fields.get("at")
    known, call = fields.get("known"), fields.get("call")
    age_ms, left_ms, kept_ms = fields.get("age"), fields.get("left"), fields.get("kept", 0)
    is_announced = fields.get("told", False)
    if not (_is_number(at) and _is_count(age_ms) and _is_count(left_ms) and _is_count(kept_ms)):
        return None
    if not isinstance(known, str) or not isinstance(call, str) or not isinstance(is_announced, bool):
        return None
    result = _result(fields, float(at))
    if result is None:
        return None
    try:
        log_position, fence = bytes.fromhex(known), bytes.fromhex(call)
    except ValueError:
        return None
    return StoredEntry(result, age_ms, left_ms, log_position, fence, kept_ms, is_announced)


def _result(fields: dict[str, Any], at: float) -> Memorable | None:
    active = fields.get("active")
    if active is True:
        return _facts(fields, at)
    why = fields.get("why")
    if active is not False or not (why is None or isinstance(why, str)):
        return None
    return Inactive(at, why)


def _facts(fields: dict[str, Any], at: float) -> Facts | None:
    claims, scopes, phantom = fields.get("claims"), fields.get("scopes"), fields.get("phantom")
    exp, nbf = fields.get("exp", _MISSING), fields.get("nbf", _MISSING)
    if not isinstance(claims, dict) or not isinstance(scopes, list):
        return None
    if not _is_time(exp) or not _is_time(nbf) or not (phantom is None or isinstance(phantom, str)):
        return None
    for scope in scopes:
        if not isinstance(scope, str):
            return None
    pooled = CLAIM_NAMES.pooled
    named = {pooled(name): value for name, value in claims.items()}
    return Facts(named, at, _seconds(exp), _seconds(nbf), scope_set(tuple(scopes)), phantom)


def _is_number(value: object) -> bool:
    # Not `abs`: compiled, it takes only what it was compiled for, and JSON has numbers of two types.
    return isinstance(value, int | float) and not isinstance(value, bool) and -_NUMBER_MAX <= value <= _NUMBER_MAX


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and -_NUMBER_MAX <= value <= _NUMBER_MAX


def _is_time(value: object) -> bool:
    return value is None or _is_number(value)


def _seconds(value: Any) -> float | None:
    # JSON may hold a time as an integer, which is not a `float` to the compiled form.
    return None if value is None else float(value)


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


_DECODER: Final = json.JSONDecoder(parse_constant=_constant)


def as_introspected_at(result: Memorable, at: float) -> Memorable:
    """The same result, asked for at `at` on the wall clock."""
    if isinstance(result, Inactive):
        return Inactive(at, result.reason)
    return Facts(result.claims, at, result.exp, result.nbf, result.scopes, result.phantom)
