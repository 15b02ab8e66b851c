"""Renders a snapshot in Prometheus' text format, with prometheus_client and a registry for each scrape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway import __version__
from gateway.observe.families import BOUNDS_S, BUILD_INFO, FAMILIES, Family

CONTENT_TYPE = CONTENT_TYPE_LATEST
_UPPER_BOUNDS = (*(str(bound) for bound in BOUNDS_S), "+Inf")


def exposition(snapshot: Mapping[str, Any]) -> bytes:
    """The text of one scrape. Call it in a thread: thousands of series take a while."""
    registry = CollectorRegistry()
    registry.register(_SnapshotCollector(snapshot))
    return generate_latest(registry)


class _SnapshotCollector(Collector):
    def __init__(self, snapshot: Mapping[str, Any]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            match family.kind:
                case "counter":
                    yield _counter(family, self._snapshot.get("counters", {}).get(family.name, ()))
                case "histogram":
                    yield _histogram(family, self._snapshot.get("histograms", {}).get(family.name, ()))
                case "gauge":
                    yield _gauge(family, self._snapshot)


def _counter(family: Family, series: Iterable[Any]) -> Metric:
    metric = CounterMetricFamily(family.name, family.meaning, labels=family.labels)
    for labels, count in sorted(series):
        metric.add_metric(labels, count)
    return metric


def _histogram(family: Family, series: Iterable[Any]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.meaning, labels=family.labels)
    for labels, counts, total in sorted(series):
        metric.add_metric(labels, list(zip(_UPPER_BOUNDS, accumulate(counts), strict=True)), total)
    return metric


def _gauge(family: Family, snapshot: Mapping[str, Any]) -> Metric:
    metric = GaugeMetricFamily(family.name, family.meaning, labels=family.labels)
    if family is BUILD_INFO:  # said once for the instance, not added up over its workers
        metric.add_metric([__version__], 1)
    elif family.labels:
        for labels, value in sorted(snapshot.get("states", {}).get(family.name, ())):
            metric.add_metric(labels, value)
    else:
        metric.add_metric([], snapshot.get("gauges", {}).get(family.name, 0))
    return metric
