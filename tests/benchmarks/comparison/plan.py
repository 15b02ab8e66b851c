"""How much a comparison measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """How much is measured. A round of a load or of a latency lasts `…round_s`.

    A hit in the process is what is held to a bound: it has `hit_rounds`.
    """

    rounds: int
    round_s: int
    latency_rounds: int
    latency_round_s: int
    hit_rounds: int
    tokens: int
    matching_rounds: int


FULL = Plan(rounds=5, round_s=2, latency_rounds=3, latency_round_s=3, hit_rounds=5, tokens=100_000, matching_rounds=30)
QUICK = Plan(rounds=2, round_s=1, latency_rounds=1, latency_round_s=2, hit_rounds=3, tokens=20_000, matching_rounds=10)
