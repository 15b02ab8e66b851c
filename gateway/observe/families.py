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
    across: Literal["sum", "highest", "lowest"] = "sum"  # how the values of several workers make the instance's


REQUESTS = Family("gateway_requests_total", "counter", ("route", "method", "status"), "Requests answered.")
REQUEST_DURATION = Family(
    "gateway_request_duration_seconds",
    "histogram",
    ("route",),
    "From the request's head to the response's last byte; of upgrades and event streams, to its head.",
)
BACKEND_DURATION = Family(
    "gateway_backend_duration_seconds", "histogram", ("route",), "From sending to a backend to its response headers."
)
BACKEND_REQUESTS = Family(
    "gateway_backend_requests_total", "counter", ("route", "backend", "outcome"), "Requests sent to a backend."
)
BACKEND_UP = Family(
    "gateway_backend_up",
    "gauge",
    ("route", "backend"),
    "0 where a worker's requests or the health questions have failed in a row, and nothing good came since.",
    across="lowest",
)
REFUSALS = Family("gateway_refusals_total", "counter", ("route", "code"), "Responses of the gateway itself.")
INTROSPECTIONS = Family(
    "gateway_introspections_total", "counter", ("provider", "outcome"), "Introspection calls to identity providers."
)
INTROSPECTION_DURATION = Family(
    "gateway_introspection_duration_seconds", "histogram", ("provider",), "Duration of introspection calls."
)
EXCHANGES = Family(
    "gateway_exchanges_total",
    "counter",
    ("provider", "outcome"),
    "Exchanges of callers' tokens (RFC 8693).",
)
PERMISSION_QUESTIONS = Family(
    "gateway_permission_questions_total",
    "counter",
    ("provider", "outcome"),
    "Permissions that were asked about.",
)
CLIENT_TOKENS = Family(
    "gateway_client_tokens_total",
    "counter",
    ("provider", "outcome"),
    "Tokens of the gateway's own client.",
)
BREAKER_STATE = Family(
    "gateway_provider_breaker_state",
    "gauge",
    ("provider",),
    "0 closed, 1 half open, 2 open; the worst of all workers.",
    across="highest",
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
READY = Family("gateway_ready", "gauge", (), "1 where every worker is ready; see /health/ready.", across="lowest")
PROVIDER_UP = Family(
    "gateway_provider_up",
    "gauge",
    ("provider",),
    "1 where every worker has discovered it, with each of its realms, its breaker is closed and its keys are there.",
    across="lowest",
)
REDIS_UP = Family("gateway_redis_up", "gauge", (), "1 where every worker shares facts in Redis.", across="lowest")
LIMIT_REQUESTS = Family(
    "gateway_limit_requests_total", "counter", ("limit", "outcome"), "Requests within a limit, and those over it."
)
LIMITS_ALONE = Family(
    "gateway_limits_alone",
    "gauge",
    (),
    "1 where there are limits and a worker counts for itself: no Redis, or it is away.",
    across="highest",
)
CACHE_ENTRIES = Family("gateway_cache_entries", "gauge", (), "Tokens that the workers remember, in sum.")
CERTIFICATE_EXPIRY = Family(
    "gateway_certificate_expiry_seconds",
    "gauge",
    ("where",),
    "Unix time at which the first certificate of this file ends.",
    across="lowest",
)
LAST_RELOAD = Family(
    "gateway_config_last_reload_seconds",
    "gauge",
    (),
    "Unix time at which the configuration in force was taken.",
    across="highest",
)
WORKER_RESTARTS = Family("gateway_worker_restarts_total", "counter", (), "Workers that died and were replaced.")
LOG_LINES_DROPPED = Family(
    "gateway_log_lines_dropped_total", "counter", (), "Lines of the log that nobody read, or that could not be written."
)
PROCESS_CPU = Family("process_cpu_seconds_total", "counter", (), "CPU time of all processes, in user and system mode.")
PROCESS_MEMORY = Family("process_resident_memory_bytes", "gauge", (), "Resident memory of all processes.")
PROCESS_FDS = Family("process_open_fds", "gauge", (), "Open file descriptors of all processes.")
PROCESS_FDS_MAX = Family("process_max_fds", "gauge", (), "File descriptors that all processes may open.")
PROCESS_START = Family(
    "process_start_time_seconds", "gauge", (), "Unix time at which the first process started.", across="lowest"
)
BUILD_INFO = Family("gateway_build_info", "gauge", ("version",), "Always 1; the label says what runs.")

FAMILIES = (
    REQUESTS,
    REQUEST_DURATION,
    BACKEND_DURATION,
    BACKEND_REQUESTS,
    BACKEND_UP,
    REFUSALS,
    INTROSPECTIONS,
    INTROSPECTION_DURATION,
    EXCHANGES,
    PERMISSION_QUESTIONS,
    CLIENT_TOKENS,
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
    READY,
    PROVIDER_UP,
    REDIS_UP,
    CACHE_ENTRIES,
    LIMIT_REQUESTS,
    LIMITS_ALONE,
    CERTIFICATE_EXPIRY,
    LAST_RELOAD,
    WORKER_RESTARTS,
    LOG_LINES_DROPPED,
    PROCESS_CPU,
    PROCESS_MEMORY,
    PROCESS_FDS,
    PROCESS_FDS_MAX,
    PROCESS_START,
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
