"""The calculation that sizes a deployment, and the arithmetic of one worker against two."""

from pathlib import Path

import pytest
from benchmarks.comparison import report
from benchmarks.comparison.report import insert
from benchmarks.sizing import BEGIN, END, MIB, Costs, Demand, costs_of, lookups_per_s, size, table
from benchmarks.workers_run import MARKS, Found, Held, Offered
from benchmarks.workers_run import table as workers_table
from support import recorded

COSTS = Costs(100, 1_100, 50, 40, 1_000, 500, 2_000)


def test_few_tokens_cost_no_more_than_their_requests():
    found = size(COSTS, Demand(6_000, tokens=60, ttl_s=60, clients=0, busy=0.6))
    # 6,000 * 100 us are all that one core is to do, and there are the lookups: each token once a minute in each worker.
    assert found.workers == 2
    assert found.lookups_per_s == pytest.approx(2, rel=0.01)
    assert size(COSTS, Demand(5_980, tokens=60, ttl_s=60, clients=0, busy=0.6)).workers == 1


def test_no_more_is_looked_up_than_is_asked_for():
    demand = Demand(1_000, tokens=10**9, ttl_s=60)
    assert lookups_per_s(demand, 4) == pytest.approx(1_000, rel=0.001)
    assert size(COSTS, demand).workers == 2  # 1,000 * 1,100 us, on cores that are busy by 0.6


def test_more_workers_look_up_more_often_and_are_enough_for_it():
    demand = Demand(10_000, tokens=100_000, ttl_s=60)
    found = size(COSTS, demand)
    spent_s = 10_000 * 100e-6 + found.lookups_per_s * 1_000e-6
    assert spent_s <= found.workers * demand.busy
    fewer = 10_000 * 100e-6 + lookups_per_s(demand, found.workers - 1) * 1_000e-6
    assert fewer > (found.workers - 1) * demand.busy
    assert lookups_per_s(demand, 1) < found.lookups_per_s


def test_the_provider_is_asked_once_for_the_fleet_and_memory_is_held_by_each_worker():
    found = size(COSTS, Demand(12_000, tokens=1_000, ttl_s=60, clients=100, backend_s=0.1))
    assert found.questions_per_s == pytest.approx(1_000 / (60 + 1 / 12))
    assert found.memory_mib == pytest.approx(40 + found.workers * (50 + 1_000_000 / MIB) + 200_000 / MIB)
    assert found.redis_mib == pytest.approx(500_000 / MIB)
    assert found.backend_connections == 1_200


def test_a_worker_holds_no_more_than_it_may():
    most = Demand(1_000, tokens=10**6, max_entries=100_000, clients=0)
    assert size(COSTS, most).worker_mib == pytest.approx(50 + 100_000 * 1_000 / MIB)


def test_costs_are_the_medians_of_a_comparison_and_else_the_defaults():
    samples = [{"cpu_s": cpu_s, "requests": 1_000} for cpu_s in (0.1, 0.3, 0.2)]
    comparison = {
        "samples": {"mixed GET, 32 connections": {"gateway": samples}},
        "varied": {"Redis hit": {"other": samples}},
        "held": {
            "gateway": {
                "idle_bytes": 70 * MIB,
                "connections_bytes": 10_000_000,
                "open_connections": 5_000,
                "tokens_bytes": 22_000_000,
                "tokens": 20_000,
            }
        },
    }
    found = costs_of(comparison, "gateway")
    assert (found.cpu_us, found.worker_mib, found.connection_bytes, found.token_bytes) == (
        200.0,
        70.0,
        2_000.0,
        1_100.0,
    )
    assert found.redis_hit_us == Costs().redis_hit_us


def test_the_table_says_that_it_is_calculated_and_from_what():
    text = table(COSTS, [Demand(1_000, 10_000), Demand(100_000, 1_000_000)])
    assert text.startswith("Calculated, not measured, from these costs of one worker on one core: `cpu_us` 100; ")
    assert "| | 1,000 requests/s | 100,000 requests/s |" in text
    assert BEGIN not in text
    assert END not in text


def found_workers(one_us: float, two_us: float) -> Found:
    found = Found(800)
    # The second round was twice as slow for both: what counts are the pairs.
    found.offered = {1: [Offered(one_us, 0.01, 1.0), Offered(2 * one_us, 0.01, 1.0)]}
    found.offered[2] = [Offered(two_us, 0.01, 0.6), Offered(2 * two_us, 0.01, 0.6)]
    found.closed_per_s = {1: [3_000.0], 2: [5_000.0]}
    found.held = {1: Held(80 * MIB, 20 * MIB, 20_000, 20_000), 2: Held(200 * MIB, 40 * MIB, 20_000, 40_000)}
    return found


def test_two_workers_serve_twice_as_much_where_a_request_costs_them_no_more():
    assert found_workers(200, 219).is_twice
    assert not found_workers(200, 221).is_twice


@pytest.mark.parametrize("marks", [MARKS, (BEGIN, END), (recorded.BEGIN, recorded.END), (report.BEGIN, report.END)])
def test_the_document_has_a_place_for_each_table(marks):
    document = Path(__file__).parents[2] / "docs" / "performance.md"
    assert f"{marks[0]}\n\ntable\n\n{marks[1]}" in insert(document.read_text(), "table\n", marks)


def test_the_table_of_workers_says_what_each_holds():
    text = workers_table(found_workers(200, 210))
    assert "| 2 | 1,600 | 315 (210…420) | 10.0 | 60% | 5,000 | 200 | 40 for 20,000 | 2.0 |" in text
    assert "Two workers' CPU per request against one worker's: 1.05, at most 1.1." in text
