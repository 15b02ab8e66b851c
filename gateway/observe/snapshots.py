"""Adds up the counts of several workers, so that one scrape shows the sum.

A snapshot is JSON: `{"counters": {name: [[labels, count], …]}, "histograms": {name: [[labels, counts, sum], …]},
"gauges": {name: value}, "states": {name: [[labels, value], …]}, "least": {name: [[labels, value], …]}}`. `counts` has
one number per bucket of `BOUNDS_S` and one beyond, not cumulative. Of `states` the highest value counts, not the sum,
and of `least` the lowest. `"exemplars": {name: [[labels, bucket, trace id, value, Unix time], …]}` belong to
histograms; of one bucket the latest counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Snapshot = dict[str, Any]


def merge(snapshots: Iterable[Mapping[str, Any]]) -> Snapshot:
    """The sum of all snapshots, series by series. Without any: an empty snapshot."""
    counters: dict[str, dict[tuple[str, ...], int]] = {}
    histograms: dict[str, dict[tuple[str, ...], tuple[list[int], float]]] = {}
    gauges: dict[str, int] = {}
    states: dict[str, dict[tuple[str, ...], float]] = {}
    least: dict[str, dict[tuple[str, ...], float]] = {}
    exemplars: dict[str, dict[tuple[str, ...], list[Any]]] = {}
    for snapshot in snapshots:
        for name, counted in snapshot.get("counters", {}).items():
            _add_counts(counters.setdefault(name, {}), counted)
        for name, observed in snapshot.get("histograms", {}).items():
            _add_observations(histograms.setdefault(name, {}), observed)
        for name, value in snapshot.get("gauges", {}).items():
            gauges[name] = gauges.get(name, 0) + value
        for name, series in snapshot.get("states", {}).items():
            _choose(max, states.setdefault(name, {}), series)
        for name, series in snapshot.get("least", {}).items():
            _choose(min, least.setdefault(name, {}), series)
        for name, series in snapshot.get("exemplars", {}).items():
            _choose_latest(exemplars.setdefault(name, {}), series)
    return {
        "counters": {name: [[list(key), n] for key, n in sums.items()] for name, sums in counters.items()},
        "histograms": {
            name: [[list(key), counts, total] for key, (counts, total) in sums.items()]
            for name, sums in histograms.items()
        },
        "gauges": gauges,
        "states": _series(states),
        "least": _series(least),
        "exemplars": {name: list(latest.values()) for name, latest in exemplars.items()},
    }


def without_gauges(snapshot: Mapping[str, Any]) -> Snapshot:
    """The part that stays true of a worker that is gone: its counts, not its open connections."""
    return {**snapshot, "gauges": {}, "states": {}, "least": {}}


def joined(*parts: Mapping[str, Any]) -> Snapshot:
    """One snapshot of parts that name different families. Cheaper than `merge`, which adds up."""
    whole: Snapshot = {}
    for part in parts:
        for kind, families in part.items():
            whole[kind] = {**whole.get(kind, {}), **families}
    return whole


def _add_counts(sums: dict[tuple[str, ...], int], series: list[Any]) -> None:
    for labels, count in series:
        key = tuple(labels)
        sums[key] = sums.get(key, 0) + count


def _choose(choice: Callable[[float, float], float], chosen: dict[tuple[str, ...], float], series: list[Any]) -> None:
    for labels, value in series:
        key = tuple(labels)
        chosen[key] = choice(chosen.get(key, value), value)


def _choose_latest(latest: dict[tuple[str, ...], list[Any]], series: list[Any]) -> None:
    for exemplar in series:
        labels, bucket, *_, at = exemplar
        key = (*labels, str(bucket))
        if key not in latest or latest[key][-1] < at:
            latest[key] = exemplar


def _series(by_name: Mapping[str, Mapping[tuple[str, ...], float]]) -> dict[str, list[list[Any]]]:
    return {name: [[list(key), value] for key, value in values.items()] for name, values in by_name.items()}


def _add_observations(sums: dict[tuple[str, ...], tuple[list[int], float]], series: list[Any]) -> None:
    for labels, counts, total in series:
        key = tuple(labels)
        so_far, sum_so_far = sums.get(key, ([0] * len(counts), 0.0))
        # Strict: otherwise buckets that differ would silently be added to the wrong bounds.
        sums[key] = ([a + b for a, b in zip(so_far, counts, strict=True)], sum_so_far + total)
