import json
import shutil
import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from support import exchanges
from support.needed import missing

from gateway import __version__
from gateway.http.refusal import STATUS_OF_CODE
from gateway.observe import families
from gateway.observe.backend_meter import BackendMeter
from gateway.observe.exposition import CONTENT_TYPE, OPENMETRICS_CONTENT_TYPE, exposition, wants_openmetrics
from gateway.observe.families import BOUNDS_S, FAMILIES, NAMES, Family
from gateway.observe.instance_meter import InstanceMeter
from gateway.observe.limit_meter import LimitMeter
from gateway.observe.lines import LineWriter
from gateway.observe.metrics import Metrics
from gateway.observe.process_usage import process_usage
from gateway.observe.snapshots import joined, merge, without_gauges
from gateway.observe.up_states import UpStates


def exchange(**more):
    return exchanges.exchange(**{"route": "orders", "status": 200, "duration_s": 0.02} | more)


def samples(snapshot):
    """`name{label="value",…}` -> value, as Prometheus reads it."""
    found = {}
    for family in text_string_to_metric_families(exposition(snapshot).decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


@pytest.fixture
def metrics():
    return Metrics()


def test_the_names_and_labels_are_the_promised_ones():
    assert {family.name: family.labels for family in FAMILIES} == {
        "gateway_requests_total": ("route", "method", "status"),
        "gateway_request_duration_seconds": ("route",),
        "gateway_backend_duration_seconds": ("route",),
        "gateway_backend_requests_total": ("route", "backend", "outcome"),
        "gateway_backend_up": ("route", "backend"),
        "gateway_refusals_total": ("route", "code"),
        "gateway_introspections_total": ("provider", "outcome"),
        "gateway_exchanges_total": ("provider", "outcome"),
        "gateway_permission_questions_total": ("provider", "outcome"),
        "gateway_client_tokens_total": ("provider", "outcome"),
        "gateway_introspection_duration_seconds": ("provider",),
        "gateway_provider_breaker_state": ("provider",),
        "gateway_provider_breaker_transitions_total": ("provider", "state"),
        "gateway_stale_answers_total": ("route",),
        "gateway_cache_lookups_total": ("tier", "result"),
        "gateway_leases_total": ("outcome",),
        "gateway_refreshes_total": ("outcome",),
        "gateway_requests_in_flight": (),
        "gateway_connections": (),
        "gateway_config_reloads_total": ("result",),
        "gateway_security_events_total": ("provider", "event", "outcome"),
        "gateway_ready": (),
        "gateway_provider_up": ("provider",),
        "gateway_redis_up": (),
        "gateway_cache_entries": (),
        "gateway_limit_requests_total": ("limit", "outcome"),
        "gateway_limits_alone": (),
        "gateway_certificate_expiry_seconds": ("where",),
        "gateway_config_last_reload_seconds": (),
        "gateway_worker_restarts_total": (),
        "gateway_log_lines_dropped_total": (),
        "process_cpu_seconds_total": (),
        "process_resident_memory_bytes": (),
        "process_open_fds": (),
        "process_max_fds": (),
        "process_start_time_seconds": (),
        "gateway_build_info": ("version",),
    }
    assert set(NAMES) == {family.name for family in FAMILIES}


def test_every_family_is_listed():
    assert {one for one in vars(families).values() if isinstance(one, Family)} == set(FAMILIES)


def test_every_family_is_counted(metrics):
    states = UpStates(is_ready=True, redis_up=True)
    others = (InstanceMeter(), BackendMeter(), LimitMeter(), LineWriter(None), states)
    whole = joined(metrics.snapshot(), *(one.snapshot() for one in others), process_usage())
    counted = {name for part in whole.values() for name in part}
    assert {family.name for family in FAMILIES} - counted == {"gateway_build_info"}  # said once for the instance


def test_every_family_is_exposed_under_its_name_and_kind(metrics):
    text = exposition(metrics.snapshot()).decode()
    for family in FAMILIES:
        assert f"# TYPE {family.name} {family.kind}\n" in text


def test_an_exchange_is_counted_by_route_method_and_status(metrics):
    metrics.finished(exchange())
    metrics.finished(exchange())
    metrics.finished(exchange(method="POST", status=502, code="bad_gateway"))
    found = samples(metrics.snapshot())
    assert found['gateway_requests_total{method="GET",route="orders",status="200"}'] == 2
    assert found['gateway_requests_total{method="POST",route="orders",status="502"}'] == 1
    assert found['gateway_refusals_total{code="bad_gateway",route="orders"}'] == 1


@pytest.mark.parametrize("method", ["PURGE", "get", "G" * 1000, "", "GET\n"])
def test_a_method_of_the_clients_making_is_no_label(metrics, method):
    metrics.finished(exchange(method=method))
    assert samples(metrics.snapshot())['gateway_requests_total{method="other",route="orders",status="200"}'] == 1


def test_a_client_that_left_before_an_answer_is_499_as_with_nginx(metrics):
    metrics.finished(exchange(status=0))
    assert samples(metrics.snapshot())['gateway_requests_total{method="GET",route="orders",status="499"}'] == 1


@pytest.mark.parametrize("bound", BOUNDS_S)
def test_a_bucket_holds_its_own_bound(metrics, bound):
    metrics.finished(exchange(duration_s=bound))
    metrics.finished(exchange(duration_s=bound * 1.0001))
    found = samples(metrics.snapshot())
    assert found[f'gateway_request_duration_seconds_bucket{{le="{bound}",route="orders"}}'] == 1
    assert found['gateway_request_duration_seconds_bucket{le="+Inf",route="orders"}'] == 2
    assert found['gateway_request_duration_seconds_count{route="orders"}'] == 2
    assert found['gateway_request_duration_seconds_sum{route="orders"}'] == pytest.approx(bound * 2.0001)


def test_a_backend_that_was_not_asked_has_no_duration(metrics):
    metrics.finished(exchange(backend_s=None))
    metrics.finished(exchange(backend_s=0.1))
    found = samples(metrics.snapshot())
    assert found['gateway_backend_duration_seconds_count{route="orders"}'] == 1
    assert found['gateway_request_duration_seconds_count{route="orders"}'] == 2


def test_introspections_lookups_reloads_and_gauges_are_counted(metrics):
    metrics.introspected("keycloak", "unclear", 2.0)
    metrics.looked_up("redis", "error")
    metrics.reloaded("failure")
    metrics.requests_in_flight += 3
    metrics.connections += 5
    found = samples(metrics.snapshot())
    assert found['gateway_introspections_total{outcome="unclear",provider="keycloak"}'] == 1
    assert found['gateway_introspection_duration_seconds_sum{provider="keycloak"}'] == 2.0
    assert found['gateway_cache_lookups_total{result="error",tier="redis"}'] == 1
    assert found['gateway_config_reloads_total{result="failure"}'] == 1
    assert found["gateway_requests_in_flight{}"] == 3
    assert found["gateway_connections{}"] == 5
    assert found[f'gateway_build_info{{version="{__version__}"}}'] == 1


def test_declared_names_begin_at_zero_so_that_the_first_event_is_an_increase(metrics):
    metrics.declare(["orders"], ["keycloak"])
    found = samples(metrics.snapshot())
    for series in (
        'gateway_request_duration_seconds_count{route="orders"}',
        'gateway_request_duration_seconds_count{route="none"}',
        'gateway_backend_duration_seconds_count{route="orders"}',
        *(f'gateway_refusals_total{{code="{code}",route="orders"}}' for code in STATUS_OF_CODE),
        'gateway_refusals_total{code="no_route",route="none"}',
        'gateway_introspections_total{outcome="unclear",provider="keycloak"}',
        'gateway_introspection_duration_seconds_count{provider="keycloak"}',
        'gateway_cache_lookups_total{result="error",tier="redis"}',
        'gateway_config_reloads_total{result="failure"}',
    ):
        assert found[series] == 0


def test_a_route_that_is_first_asked_begins_the_statuses_that_alert_at_zero(metrics):
    metrics.finished(exchange(status=200))
    found = samples(metrics.snapshot())
    for status in (500, 502, 503, 504):
        assert found[f'gateway_requests_total{{method="GET",route="orders",status="{status}"}}'] == 0
    metrics.finished(exchange(status=502))
    assert samples(metrics.snapshot())['gateway_requests_total{method="GET",route="orders",status="502"}'] == 1


def test_a_stream_lasts_until_its_head(metrics):
    metrics.finished(exchange(duration_s=3600.0, head_s=0.02))
    found = samples(metrics.snapshot())
    assert found['gateway_request_duration_seconds_bucket{le="0.025",route="orders"}'] == 1
    assert found['gateway_request_duration_seconds_sum{route="orders"}'] == pytest.approx(0.02)


def test_so_do_the_events_of_those_who_may_send_any(metrics):
    metrics.declare(["orders"], ["keycloak", "partner"], ["keycloak"])
    found = samples(metrics.snapshot())
    for labels in (
        'event="logout",outcome="unclear",provider="keycloak"',
        'event="session-revoked",outcome="evicted",provider="keycloak"',
        'event="verification",outcome="acknowledged",provider="keycloak"',
        'event="other",outcome="refused",provider="none"',
        'event="other",outcome="unclear",provider="none"',
    ):
        assert found[f"gateway_security_events_total{{{labels}}}"] == 0
    assert not any("gateway_security_events" in series and "partner" in series for series in found)


def test_declaring_again_after_a_reload_loses_no_count(metrics):
    metrics.declare(["orders"], ["keycloak"])
    metrics.finished(exchange(code="bad_gateway"))
    before = samples(metrics.snapshot())
    metrics.declare(["orders", "more"], ["keycloak"])
    after = samples(metrics.snapshot())
    assert before.items() <= after.items()


def test_ten_thousand_declared_routes_do_not_make_ten_thousand_histograms(metrics):
    metrics.declare([f"route-{n}" for n in range(10_000)], ["keycloak"])
    assert len(exposition(metrics.snapshot())) < 100_000


def test_the_sum_of_several_workers_is_the_sum_of_each_series():
    workers = [Metrics() for _ in range(3)]
    for n, worker in enumerate(workers):
        worker.finished(exchange(duration_s=0.002))
        worker.finished(exchange(route=f"only-{n}", code="forbidden", status=403))
        worker.connections = 2
    found = samples(merge(worker.snapshot() for worker in workers))
    assert found['gateway_requests_total{method="GET",route="orders",status="200"}'] == 3
    assert found['gateway_requests_total{method="GET",route="only-1",status="403"}'] == 1
    assert found['gateway_request_duration_seconds_bucket{le="0.0025",route="orders"}'] == 3
    assert found['gateway_request_duration_seconds_sum{route="orders"}'] == pytest.approx(0.006)
    assert found["gateway_connections{}"] == 6
    assert found[f'gateway_build_info{{version="{__version__}"}}'] == 1


def test_a_snapshot_survives_the_way_between_processes(metrics):
    metrics.declare(["orders"], ["keycloak"])
    metrics.finished(exchange(backend_s=0.01))
    snapshot = metrics.snapshot()
    assert merge([json.loads(json.dumps(snapshot))]) == merge([snapshot])
    assert samples(json.loads(json.dumps(snapshot))) == samples(merge([snapshot, {}]))


def test_what_a_departed_worker_counted_stays_and_what_it_held_open_does_not(metrics):
    metrics.finished(exchange())
    metrics.connections = 7
    found = samples(merge([without_gauges(metrics.snapshot())]))
    assert found['gateway_requests_total{method="GET",route="orders",status="200"}'] == 1
    assert found["gateway_connections{}"] == 0


def state_of(found, provider="keycloak"):
    return found[f'gateway_provider_breaker_state{{provider="{provider}"}}']


def test_a_breaker_is_shown_by_its_state_and_counted_by_its_changes(metrics):
    metrics.declare(["orders"], ["keycloak"])
    assert state_of(samples(metrics.snapshot())) == 0
    for state, shown in (("open", 2), ("half_open", 1), ("open", 2), ("half_open", 1), ("closed", 0), ("closed", 0)):
        metrics.breaker_changed("keycloak", state)
        assert state_of(samples(metrics.snapshot())) == shown
    found = samples(metrics.snapshot())
    counted = {
        state: found[f'gateway_provider_breaker_transitions_total{{provider="keycloak",state="{state}"}}']
        for state in ("open", "half_open", "closed")
    }
    assert counted == {"open": 2, "half_open": 2, "closed": 1}


def test_of_several_workers_breakers_the_worst_is_shown():
    workers = [Metrics() for _ in range(3)]
    for worker, state in zip(workers, ("half_open", "open", "closed"), strict=True):
        worker.breaker_changed("keycloak", state)
    workers[0].breaker_changed("partner", "half_open")
    found = samples(merge(worker.snapshot() for worker in workers))
    assert (state_of(found), state_of(found, "partner")) == (2, 1)


def test_the_breaker_of_a_provider_or_a_worker_that_is_gone_is_not_shown(metrics):
    metrics.declare(["orders"], ["keycloak", "partner"])
    metrics.breaker_changed("partner", "open")
    departed = samples(merge([without_gauges(metrics.snapshot()), Metrics().snapshot()]))
    assert not [name for name in departed if name.startswith("gateway_provider_breaker_state")]
    metrics.declare(["orders"], ["keycloak"])
    found = samples(metrics.snapshot())
    assert [name for name in found if "breaker_state" in name] == [
        'gateway_provider_breaker_state{provider="keycloak"}'
    ]
    assert found['gateway_provider_breaker_transitions_total{provider="partner",state="open"}'] == 1


def test_answers_by_old_facts_are_counted_by_route_and_begin_at_zero(metrics):
    metrics.declare(["orders"], ["keycloak"])
    assert samples(metrics.snapshot())['gateway_stale_answers_total{route="orders"}'] == 0
    metrics.finished(exchange(stale_s=0.0))
    metrics.finished(exchange(stale_s=61.5, status=403, code="forbidden"))
    metrics.finished(exchange())
    assert samples(metrics.snapshot())['gateway_stale_answers_total{route="orders"}'] == 2


def test_merging_changes_none_of_its_parts(metrics):
    metrics.finished(exchange())
    snapshot = metrics.snapshot()
    before = json.dumps(snapshot)
    merge([snapshot, snapshot])
    assert json.dumps(snapshot) == before


def test_a_snapshot_does_not_change_afterwards(metrics):
    metrics.finished(exchange())
    snapshot = metrics.snapshot()
    before = json.dumps(snapshot)
    metrics.finished(exchange())
    assert json.dumps(snapshot) == before


def test_nothing_at_all_can_be_exposed():
    assert samples(merge([])) == samples({})


def test_promtool_finds_nothing_to_complain_about(metrics):
    promtool = shutil.which("promtool")
    if promtool is None:
        missing("no promtool on the PATH; Debian has it in the package prometheus")
    metrics.declare(["orders"], ["keycloak"])
    metrics.finished(exchange(backend_s=0.01, code="bad_gateway"))
    metrics.introspected("keycloak", "active", 0.1)
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=exposition(metrics.snapshot()),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    assert CONTENT_TYPE.startswith("text/plain; version=")


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain;version=0.0.4", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", True),
        ("text/plain;q=0.2, Application/OpenMetrics-Text;version=1.0.0;q=0.5,*/*;q=0.1", True),
        ("application/openmetrics-text;q=0, text/plain", False),
        ("application/openmetrics-text; q=0.000", False),
        ("application/openmetrics-text-not", False),
    ],
)
def test_openmetrics_is_for_those_who_ask_for_it(accept, wanted):
    assert wants_openmetrics(accept) is wanted


def test_openmetrics_has_the_same_samples(metrics):
    metrics.declare(["orders"], ["keycloak"])
    metrics.finished(exchange(backend_s=0.01))
    text = exposition(metrics.snapshot(), is_openmetrics=True).decode()
    assert text.endswith("# EOF\n")
    told = [sample for family in openmetrics_families(text) for sample in family.samples]
    named = {(one.name, tuple(sorted(one.labels.items()))): one.value for one in told}
    for family in text_string_to_metric_families(exposition(metrics.snapshot()).decode()):
        for one in family.samples:
            assert named[one.name, tuple(sorted(one.labels.items()))] == one.value
    assert OPENMETRICS_CONTENT_TYPE.startswith("application/openmetrics-text; version=")


def test_of_two_exemplars_of_a_bucket_the_latest_counts():
    def one(trace_id, at):
        return {"exemplars": {"gateway_request_duration_seconds": [[["a"], 3, trace_id, 0.02, at]]}}

    merged = merge([one("a" * 32, 2.0), one("b" * 32, 3.0), one("c" * 32, 1.0)])
    assert merged["exemplars"] == one("b" * 32, 3.0)["exemplars"]
