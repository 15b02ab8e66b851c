"""A few hundred requests through the gateway, and through nginx where it is installed, as the comparison sends them."""

import os
import shutil
from pathlib import Path

import pytest
from benchmarks.comparison import provider_calls, wrk
from benchmarks.comparison.checks import GOOD, CheckError, check
from benchmarks.comparison.cores import Cores, busy_s, split
from benchmarks.comparison.latency import Case, timed
from benchmarks.comparison.loads import POST_1K
from benchmarks.comparison.peer import Contestant, Kind
from benchmarks.comparison.stage import staged

KINDS = (Kind.FAST, Kind.GENERAL, Kind.NGINX_AUTH, Kind.NGINX)


@pytest.fixture
def cores() -> Cores:
    return split(frozenset(os.sched_getaffinity(0)))


def test_contestants_do_their_work_are_measured_and_are_gone_afterwards(tmp_path, cores):
    pids: list[int] = []
    with staged(tmp_path, cores) as stage, stage.contestants(KINDS) as contestants:
        pids += [pid for one in contestants for pid in one.server.processes()]
        ours = [one for one in contestants if one.kind.is_ours]
        assert ours
        for one in contestants:
            checked = check(stage, one)
            assert checked.refuses_bad_tokens == checked.sends_identity == one.kind.does_auth
            hit = timed(stage, Case.HIT, one.port, 0, duration_s=0.4, rate_per_s=250)
            assert (hit.requests, hit.failed, hit.introspections) == (100, 0, 0)
            assert one.server.cpu_s() > 0
            assert one.server.memory_bytes() > 2**20
        (asked,) = provider_calls.measure(stage, ours[:1]).values()
        assert (asked.introspections, asked.failed) == (100, 0)
        for one in contestants:
            if one.kind is Kind.NGINX:
                with pytest.raises(CheckError):
                    check(stage, Contestant(Kind.NGINX_AUTH, one.server, one.version))
    assert len(pids) >= len(contestants)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed (apt-get install wrk)")
def test_wrk_posts_and_says_exactly_what_it_did(tmp_path, cores):
    with staged(tmp_path, cores) as stage:
        before_s = busy_s(cores.load)
        summary = wrk.run(POST_1K, tmp_path, stage.place.backend_port, GOOD, duration_s=1)
    assert summary.failed == 0
    assert summary.requests > 10
    assert summary.received_bytes >= 100 * summary.requests
    assert 0.9 < summary.duration_s < 10
    assert busy_s(cores.load) > before_s
