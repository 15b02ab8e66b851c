"""Decides whether a route may use the last known facts, rather than answer 503, while the provider cannot tell.

They are never given out as fresh, and never hide a revocation: facts that were purged, or that a later result replaced,
are not known any more. Nothing outlives the token's `exp`. The policy judges them as it judges all others.
"""

from __future__ import annotations

from math import inf

from gateway.authn.facts import Facts
from gateway.authn.question import Question
from gateway.introspection.lifetime import Lifetimes
from gateway.introspection.ports import Memorable


def is_tolerable(question: Question, age_s: float, lifetimes: Lifetimes) -> bool:
    """Whether facts of `age_s` will do: those of at most the question's window and `stale_s` on top."""
    if question.stale_s is None:
        return False
    window_s = min(lifetimes.active_s, inf if question.max_age_s is None else question.max_age_s)
    return age_s < window_s + question.stale_s


def kept_s(result: Memorable, age_s: float, now: float, lifetimes: Lifetimes, longest_s: float) -> float:
    """For how many more seconds a result of `age_s` is kept in all, fresh or only known, at `now` (wall clock)."""
    if not isinstance(result, Facts):
        return 0.0
    left = lifetimes.active_s + longest_s - max(0.0, age_s)
    if result.exp is not None:
        left = min(left, result.exp - now)
    return max(0.0, left)
