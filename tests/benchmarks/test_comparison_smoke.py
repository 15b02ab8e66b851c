"""A few hundred requests through the gateway, and through nginx where it is installed, as the comparison sends them."""

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.comparison import mixed, provider_calls, wrk
from benchmarks.comparison.checks import GOOD, CheckError, check
from benchmarks.comparison.cores import Cores, busy_s, split
from benchmarks.comparison.latency import Case, timed
from benchmarks.comparison.loads import MIXED, MIXED_POST, POST_1K, sample, warm_up
from benchmarks.comparison.peer import Contestant, Kind
from benchmarks.comparison.stage import ask, staged

TOKEN_CLAIMS = (Kind.FAST, Kind.GENERAL, Kind.NGINX_AUTH, Kind.NGINX)


@pytest.fixture
def cores() -> Cores:
    return split(frozenset(os.sched_getaffinity(0)))


def test_contestants_do_their_work_are_measured_and_are_gone_afterwards(tmp_path, cores):
    pids: list[int] = []
    with staged(tmp_path, cores) as stage, stage.contestants(TOKEN_CLAIMS) as contestants:
        pids += [pid for one in contestants for pid in one.server.processes()]
        ours = [one for one in contestants if one.kind.is_ours]
        assert ours
        for one in contestants:
            checked = check(stage, one)
            assert checked.refuses_bad_tokens == checked.sends_identity == one.kind.does_auth
            warm_up(one)
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


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed (apt-get install nginx)")
def test_the_backend_serves_nobody_without_a_user_or_a_token(tmp_path, cores):
    """What a proxy that refuses, or forgets whom it has let in, would have measured."""
    with staged(tmp_path, cores) as stage:
        assert stage.has_backend_counts
        for target in ("/", "/post", "/download", "/service-1/items/1"):
            assert ask(stage.place.backend_port, target)[0] == 403
            assert ask(stage.place.backend_port, target, headers={"X-User-Id": "u"})[0] == 200
            assert ask(stage.place.backend_port, target, GOOD)[0] == 200


def test_a_peer_that_refuses_the_mixed_load_or_loses_its_users_is_not_measured(tmp_path, cores, monkeypatch):
    with staged(tmp_path, cores) as stage, stage.contestants([Kind.FAST, Kind.NGINX]) as contestants:
        for one in contestants:
            if one.kind is Kind.NGINX:
                with pytest.raises(CheckError, match="another user than the token's"):
                    warm_up(Contestant(Kind.NGINX_AUTH, one.server, one.version))
        monkeypatch.setattr(mixed, "_TOKEN", "bad-mixed-%032d")
        with pytest.raises(CheckError, match="1000 of 1000 good tokens were refused"):
            warm_up(contestants[0])


@pytest.mark.parametrize(("refused", "is_measured"), [(10, True), (11, False)])
def test_no_row_measures_refusals(tmp_path, cores, monkeypatch, refused, is_measured):
    summary = wrk.Summary(requests=1000, received_bytes=0, duration_s=1.0, refused=refused, failed=refused)
    monkeypatch.setattr(wrk, "run", lambda *_: summary)
    with staged(tmp_path, cores) as stage, stage.contestants([Kind.GENERAL]) as (one,):
        if is_measured:
            assert sample(stage, one, MIXED, duration_s=1).failed == refused
        else:
            with pytest.raises(CheckError, match="11 of 1000 were refused"):
                sample(stage, one, MIXED, duration_s=1)


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed (apt-get install wrk)")
def test_wrk_sends_the_mixed_load_and_the_gateway_knows_every_token(tmp_path, cores):
    with staged(tmp_path, cores) as stage, stage.contestants([Kind.FAST, Kind.GENERAL]) as contestants:
        for one in contestants:
            warm_up(one)
            for load in (MIXED, MIXED_POST):
                taken = sample(stage, one, load, duration_s=1)
                assert taken.requests > 10
                assert (taken.failed, taken.introspections) == (0, 0)


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed (apt-get install wrk)")
@pytest.mark.parametrize("load", [MIXED, replace(MIXED_POST, lines="\r\nOrigin: https://app.example.com")])
def test_wrk_writes_the_mixed_load_as_python_does(tmp_path, load):
    """The open loop and the warm-up are to know the same requests."""
    seen: list[bytes] = []
    with listening(seen) as port:
        wrk.run(replace(load, connections=1), tmp_path, port, GOOD, duration_s=1, number=3)
    first = 3 * mixed.RUN_NUMBERS
    # wrk asks its script once more than it sends, to see what it will say.
    sent = b"".join(seen)
    wires = [mixed.wire(first + n, load.target, load.body_bytes, load.services, load.lines) for n in range(2000)]
    at = next(n for n, wire in enumerate(wires) if sent.startswith(wire))
    assert at <= 1
    whole = b"".join(wires[at:])
    assert sent.count(b"HTTP/1.1\r\n") > 10
    assert sent[: len(whole)] == whole[: len(sent)]


@contextmanager
def listening(seen: list[bytes]) -> Iterator[int]:
    """Answers whatever has come, on one connection after the other."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_answer, args=(server, seen))
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def _answer(server: socket.socket, seen: list[bytes]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection, suppress(OSError):
            while data := connection.recv(2**16):
                seen.append(data)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


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
