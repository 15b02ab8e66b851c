"""Puts together what `GET /status` tells and the page shows: how the instance is, without any secret.

It is pure: the counts of all workers, their readiness and the described routes go in, and JSON comes out. Counts are
since the start; whoever reads twice makes rates of them. Durations come as buckets, so that a reader can make
quantiles of the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gateway
from gateway.admin.alarms import alarms
from gateway.observe import families as of
from gateway.observe.families import BOUNDS_S, Family
from gateway.workers.instance import Readiness

Snapshot = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class About:
    """Says what the counts do not: the file, the build, and what the configuration allows."""

    file: str = ""
    form: str = ""
    workers: int = 1
    cache_entries_max: int = 0
    has_admin_token: bool = False
    reload_failure: Mapping[str, Any] | None = None  # `at`, Unix time, and `reason`, of the last reload if refused


def status(
    about: About,
    snapshot: Snapshot,
    readiness: Readiness,
    routes: Sequence[Mapping[str, Any]],
    workers: Sequence[Mapping[str, Any]],
    now: float,
) -> dict[str, Any]:
    """The whole document. `now` is Unix time; `alarms` in it comes first for readers: what is wrong, worst first."""
    found = {
        "version": gateway.__version__,
        "form": about.form,
        "now": now,
        "ready": readiness.ready,
        "reasons": list(readiness.reasons),
        "requests_in_flight": snapshot.get("gauges", {}).get(of.REQUESTS_IN_FLIGHT.name, 0),
        "connections": snapshot.get("gauges", {}).get(of.CONNECTIONS.name, 0),
        "bounds_s": list(BOUNDS_S),
        "configuration": _configuration(about, snapshot),
        "workers": _workers(about, snapshot, workers),
        "providers": _providers(snapshot, readiness),
        "cache": _cache(about, snapshot, readiness),
        "routes": _routes(snapshot, routes),
        "certificates": [
            {"where": where, "ends_at": ends_at} for (where,), ends_at in _series(snapshot, of.CERTIFICATE_EXPIRY)
        ],
        "has_admin_token": about.has_admin_token,
    }
    return {"alarms": [one.as_json() for one in alarms(found)], **found}


def _configuration(about: About, snapshot: Snapshot) -> dict[str, Any]:
    return {
        "file": about.file,
        "loaded_at": next((at for _, at in _series(snapshot, of.LAST_RELOAD)), None),
        "reloads": {result: n for (result,), n in _series(snapshot, of.CONFIG_RELOADS)},
        "reload_failure": None if about.reload_failure is None else dict(about.reload_failure),
    }


def _workers(about: About, snapshot: Snapshot, workers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "wanted": about.workers,
        "serving": sum(bool(one["serving"]) for one in workers),
        "restarts": next((n for _, n in _series(snapshot, of.WORKER_RESTARTS)), 0),
        "each": [_worker(one) for one in workers],
    }


def _worker(one: Mapping[str, Any]) -> dict[str, Any]:
    told: Snapshot = one["snapshot"]
    return {
        "pid": one["pid"],
        "serving": one["serving"],
        "memory_bytes": told.get("gauges", {}).get(of.PROCESS_MEMORY.name),
        "cpu_s": next((n for _, n in _series(told, of.PROCESS_CPU)), None),
        "started_at": next((at for _, at in _series(told, of.PROCESS_START)), None),
        "requests_in_flight": told.get("gauges", {}).get(of.REQUESTS_IN_FLIGHT.name, 0),
        "connections": told.get("gauges", {}).get(of.CONNECTIONS.name, 0),
    }


def _providers(snapshot: Snapshot, readiness: Readiness) -> list[dict[str, Any]]:
    checks = readiness.checks
    asked, durations = _by_first(snapshot, of.INTROSPECTIONS), _durations(snapshot, of.INTROSPECTION_DURATION)
    up = {name: bool(value) for (name,), value in _series(snapshot, of.PROVIDER_UP)}
    return [
        {
            "name": name,
            "discovery": discovery,
            "breaker": checks.get("breakers", {}).get(name, "closed"),
            "up": up.get(name, False),
            "reason": checks.get("provider_reasons", {}).get(name, ""),
            "introspections": {key[0]: n for key, n in asked.get(name, {}).items()},
            "durations": durations.get(name, []),
        }
        for name, discovery in checks.get("providers", {}).items()
    ]


def _cache(about: About, snapshot: Snapshot, readiness: Readiness) -> dict[str, Any]:
    lookups = _by_first(snapshot, of.CACHE_LOOKUPS)
    return {
        "entries": snapshot.get("gauges", {}).get(of.CACHE_ENTRIES.name, 0),
        "entries_max": about.cache_entries_max * about.workers,
        "lookups": {tier: {key[0]: n for key, n in results.items()} for tier, results in lookups.items()},
        "redis": readiness.checks.get("redis", "not configured"),
        "redis_reason": readiness.checks.get("redis_reason", ""),
    }


def _routes(snapshot: Snapshot, routes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    requests, refusals = _by_first(snapshot, of.REQUESTS), _by_first(snapshot, of.REFUSALS)
    durations = _durations(snapshot, of.REQUEST_DURATION)
    sent, up = _by_first(snapshot, of.BACKEND_REQUESTS), _by_first(snapshot, of.BACKEND_UP)
    return [
        {
            "name": route["name"],
            "match": route.get("match", {}),
            "auth": route.get("auth", {}),
            "requests": _by_status(requests.get(route["name"], {})),
            "refusals": {key[0]: n for key, n in refusals.get(route["name"], {}).items() if n},
            "durations": durations.get(route["name"], []),
            "backends": _backends(sent.get(route["name"], {}), up.get(route["name"], {})),
        }
        for route in routes
    ]


def _by_status(counted: Mapping[tuple[str, ...], float]) -> dict[str, float]:
    found: dict[str, float] = {}
    for (_, code), n in counted.items():
        if n:
            found[code] = found.get(code, 0) + n
    return found


def _backends(sent: Mapping[tuple[str, ...], float], up: Mapping[tuple[str, ...], float]) -> list[dict[str, Any]]:
    """Only those in force: of the others it is not shown whether they are up."""
    return [
        {
            "backend": backend,
            "up": bool(is_up),
            "outcomes": {outcome: n for (name, outcome), n in sent.items() if name == backend},
        }
        for (backend,), is_up in up.items()
    ]


def _series(snapshot: Snapshot, family: Family) -> list[tuple[tuple[str, ...], Any]]:
    for kind in ("counters", "states", "least"):
        if family.name in snapshot.get(kind, {}):
            return [(tuple(labels), value) for labels, value in snapshot[kind][family.name]]
    return []


def _by_first(snapshot: Snapshot, family: Family) -> dict[str, dict[tuple[str, ...], Any]]:
    """The series by their first label: a route's, a provider's or a tier's."""
    found: dict[str, dict[tuple[str, ...], Any]] = {}
    for (first, *rest), value in _series(snapshot, family):
        found.setdefault(first, {})[tuple(rest)] = value
    return found


def _durations(snapshot: Snapshot, family: Family) -> dict[str, list[int]]:
    """Counts per bucket of `bounds_s`, and one beyond; left out where nothing was counted."""
    rows = snapshot.get("histograms", {}).get(family.name, [])
    return {label: list(counts) for (label, *_), counts, *_ in rows if any(counts)}
