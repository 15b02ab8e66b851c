"""Renders a snapshot in Prometheus' text format or in OpenMetrics, with prometheus_client and a registry a scrape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from gateway import __version__
from gateway.observe.families import BOUNDS_S, BUILD_INFO, FAMILIES, Family

CONTENT_TYPE = CONTENT_TYPE_LATEST
_openmetrics, OPENMETRICS_CONTENT_TYPE = choose_encoder("application/openmetrics-text")
_PARTS = {"highest": "states", "lowest": "least"}
_OPENMETRICS = re.compile(r"application/openmetrics-text\s*(?:;(.*))?", re.IGNORECASE)
_REFUSED = re.compile(r"q\s*=\s*0(?:\.0*)?", re.IGNORECASE)
_UPPER_BOUNDS = (*(str(bound) for bound in BOUNDS_S), "+Inf")


def wants_openmetrics(accept: str) -> bool:
    """Whether this `Accept` names OpenMetrics, and not with `q=0`. Prometheus prefers it where it asks for both."""
    for part in accept.split(","):
        if named := _OPENMETRICS.fullmatch(part.strip()):
            return not any(_REFUSED.fullmatch(one.strip()) for one in (named[1] or "").split(";"))
    return False


def exposition(snapshot: Mapping[str, Any], *, is_openmetrics: bool = False) -> bytes:
    """The text of one scrape. Call it in a thread: thousands of series take a while."""
    registry = CollectorRegistry()
    registry.register(_SnapshotCollector(snapshot))
    text: bytes = _openmetrics(registry) if is_openmetrics else generate_latest(registry)
    return text


class _SnapshotCollector(Collector):
    def __init__(self, snapshot: Mapping[str, Any]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            match family.kind:
                case "counter":
                    yield _counter(family, self._snapshot.get("counters", {}).get(family.name, ()))
                case "histogram":
                    yield _histogram(
                        family,
                        self._snapshot.get("histograms", {}).get(family.name, ()),
                        self._snapshot.get("exemplars", {}).get(family.name, ()),
                    )
                case "gauge":
                    yield _gauge(family, self._snapshot)


def _counter(family: Family, series: Iterable[Any]) -> Metric:
    metric = CounterMetricFamily(family.name, family.meaning, labels=family.labels)
    for labels, count in sorted(series):
        metric.add_metric(labels, count)
    return metric


def _histogram(family: Family, series: Iterable[Any], exemplars: Iterable[Any]) -> Metric:
    """Only OpenMetrics writes the exemplars."""
    metric = HistogramMetricFamily(family.name, family.meaning, labels=family.labels)
    traced = {
        (*labels, bucket): Exemplar({"trace_id": trace_id}, value, at)
        for labels, bucket, trace_id, value, at in exemplars
    }
    for labels, counts, total in sorted(series):
        buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
        for place, (bound, so_far) in enumerate(zip(_UPPER_BOUNDS, accumulate(counts), strict=True)):
            exemplar = traced.get((*labels, place))
            buckets.append((bound, so_far) if exemplar is None else (bound, so_far, exemplar))
        metric.add_metric(labels, buckets, total)
    return metric


def _gauge(family: Family, snapshot: Mapping[str, Any]) -> Metric:
    metric = GaugeMetricFamily(family.name, family.meaning, labels=family.labels)
    if family is BUILD_INFO:  # said once for the instance, not added up over its workers
        metric.add_metric([__version__], 1)
    elif family.across == "sum":
        metric.add_metric([], snapshot.get("gauges", {}).get(family.name, 0))
    else:
        for labels, value in sorted(snapshot.get(_PARTS[family.across], {}).get(family.name, ())):
            metric.add_metric(labels, value)
    return metric
