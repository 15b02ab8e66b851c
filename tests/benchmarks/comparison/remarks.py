"""What a reader of the tables has to know besides: the setting, and where a figure is less than it seems."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.comparison.arithmetic import Spread, spread
from benchmarks.comparison.latency import Case
from benchmarks.comparison.loads import GET_32, GET_256, MIXED, Sample
from benchmarks.comparison.peer import Kind
from benchmarks.comparison.results import Results

_BUSY_SHARE = 0.9
_FOREIGN_SHARE = 0.05


def setting(results: Results) -> Iterator[str]:
    machine, plan = results.machine, results.plan
    libraries = ", ".join(f"{name} {version}" for name, version in machine.libraries.items())
    helpers = ", ".join(f"{name} {version}" for name, version in results.helpers.items())
    apart = "the proxy on one, all else on the others" if machine.cores > 1 else "for everything"
    yield f"{machine.measured_on}, {machine.cores} cores ({machine.processor}), {apart}; {machine.kernel};"
    yield f"load before the start {machine.load_before:.2f}. Python {machine.python}, {libraries}; {helpers}."
    yield f"{plan.rounds} rounds of {plan.round_s} s for each load, {plan.latency_rounds} of {plan.latency_round_s} s"
    yield f"for each latency, {results.minutes:.0f} minutes in all. Medians, with lowest and highest round in brackets."


def remarks(results: Results) -> Iterator[str]:
    foreign = _foreign_shares(results)
    if foreign is not None:
        yield _company(foreign)
    yield from _failures(results)
    yield from _late(results)
    if foreign is not None and foreign.median <= _FOREIGN_SHARE:
        yield from _idle_cores(results)


def _foreign_shares(results: Results) -> Spread | None:
    """How much of the proxy's core others had while loads ran; `None` where none has run."""
    samples = [one for _, _, samples in _sampled(results) for one in samples]
    return spread([one.foreign_s / one.duration_s for one in samples]) if samples else None


def _sampled(results: Results) -> Iterator[tuple[str, Kind, list[Sample]]]:
    """All that wrk has asked for: by what name, of whom, and what was seen."""
    for load, by_kind in results.samples.items():
        yield from ((load.name, kind, samples) for kind, samples in by_kind.items())
    for variation, by_kind in results.varied.items():
        yield from ((f"{MIXED.name}, {variation.value}", kind, samples) for kind, samples in by_kind.items())


def _company(foreign: Spread) -> str:
    """With others there, caches and the order of things are not the proxy's own, and each request costs more."""
    words = f"others had {foreign.median:.0%} of the proxy's core (median; up to {foreign.high:.0%})"
    if foreign.median > _FOREIGN_SHARE:
        return f"- **The machine was not quiet: {words}. Costs are too high and ratios uncertain.**"
    return f"- While loads ran, {words}."


def _failures(results: Results) -> Iterator[str]:
    for name, kind, samples in _sampled(results):
        requests, failed = sum(one.requests for one in samples), sum(one.failed for one in samples)
        if failed:
            yield f"- {kind.value}; {name}: {failed} of {requests} requests failed."
        if kind.does_auth and (missed := sum(one.introspections for one in samples)):
            yield f"- {kind.value}; {name}: {missed} of {requests} were misses, though each token had been asked for."


def _late(results: Results) -> Iterator[str]:
    for case, timed in results.latencies.items():
        for kind, rounds in timed.items():
            name = f"{kind.value if kind else 'the backend'}; latency, {case.value}"
            due = sum(one.requests for one in rounds)
            if failed := sum(one.failed for one in rounds):
                yield f"- {name}: {failed} of {due} requests failed, or their answers came too late to be waited for."
            asked = sum(one.introspections for one in rounds)
            if asked and case is not Case.MISS:
                yield f"- {name}: {asked} of {due} were misses."


def _idle_cores(results: Results) -> Iterator[str]:
    for load in (MIXED, GET_32, GET_256):
        shares = {
            kind: spread([one.busy_share for one in samples]).median
            for kind, samples in results.samples.get(load, {}).items()
            if samples
        }
        if idle := [f"{kind.value} {share:.0%}" for kind, share in shares.items() if share < _BUSY_SHARE]:
            yield f"- {load.name}: the proxy's core was not full, so that generator and backend, on theirs, were what"
            yield f"  limited the requests per second: {'; '.join(idle)}."
