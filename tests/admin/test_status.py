import json
from dataclasses import replace

import pytest
from support.exchanges import exchange
from support.instance_states import (
    BACKEND_OUT,
    DAY_S,
    NOW,
    PROVIDER_DOWN,
    QUIET,
    REDIS_AWAY,
    ROUTES,
    STATES,
    UNDER_LOAD,
    with_checks,
)

import gateway
from gateway.admin.status import About, status
from gateway.observe.metrics import Metrics
from gateway.workers.instance import Readiness


def told(state):
    return status(state.about, state.snapshot(), state.readiness, ROUTES, state.workers, NOW)


def alarms(state):
    return [(one["level"], one["what"], one["why"]) for one in told(state)["alarms"]]


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_it_is_json(state):
    assert json.loads(json.dumps(told(state)))["version"] == gateway.__version__


def test_what_is_told_of_a_route():
    route = told(UNDER_LOAD)["routes"][0]
    assert route["name"] == "orders"
    assert route["match"]["path"] == "/orders/**"
    assert route["auth"]["scopes"] == ["orders:read"]
    assert route["requests"] == {"200": 3800, "502": 200}
    assert sum(route["durations"]) == 4000
    assert len(route["durations"]) == len(told(UNDER_LOAD)["bounds_s"]) + 1
    assert route["backends"][1] == {
        "backend": "http://orders-2:8000",
        "up": True,
        "outcomes": {"answered": 10, "connect_failed": 10},
    }


def test_requests_of_all_methods_are_one_number():
    metrics = Metrics()
    for method in ("GET", "POST"):
        metrics.finished(exchange(route="orders", method=method, status=200))
    document = status(About(), metrics.snapshot(), Readiness(ready=True), ROUTES, (), NOW)
    assert document["routes"][0]["requests"] == {"200": 2}


def test_what_is_told_of_a_provider():
    (one,) = told(PROVIDER_DOWN)["providers"]
    assert (one["discovery"], one["breaker"], one["up"]) == ("ready", "open", False)
    assert one["reason"].startswith("it refused the gateway's own call")
    assert one["introspections"] == {"active": 0, "inactive": 0, "unclear": 1}


def test_what_is_told_of_cache_and_redis():
    cache = told(REDIS_AWAY)["cache"]
    assert (cache["entries"], cache["entries_max"]) == (81_204, 200_000)  # each worker has its own
    assert (cache["redis"], cache["redis_reason"]) == ("away", "WRONGPASS invalid username-password pair")
    assert told(UNDER_LOAD)["cache"]["lookups"]["local"] == {"hit": 3920, "miss": 80, "error": 0}


def test_what_is_told_of_workers_and_configuration():
    document = told(QUIET)
    assert (document["workers"]["serving"], document["workers"]["wanted"], document["workers"]["restarts"]) == (2, 2, 1)
    assert [one["pid"] for one in document["workers"]["each"]] == [41, 42]
    assert document["workers"]["each"][0]["memory_bytes"] == 80 * 2**20
    assert document["configuration"] == {
        "file": "/etc/gateway/gateway.yaml",
        "loaded_at": NOW - 3600,
        "reloads": {"success": 0, "failure": 0},
        "reload_failure": None,
    }
    assert document["certificates"] == [{"where": "server.tls.certificate", "ends_at": NOW + 60 * DAY_S}]


def test_an_instance_that_has_not_started_can_be_told_of():
    document = status(About(), {}, Readiness(ready=False, reasons=("starting",)), (), (), NOW)
    assert [one["what"] for one in document["alarms"]] == ["this instance is not ready", "0 of 1 workers serve"]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (QUIET, []),
        (UNDER_LOAD, []),
        (
            PROVIDER_DOWN,
            [
                (
                    "wrong",
                    "provider sso is not asked: its breaker is open",
                    "it refused the gateway's own call with status 401; check client_id and client_secret",
                )
            ],
        ),
        (
            with_checks(QUIET, providers={"sso": "waiting"}, provider_reasons={"sso": "http://sso answered 404"}),
            [("wrong", "provider sso has not been discovered", "http://sso answered 404")],
        ),
        (
            with_checks(QUIET, breakers={"sso": "half_open"}),
            [("warning", "provider sso is tried again after an outage", "")],
        ),
        (
            with_checks(QUIET, provider_reasons={"sso": "it took too long"}),
            [("warning", "provider sso: the last question failed", "it took too long")],
        ),
        (
            REDIS_AWAY,
            [
                (
                    "warning",
                    "Redis is away: nothing is shared with the fleet",
                    "WRONGPASS invalid username-password pair",
                )
            ],
        ),
        (BACKEND_OUT, [("warning", "route orders: a backend is out", "http://orders-2:8000")]),
        (
            replace(QUIET, backends={("public", "http://site:8000"): False}),
            [("wrong", "route public: no backend answers", "http://site:8000")],
        ),
        (
            replace(QUIET, certificates={"server.tls.certificate": NOW + 3.5 * DAY_S}),
            [("warning", "the certificate of server.tls.certificate ends in 3 days", "on 2027-01-18")],
        ),
        (
            replace(QUIET, certificates={"server.tls.certificate": NOW}),
            [("wrong", "the certificate of server.tls.certificate has ended", "on 2027-01-15")],
        ),
        (
            replace(QUIET, workers=QUIET.workers[:1]),
            [("warning", "1 of 2 workers serve", "the log says why, by worker_ended")],
        ),
        (
            replace(QUIET, about=replace(QUIET.about, reload_failure={"at": NOW, "reason": "gateway.yaml:3: bad"})),
            [("warning", "the last reload was refused; the one before it is in force", "gateway.yaml:3: bad")],
        ),
        (
            replace(QUIET, readiness=Readiness(False, ("draining",), QUIET.readiness.checks)),
            [("wrong", "this instance is not ready", "draining")],
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_reason(state, expected):
    assert alarms(state) == expected


def test_the_worst_comes_first():
    both = with_checks(REDIS_AWAY, breakers={"sso": "open"})
    assert [level for level, _, _ in alarms(both)] == ["wrong", "warning"]
