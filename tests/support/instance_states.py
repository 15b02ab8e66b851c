"""States that an instance can be in, as its workers tell of them: for `GET /status` and for the page."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from support.exchanges import exchange

from gateway.admin.status import About
from gateway.observe.metrics import Metrics
from gateway.observe.up_states import UpStates
from gateway.workers.instance import Readiness

NOW = 1_800_000_000.0
DAY_S = 86_400.0
ROUTES = (
    {
        "name": "orders",
        "match": {"host": "api.example.com", "path": "/orders/**", "methods": ["GET", "POST"]},
        "auth": {"mode": "required", "scopes": ["orders:read"], "audience": ["orders-api"]},
    },
    {"name": "public", "match": {"path": "/public/**"}, "auth": {"mode": "none"}},
)


ABOUT = About("/etc/gateway/gateway.yaml", "compiled", workers=2, cache_entries_max=100_000, has_admin_token=True)
CHECKS = {"workers": "2/2", "providers": {"sso": "ready"}, "breakers": {"sso": "closed"}, "redis": "shared"}
READY = Readiness(ready=True, checks=CHECKS)


@dataclass(frozen=True)
class InstanceState:
    about: About = ABOUT
    readiness: Readiness = READY
    backends: dict[tuple[str, str], bool] = field(
        default_factory=lambda: {
            ("orders", "http://orders-1:8000"): True,
            ("orders", "http://orders-2:8000"): True,
            ("public", "http://site:8000"): True,
        }
    )
    certificates: dict[str, float] = field(default_factory=lambda: {"server.tls.certificate": NOW + 60 * DAY_S})
    workers: tuple[dict[str, Any], ...] = tuple(
        {"pid": pid, "serving": True, "snapshot": {"gauges": {"process_resident_memory_bytes": 80 * 2**20}}}
        for pid in (41, 42)
    )
    requests: int = 0
    failures: int = 0

    def snapshot(self) -> dict[str, Any]:
        metrics = Metrics()
        metrics.declare(["orders", "public"], ["sso"])
        for number in range(self.requests):
            status = 502 if number < self.failures else 200
            metrics.finished(exchange(route="orders", status=status, duration_s=0.002 * (1 + number % 20)))
            metrics.looked_up("local", "miss" if number % 50 == 0 else "hit")
        is_up = self.readiness.checks["breakers"]["sso"] == "closed"
        metrics.introspected("sso", "active" if is_up else "unclear", 0.02)
        found = metrics.snapshot()
        up = UpStates(
            self.readiness.ready, {"sso": is_up}, self.readiness.checks["redis"] == "shared", 81_204
        ).snapshot()
        found["gauges"] |= up["gauges"]
        found["counters"]["gateway_backend_requests_total"] = [
            [[*key, outcome], 10] for key in self.backends for outcome in ("answered", "connect_failed")
        ]
        found["counters"]["gateway_worker_restarts_total"] = [[[], 1]]
        found["states"]["gateway_config_last_reload_seconds"] = [[[], NOW - 3600]]
        found["least"] = {
            **up["least"],
            "gateway_backend_up": [[list(key), int(is_up)] for key, is_up in self.backends.items()],
            "gateway_certificate_expiry_seconds": [[[where], at] for where, at in self.certificates.items()],
        }
        return found


def with_checks(state: InstanceState, **checks: Any) -> InstanceState:
    told = state.readiness
    return replace(state, readiness=Readiness(told.ready, told.reasons, {**told.checks, **checks}))


QUIET = InstanceState()
PROVIDER_DOWN = with_checks(
    QUIET,
    breakers={"sso": "open"},
    provider_reasons={"sso": "it refused the gateway's own call with status 401; check client_id and client_secret"},
)
REDIS_AWAY = with_checks(QUIET, redis="away", redis_reason="WRONGPASS invalid username-password pair")
BACKEND_OUT = replace(QUIET, backends={**QUIET.backends, ("orders", "http://orders-2:8000"): False})
UNDER_LOAD = replace(QUIET, requests=4000, failures=200)
# In each state: the word beside the title, and what is wrong first.
SHOWN_FIRST = {
    "quiet": ("all is well", "Nothing is wrong."),
    "provider down": ("something is wrong", "provider sso is not asked: its breaker is open"),
    "redis away": ("with warnings", "Redis is away: nothing is shared with the fleet"),
    "backend out": ("with warnings", "route orders: a backend is out"),
    "under load": ("all is well", "Nothing is wrong."),
}
STATES = {
    "quiet": QUIET,
    "provider down": PROVIDER_DOWN,
    "redis away": REDIS_AWAY,
    "backend out": BACKEND_OUT,
    "under load": UNDER_LOAD,
}
