"""Latency beyond the backend's own at a fixed rate: for a hit in the process, a hit in Redis, and a miss.

A hit in the process is asked for by the mixed load, whose tokens are known by then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from benchmarks.comparison import mixed, open_loop
from benchmarks.comparison.arithmetic import quantile
from benchmarks.comparison.loads import warm_up
from benchmarks.comparison.peer import Contestant, Kind
from benchmarks.comparison.plan import Plan
from benchmarks.comparison.stage import Stage

RATE_PER_S = 1000
_MIXED_RUN = 800  # no run of wrk comes to these numbers
# More than a gateway with REDIS_ENTRIES_MAX remembers, so that each comes as a stranger to the process.
_REDIS_TOKENS = 500
# Into Redis without hurry: what a gateway could not write in time would be a miss later on.
_FILL_CONNECTIONS = 4


class Case(Enum):
    """The value is its name in the tables."""

    HIT = "in-process hit"
    REDIS = "Redis hit"
    MISS = "miss"


@dataclass(frozen=True)
class Timed:
    """One round. `introspections` came to the provider meanwhile."""

    p50_s: float
    p99_s: float
    requests: int
    failed: int
    introspections: int


# By case, then by kind (`None`: the backend without a proxy): one for each round.
Latencies = dict[Case, dict[Kind | None, list[Timed]]]

_KINDS = {
    Case.HIT: tuple(Kind),
    Case.REDIS: (Kind.FAST, Kind.COMPILED, Kind.GENERAL, Kind.APACHE),
    Case.MISS: tuple(kind for kind in Kind if kind.does_auth),
}


def measure(stage: Stage, plan: Plan, tell: Callable[[str], None]) -> Latencies:
    """With contestants of its own, new for each case; within each round the backend is timed as well."""
    found: Latencies = {}
    for case in Case:
        tell(f"latency, {case.value}")
        # A handshake for each call would be measured, where no other contestant has one.
        with stage.contestants(_KINDS[case], redis=case is Case.REDIS, provider_tls=False) as contestants:
            rounds = plan.hit_rounds if case is Case.HIT else plan.latency_rounds
            found[case] = _rounds(stage, case, contestants, rounds, plan.latency_round_s)
    return found


def _rounds(
    stage: Stage, case: Case, contestants: list[Contestant], rounds: int, round_s: int
) -> dict[Kind | None, list[Timed]]:
    ports: dict[Kind | None, int] = {None: stage.place.backend_port, **{one.kind: one.port for one in contestants}}
    found: dict[Kind | None, list[Timed]] = {kind: [] for kind in ports}
    for contestant in contestants:
        _warm_up(case, contestant)
    for number in range(rounds):
        for kind, port in ports.items():
            found[kind].append(timed(stage, case, port, number, round_s))
    return found


def timed(stage: Stage, case: Case, port: int, number: int, duration_s: float, rate_per_s: int = RATE_PER_S) -> Timed:
    """`number` tells one round's unknown tokens from another's."""
    asked = stage.introspections()
    wire = _wires(case, port, number)
    outcome = open_loop.run(port, wire, round(rate_per_s * duration_s), rate_per_s)
    return Timed(
        quantile(outcome.latencies_s, 0.5),
        quantile(outcome.latencies_s, 0.99),
        len(outcome.latencies_s),
        outcome.failed,
        stage.introspections() - asked,
    )


def _wires(case: Case, port: int, number: int) -> Callable[[int], bytes]:
    match case:
        case Case.HIT:
            first = (_MIXED_RUN + number) * mixed.RUN_NUMBERS
            return lambda which: mixed.wire(first + which)
        case Case.REDIS:
            shared = [open_loop.request_bytes("/", _shared_token(port, which)) for which in range(_REDIS_TOKENS)]
            return lambda which: shared[which % _REDIS_TOKENS]
        case Case.MISS:
            return lambda which: open_loop.request_bytes("/", f"good-unknown-{port}-{number}-{which:012}")


def _shared_token(port: int, which: int) -> str:
    return f"good-shared-{port}-{which:024}"


def _warm_up(case: Case, contestant: Contestant) -> None:
    if case is Case.HIT:
        warm_up(contestant)
        return
    wire = _wires(case, contestant.port, -1)
    open_loop.run(contestant.port, wire, _REDIS_TOKENS, None, _FILL_CONNECTIONS)
