"""One comparison, from the checks to the last figure."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.comparison import (
    asking,
    latency,
    loads,
    machine,
    matching,
    memory,
    nginx,
    provider_calls,
    variations,
    wrk,
)
from benchmarks.comparison.checks import check
from benchmarks.comparison.cores import Cores
from benchmarks.comparison.plan import Plan
from benchmarks.comparison.results import Results
from benchmarks.comparison.stage import Stage, staged
from benchmarks.comparison.variations import Group
from support.redis_server import redis_version

_LATENCY, _CALLS, _BESIDE, _MATCHING, _MEMORY = "latency", "calls", "beside", "matching", "memory"
# What may be asked for by itself.
PARTS = (
    *(load.key for load in loads.LOADS),
    *(group.value for group in Group),
    _LATENCY,
    _CALLS,
    _BESIDE,
    _MATCHING,
    _MEMORY,
)
ALL = frozenset(PARTS)


def compare(folder: Path, cores: Cores, plan: Plan, parts: frozenset[str], tell: Callable[[str], None]) -> Results:
    """On the load's cores already. Raises `NotInstalledError` without nginx or wrk, `CheckError`, `RuntimeError`."""
    began_s = time.monotonic()
    seen = machine.describe(len(cores.proxy | cores.load))
    helpers = {
        "wrk": wrk.version(),
        "nginx as the backend": nginx.version(),
        "Redis": ".".join(map(str, redis_version())),
    }
    results = Results(plan, seen, helpers, is_partial=parts != ALL)
    with staged(folder, cores) as stage:
        results.absent = stage.absent
        _loads(stage, results, parts, tell)
        for group in Group:
            if group.value in parts:
                results.varied |= variations.measure(stage, group, plan, tell)
        if _LATENCY in parts:
            results.latencies = latency.measure(stage, plan, tell)
        if _BESIDE in parts:
            results.questions = asking.measure(stage, plan, tell)
        if _MATCHING in parts:
            tell("route matching")
            results.matching = matching.measure(plan.matching_rounds)
        if _MEMORY in parts:
            results.held = memory.measure(stage, plan.tokens, tell)
    results.minutes = (time.monotonic() - began_s) / 60
    return results


def _loads(stage: Stage, results: Results, parts: frozenset[str], tell: Callable[[str], None]) -> None:
    """All contestants are checked, also where nothing but one of the later parts is measured."""
    with stage.contestants() as contestants:
        tell("checks")
        results.versions = {one.kind: one.version for one in contestants}
        results.checked = {one.kind: check(stage, one) for one in contestants}
        wanted = [load for load in loads.LOADS if load.key in parts]
        if wanted:
            results.samples = loads.measure(stage, contestants, wanted, results.plan, tell)
        if _CALLS in parts:
            tell("provider calls")
            results.asked = provider_calls.measure(stage, contestants)
