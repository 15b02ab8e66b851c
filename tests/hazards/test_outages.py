"""A provider that goes away and comes back: a fleet of processes, in the short form of `tests/benchmarks/outage.py`."""

from pathlib import Path

from benchmarks.outage_run import Plan, outage


async def test_a_fleet_that_tolerates_it_fails_no_known_token_lets_in_no_revoked_one_and_hardly_calls(tmp_path: Path):
    report = await outage(Plan(outage_s=4, ttl_s=1, interval_s=1, users=6), tmp_path)
    assert report.failed == 0, report
    assert report.let_in == 0, report
    assert report.stale > 20, report
    assert report.refused > 5, report
    assert report.calls <= report.calls_allowed, report
