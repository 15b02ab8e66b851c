"""The metric families: names, labels and meaning. Dashboards and alerts rely on them.

Labels come from the configuration or from a closed list of words, never from a client. A client that could choose a
label value could fill the memory of every Prometheus that scrapes the gateway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str


REQUESTS = Family("gateway_requests_total", "counter", ("route", "method", "status"), "Requests answered.")
REQUEST_DURATION = Family(
    "gateway_request_duration_seconds", "histogram", ("route",), "From the request's head to the response's last byte."
)
BACKEND_DURATION = Family(
    "gateway_backend_duration_seconds", "histogram", ("route",), "From sending to a backend to its response headers."
)
REFUSALS = Family("gateway_refusals_total", "counter", ("route", "code"), "Responses of the gateway itself.")
INTROSPECTIONS = Family(
    "gateway_introspections_total", "counter", ("provider", "outcome"), "Introspection calls to identity providers."
)
INTROSPECTION_DURATION = Family(
    "gateway_introspection_duration_seconds", "histogram", ("provider",), "Duration of introspection calls."
)
BREAKER_STATE = Family(
    "gateway_provider_breaker_state", "gauge", ("provider",), "0 closed, 1 half open, 2 open; the worst of all workers."
)
BREAKER_TRANSITIONS = Family(
    "gateway_provider_breaker_transitions_total", "counter", ("provider", "state"), "Changes of a breaker to a state."
)
STALE_ANSWERS = Family(
    "gateway_stale_answers_total", "counter", ("route",), "Requests decided by facts that were no longer fresh."
)
CACHE_LOOKUPS = Family("gateway_cache_lookups_total", "counter", ("tier", "result"), "Lookups of a token's facts.")
LEASES = Family("gateway_leases_total", "counter", ("outcome",), "Leases to ask a provider for the whole fleet.")
REFRESHES = Family(
    "gateway_refreshes_total", "counter", ("outcome",), "Results that were due to be refreshed ahead of their end."
)
CONFIG_RELOADS = Family("gateway_config_reloads_total", "counter", ("result",), "Reloads of the configuration.")
SECURITY_EVENTS = Family(
    "gateway_security_events_total", "counter", ("provider", "event", "outcome"), "Events that providers sent."
)
REQUESTS_IN_FLIGHT = Family("gateway_requests_in_flight", "gauge", (), "Requests being answered now.")
CONNECTIONS = Family("gateway_connections", "gauge", (), "Client connections open now.")
BUILD_INFO = Family("gateway_build_info", "gauge", ("version",), "Always 1; the label says what runs.")

FAMILIES = (
    REQUESTS,
    REQUEST_DURATION,
    BACKEND_DURATION,
    REFUSALS,
    INTROSPECTIONS,
    INTROSPECTION_DURATION,
    BREAKER_STATE,
    BREAKER_TRANSITIONS,
    STALE_ANSWERS,
    CACHE_LOOKUPS,
    LEASES,
    REFRESHES,
    CONFIG_RELOADS,
    SECURITY_EVENTS,
    REQUESTS_IN_FLIGHT,
    CONNECTIONS,
    BUILD_INFO,
)
NAMES = tuple(family.name for family in FAMILIES)

# Upper bounds in seconds: from an in-process hit (a millisecond) to the default `timeout` of a route (30 s).
BOUNDS_S: Final[tuple[float, ...]] = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)
