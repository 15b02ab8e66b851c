"""Decides how long a result may be kept. Nothing outlives the token's own `exp` (CWE-613)."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.authn.facts import Facts, Inactive, IntrospectionResult
from gateway.introspection.ports import Memorable


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Holds `cache.ttl` and `cache.inactive_ttl`; 0 keeps nothing of that type."""

    active_s: float
    inactive_s: float


def left_s(result: Memorable, age_s: float, now: float, lifetimes: Lifetimes) -> float:
    """For how many more seconds a result of `age_s` is fresh at `now` (wall clock); 0 when it is not.

    A clock that went back makes an age below zero. It counts as zero, never as a longer life.
    """
    age_s = max(0.0, age_s)
    if isinstance(result, Inactive):
        return max(0.0, lifetimes.inactive_s - age_s)
    left = lifetimes.active_s - age_s
    if result.exp is not None:
        left = min(left, result.exp - now)
    return max(0.0, left)


def as_of(result: IntrospectionResult, now: float) -> IntrospectionResult:
    """`result` as it is at `now`: a token past its `exp` is inactive, even if the provider calls it active (RFC 7662
    §4).
    """
    if isinstance(result, Facts) and result.exp is not None and result.exp <= now:
        return Inactive(result.introspected_at, f"its exp, {result.exp:.0f}, is past by this clock")
    return result
