"""Counts what one worker does, in plain integers: a labelled `.observe()` per request would cost more than the routing.

How this works:

- `declare` begins every series of the configuration at 0, so that the first event is an increase.
- The data path calls `finished`, `introspected`, `looked_up` and the like. They await and lock nothing, and
  allocate nothing per request beyond a key.
- `snapshot` gives all counts as JSON. The supervisor sums the snapshots of several workers
  (`gateway.observe.snapshots`), and `gateway.observe.exposition` turns the sum into Prometheus families at a scrape.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final, Literal, TypeVar, get_args

from gateway.events.security_event import INVALIDATING, EventName
from gateway.events.verdict import NOBODY, Outcome
from gateway.grants.grant_request import Kind
from gateway.http.refusal import STATUS_OF_CODE
from gateway.observe.families import (
    BACKEND_DURATION,
    BOUNDS_S,
    BREAKER_STATE,
    BREAKER_TRANSITIONS,
    CACHE_LOOKUPS,
    CONFIG_RELOADS,
    CONNECTIONS,
    INTROSPECTION_DURATION,
    INTROSPECTIONS,
    LEASES,
    REFRESHES,
    REFUSALS,
    REQUEST_DURATION,
    REQUESTS,
    REQUESTS_IN_FLIGHT,
    SECURITY_EVENTS,
    STALE_ANSWERS,
)
from gateway.observe.grant_counts import GrantCounts
from gateway.observe.snapshots import Snapshot
from gateway.obtaining.grant_runner import GrantOutcome
from gateway.proxy.access_record import NO_ROUTE, AccessRecord

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})
# nginx's number for a client that left before it had a response; operators know it.
CLIENT_LEFT: Final = 499

_Key = TypeVar("_Key")

_TIERS = ("local", "redis")
_BREAKER_STATES = ("closed", "half_open", "open")  # the gauge shows the place in this order
_RESULTS = ("hit", "miss", "error")
_LOCAL_HIT: Final = ("local", "hit")
_OUTCOMES = ("active", "inactive", "unclear")
_LEASE_OUTCOMES = ("held", "waited", "lost", "unavailable")
_REFRESH_OUTCOMES = ("asked", "shared", "failed", "skipped")
_EVICTING_OUTCOMES: tuple[Outcome, ...] = ("evicted", "unmatched", "replayed", "refused", "unclear")
_OTHER_OUTCOMES: tuple[Outcome, ...] = ("acknowledged", "replayed")
_NOBODYS_OUTCOMES: tuple[Outcome, ...] = ("refused", "unclear", "turned_away")
# `increase()` does not see a series that begins at 1. Statuses are not a closed list, so a scrape shows these at 0
# from the first request to a route by a method.
_ALARMING_STATUSES = (500, 502, 503, 504)
# Each declared route costs a scrape about 60 lines; beyond this many, a route's series begin with its first request.
_DECLARED_ROUTES_MAX = 200


class _Histogram:
    """Counts per bucket (not cumulative; the last one has no upper bound) and the sum of what was observed."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(BOUNDS_S, value)] += 1
        self.total += value


class _Row:
    """Counts the requests to one route with one method and status; the histograms are the route's."""

    __slots__ = ("backend_durations", "durations", "requests")

    def __init__(self, durations: _Histogram) -> None:
        self.requests = 0
        self.durations = durations
        self.backend_durations: _Histogram | None = None  # once a backend was asked


class Metrics:
    """The counters of one process. The listener keeps `requests_in_flight` and `connections` itself."""

    __slots__ = (
        "_backend_durations",
        "_breaker_changes",
        "_breakers",
        "_events",
        "_grants",
        "_introspection_durations",
        "_introspections",
        "_leases",
        "_local_hits",
        "_lookups",
        "_refreshes",
        "_refusals",
        "_reloads",
        "_request_durations",
        "_requests",
        "_stale_answers",
        "connections",
        "requests_in_flight",
    )

    def __init__(self) -> None:
        self.requests_in_flight = 0
        self.connections = 0
        self._requests: dict[tuple[str, str, int], _Row] = {}
        self._refusals: dict[tuple[str, str], int] = {}
        self._introspections: dict[tuple[str, str], int] = {}
        self._lookups: dict[tuple[str, str], int] = {}
        self._local_hits = 0  # since the last snapshot
        self._leases: dict[str, int] = {}
        self._refreshes: dict[str, int] = {}
        self._breakers: dict[str, int] = {}
        self._grants = GrantCounts()
        self._breaker_changes: dict[tuple[str, str], int] = {}
        self._stale_answers: dict[str, int] = {}
        self._reloads: dict[str, int] = {}
        self._events: dict[tuple[str, str, str], int] = {}
        self._request_durations: dict[str, _Histogram] = {}
        self._backend_durations: dict[str, _Histogram] = {}
        self._introspection_durations: dict[str, _Histogram] = {}

    def declare(self, routes: Iterable[str], providers: Iterable[str], transmitters: Iterable[str] = ()) -> None:
        """Begin the series of these names at 0, so that the first event is an increase. Existing counts stay.

        `transmitters` are the providers whose security events the gateway receives.
        """
        names, providers = list(routes), list(providers)
        for route in [*names, NO_ROUTE] if len(names) <= _DECLARED_ROUTES_MAX else [NO_ROUTE]:
            _histogram(self._request_durations, route)
            _begin(self._refusals, ((route, code) for code in STATUS_OF_CODE))
            if route != NO_ROUTE:
                _histogram(self._backend_durations, route)
                _begin(self._stale_answers, (route,))
        for provider in providers:
            _histogram(self._introspection_durations, provider)
            _begin(self._introspections, ((provider, outcome) for outcome in _OUTCOMES))
            _begin(self._breakers, (provider,))
            _begin(self._breaker_changes, ((provider, state) for state in _BREAKER_STATES))
        self._grants.declare(providers)
        for provider in self._breakers.keys() - set(providers):
            del self._breakers[provider]  # the state of a removed provider would raise an alarm for ever
        self._declare_events(list(transmitters))
        _begin(self._lookups, ((tier, result) for tier in _TIERS for result in _RESULTS))
        _begin(self._leases, _LEASE_OUTCOMES)
        _begin(self._refreshes, _REFRESH_OUTCOMES)
        _begin(self._reloads, ("success", "failure"))

    def _declare_events(self, transmitters: list[str]) -> None:
        for event in get_args(EventName):
            outcomes = _EVICTING_OUTCOMES if event in INVALIDATING else _OTHER_OUTCOMES
            _begin(
                self._events, ((transmitter, event, outcome) for transmitter in transmitters for outcome in outcomes)
            )
        if transmitters:
            _begin(self._events, ((NOBODY, "other", outcome) for outcome in _NOBODYS_OUTCOMES))

    def finished(self, record: AccessRecord) -> None:
        """Count an exchange that has ended, in whatever way."""
        route, method, status = record.route, record.method, record.status or CLIENT_LEFT
        if method not in METHODS:
            method = "other"
        row = self._requests.get((route, method, status))
        if row is None:
            row = self._new_row(route, method, status)
        row.requests += 1
        durations, duration_s = row.durations, record.duration_s if record.head_s is None else record.head_s
        durations.counts[bisect_left(BOUNDS_S, duration_s)] += 1
        durations.total += duration_s
        backend_s = record.backend_s
        if backend_s is not None:
            asked = row.backend_durations
            if asked is None:
                asked = row.backend_durations = _histogram(self._backend_durations, route)
            asked.counts[bisect_left(BOUNDS_S, backend_s)] += 1
            asked.total += backend_s
        if record.code is not None:
            _count(self._refusals, (route, record.code))
        if record.stale_s is not None:
            _count(self._stale_answers, route)

    def _new_row(self, route: str, method: str, status: int) -> _Row:
        row = self._requests[route, method, status] = _Row(_histogram(self._request_durations, route))
        return row

    def _requests_shown(self) -> list[object]:
        """All counts of requests, and at 0 those of the alarming statuses that have not come."""
        requests = self._requests
        shown: list[object] = [
            [[route, method, str(status)], row.requests] for (route, method, status), row in requests.items()
        ]
        for route, method in dict.fromkeys((route, method) for route, method, _ in requests):
            shown += [
                [[route, method, str(each)], 0] for each in _ALARMING_STATUSES if (route, method, each) not in requests
            ]
        return shown

    def introspected(self, provider: str, outcome: Literal["active", "inactive", "unclear"], duration_s: float) -> None:
        """Count one call to a provider's introspection endpoint."""
        _count(self._introspections, (provider, outcome))
        _histogram(self._introspection_durations, provider).observe(duration_s)

    def grant_ended(self, kind: Kind, provider: str, outcome: GrantOutcome) -> None:
        """Count one grant at a provider's token endpoint, a call of its own or one that was not made."""
        self._grants.count(kind, provider, outcome)

    def breaker_changed(self, provider: str, state: Literal["closed", "half_open", "open"]) -> None:
        """Follow a provider's breaker. A repeated state changes nothing."""
        now, before = _BREAKER_STATES.index(state), self._breakers.get(provider, 0)
        self._breakers[provider] = now
        if now != before:
            _count(self._breaker_changes, (provider, state))

    def found_at_once(self) -> None:
        """Count one lookup that the local tier answered."""
        self._local_hits += 1

    def looked_up(self, tier: Literal["local", "redis"], result: Literal["hit", "miss", "error"]) -> None:
        """Count one lookup of a token's facts in one tier."""
        lookups, key = self._lookups, (tier, result)
        lookups[key] = lookups.get(key, 0) + 1

    def leased(self, outcome: Literal["held", "waited", "lost", "unavailable"]) -> None:
        """Count one lease: held, waited for, and so on. `lost` is counted in addition to `held`."""
        _count(self._leases, outcome)

    def refreshed(self, outcome: Literal["asked", "shared", "failed", "skipped"]) -> None:
        """Count one result that was due to be refreshed ahead of its end."""
        _count(self._refreshes, outcome)

    def reloaded(self, result: Literal["success", "failure"]) -> None:
        """Count one reload, in the process that decides on it."""
        _count(self._reloads, result)

    def event_received(self, provider: str, event: EventName, outcome: Outcome) -> None:
        """Count one event of a provider; `none` where the sender is not known."""
        _count(self._events, (provider, event, outcome))

    def snapshot(self) -> Snapshot:
        """All counts as JSON-able values, in the form that `merge` and `exposition` take."""
        if self._local_hits:
            hits, self._local_hits = self._local_hits, 0
            self._lookups[_LOCAL_HIT] = self._lookups.get(_LOCAL_HIT, 0) + hits
        return {
            "counters": {
                REQUESTS.name: self._requests_shown(),
                REFUSALS.name: [[list(key), n] for key, n in self._refusals.items()],
                INTROSPECTIONS.name: [[list(key), n] for key, n in self._introspections.items()],
                CACHE_LOOKUPS.name: [[list(key), n] for key, n in self._lookups.items()],
                LEASES.name: [[[outcome], n] for outcome, n in self._leases.items()],
                REFRESHES.name: [[[outcome], n] for outcome, n in self._refreshes.items()],
                BREAKER_TRANSITIONS.name: [[list(key), n] for key, n in self._breaker_changes.items()],
                STALE_ANSWERS.name: [[[route], n] for route, n in self._stale_answers.items()],
                CONFIG_RELOADS.name: [[[result], n] for result, n in self._reloads.items()],
                **self._grants.counters(),
                SECURITY_EVENTS.name: [[list(key), n] for key, n in self._events.items()],
            },
            "histograms": {
                REQUEST_DURATION.name: _rows(self._request_durations),
                BACKEND_DURATION.name: _rows(self._backend_durations),
                INTROSPECTION_DURATION.name: _rows(self._introspection_durations),
            },
            "states": {BREAKER_STATE.name: [[[provider], state] for provider, state in self._breakers.items()]},
            "gauges": {REQUESTS_IN_FLIGHT.name: self.requests_in_flight, CONNECTIONS.name: self.connections},
        }


def _count(counts: dict[_Key, int], key: _Key) -> None:
    counts[key] = counts.get(key, 0) + 1


def _begin(counts: dict[_Key, int], keys: Iterable[_Key]) -> None:
    for key in keys:
        counts.setdefault(key, 0)


def _histogram(histograms: dict[str, _Histogram], label: str) -> _Histogram:
    found = histograms.get(label)
    if found is None:
        found = histograms[label] = _Histogram()
    return found


def _rows(histograms: dict[str, _Histogram]) -> list[object]:
    return [[[label], list(one.counts), one.total] for label, one in histograms.items()]
