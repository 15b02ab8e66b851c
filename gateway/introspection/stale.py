"""The last known facts, for a route that would rather use them than answer 503 while the provider cannot tell.

They are never given for fresh ones, and never hide a no: facts that were purged, or that a later answer called
inactive, are not known any more, and nothing outlives the token's `exp`. The policy judges them as it does all others.
"""

from __future__ import annotations

from math import inf

from gateway.authn.facts import Facts
from gateway.authn.question import Question
from gateway.introspection.lifetime import Lifetimes
from gateway.introspection.ports import Memorable


def is_tolerable(question: Question, age_s: float, lifetimes: Lifetimes) -> bool:
    """Whether facts of `age_s` may stand in: the oldest that would be fresh for the question, and so much more."""
    if question.stale_s is None:
        return False
    window_s = min(lifetimes.active_s, inf if question.max_age_s is None else question.max_age_s)
    return age_s < window_s + question.stale_s


def kept_s(result: Memorable, age_s: float, now: float, lifetimes: Lifetimes, longest_s: float) -> float:
    """For how many more seconds an answer of `age_s` is kept in all, good or only known, at `now` (wall clock)."""
    if not isinstance(result, Facts):
        return 0.0
    left = lifetimes.active_s + longest_s - max(0.0, age_s)
    if result.exp is not None:
        left = min(left, result.exp - now)
    return max(0.0, left)
