"""Forged JWTs cost no call but for keys: the short form of `tests/benchmarks/jwts.py`, which sends 10,000."""

from pathlib import Path

from benchmarks.jwts_run import Plan, measured


async def test_forged_jwts_reach_nobody_and_a_known_jwt_costs_what_a_known_token_costs(tmp_path: Path):
    report = await measured(Plan(forged=500, rounds=3, requests=1_000, new=100), tmp_path)
    assert report.forged == {401: 500}, report
    assert (report.asked, report.other_calls, report.reached_backend) == (0, 0, 0), report
    assert report.key_fetches <= report.key_fetches_allowed, report
    assert report.is_sound, report
    # On a machine with other work; the script measures to within some hundredths.
    assert report.ratios[0] < 1.3, report
    assert max(report.forged_us.values()) < 5_000, report
