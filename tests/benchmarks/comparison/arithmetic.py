"""Medians with their spread, quantiles, and ratios taken pair by pair."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """The median of several rounds, the lowest and the highest of them."""

    median: float
    low: float
    high: float

    def times(self, factor: float) -> Spread:
        return Spread(self.median * factor, self.low * factor, self.high * factor)


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def paired(ours: Sequence[float], theirs: Sequence[float], join: Callable[[float, float], float]) -> Spread:
    """Both were measured in the same rounds: each round's two are joined, and then the median is taken.

    Raises `ValueError` where they are not as many.
    """
    return spread([join(one, other) for one, other in zip(ours, theirs, strict=True)])


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Against nothing at all it is infinite: a peer that did not get one download done in its round."""
    return paired(ours, theirs, lambda one, other: one / other if other else math.inf)


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    return paired(ours, theirs, lambda one, other: one - other)


def quantile(values: Sequence[float], share: float) -> float:
    """The least of `values` that at least `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
