"""One comparison, from the checks to the last figure."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.comparison import latency, loads, machine, matching, memory, nginx, provider_calls, wrk
from benchmarks.comparison.checks import check
from benchmarks.comparison.cores import Cores
from benchmarks.comparison.results import Plan, Results
from benchmarks.comparison.stage import staged
from support.redis_server import redis_version


def compare(folder: Path, cores: Cores, plan: Plan, tell: Callable[[str], None]) -> Results:
    """On the load's cores already. Raises `NotInstalledError` without nginx or wrk, `CheckError`, `RuntimeError`."""
    began_s = time.monotonic()
    seen = machine.describe(len(cores.proxy | cores.load))
    helpers = {
        "wrk": wrk.version(),
        "nginx as the backend": nginx.version(),
        "Redis": ".".join(map(str, redis_version())),
    }
    with staged(folder, cores) as stage:
        with stage.contestants() as contestants:
            tell("checks")
            versions = {one.kind: one.version for one in contestants}
            checked = {one.kind: check(stage, one) for one in contestants}
            samples = loads.measure(stage, contestants, plan.rounds, plan.round_s, tell)
            tell("provider calls")
            asked = provider_calls.measure(stage, contestants)
        results = Results(
            plan=plan,
            machine=seen,
            helpers=helpers,
            versions=versions,
            absent=stage.absent,
            checked=checked,
            samples=samples,
            latencies=latency.measure(stage, plan.latency_rounds, plan.latency_round_s, tell),
            asked=asked,
            matching=_matching(plan, tell),
            held=memory.measure(stage, plan.tokens, tell),
        )
    results.minutes = (time.monotonic() - began_s) / 60
    return results


def _matching(plan: Plan, tell: Callable[[str], None]) -> dict[int, list[float]]:
    tell("route matching")
    return matching.measure(plan.matching_rounds)
