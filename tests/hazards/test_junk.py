"""Tokens that nobody issued push out no good one, grow no memory, and are hardly asked about.

The short form of `tests/benchmarks/junk.py`, which sends 20,000; with a limit that bites on the slowest machine.
"""

from pathlib import Path

from benchmarks.junk_run import MEMORY_SLACK_BYTES, Plan, flood


async def test_good_tokens_stay_memory_is_flat_and_the_provider_is_called_within_the_limit(tmp_path: Path):
    report = await flood(Plan(tokens=3_000, rate=1, burst=300), tmp_path)
    assert set(report.statuses) == {401, 429}
    assert report.good_failed == 0, report
    assert report.calls_about_good == report.plan.good == report.users_seen, report  # hits, all the time
    assert report.calls_about_junk == report.statuses[401] <= report.calls_allowed < 3_000, report
    assert report.grown_bytes < MEMORY_SLACK_BYTES, report
    assert report.is_sound, report
