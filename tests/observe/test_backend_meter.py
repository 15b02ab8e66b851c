"""What is counted of each backend, and which are said to be up."""

from gateway.config.route_model import Route
from gateway.observe.backend_meter import BackendMeter
from gateway.observe.snapshots import merge

ROUTE = Route(name="orders", backend=["http://a:1", "https://b/v1"])


def meter(*up: bool | None) -> BackendMeter:
    one = BackendMeter()
    for label, is_up in zip(("http://a:1", "https://b:443"), up, strict=True):
        one.tally("orders", label).is_up = is_up
    return one


def up(snapshot) -> dict[str, int]:
    return {backend: value for (_, backend), value in snapshot["least"]["gateway_backend_up"]}


def test_every_outcome_begins_at_zero():
    series = meter(True, True).snapshot()["counters"]["gateway_backend_requests_total"]
    outcomes = {outcome for (_, _, outcome), _ in series}
    assert outcomes == {"answered", "connect_failed", "reset", "timeout", "client_left"}
    assert (len(series), {count for _, count in series}) == (10, {0})


def test_an_outcome_is_counted_for_its_backend():
    one = meter(True, True)
    one.tally("orders", "http://a:1").reset += 2
    counted = [(labels, n) for labels, n in one.snapshot()["counters"]["gateway_backend_requests_total"] if n]
    assert counted == [(["orders", "http://a:1", "reset"], 2)]


def test_the_least_of_the_workers_is_shown():
    merged = merge([meter(True, True).snapshot(), meter(False, True).snapshot()])
    assert up(merged) == {"http://a:1": 0, "https://b:443": 1}


def test_one_that_no_route_has_any_more_is_not_said_to_be_down_and_its_counts_stay():
    one = meter(False, False)
    one.tally("orders", "http://a:1").timeout = 3
    one.configured([ROUTE.model_copy(update={"backend": ROUTE.backend[1:]})])
    assert up(one.snapshot()) == {"https://b:443": 0}
    assert [["orders", "http://a:1", "timeout"], 3] in one.snapshot()["counters"]["gateway_backend_requests_total"]


def test_of_very_many_only_those_that_were_asked_are_shown():
    one = BackendMeter()
    for number in range(500):
        one.tally("orders", f"http://b-{number}:1")
    one.tally("orders", "http://b-7:1").answered = 1
    assert len(one.snapshot()["counters"]["gateway_backend_requests_total"]) == 5
