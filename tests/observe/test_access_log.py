import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import exchanges

from gateway.observe.access_log import AccessLog, access_line
from gateway.observe.lines import PIPE_ATOMIC_BYTES


class Lines(list):
    write = list.append


def exchange(**more):
    given = {"request_id": "id-1", "method": "GET", "path": "/orders/1", "client": "192.0.2.1"} | more
    return exchanges.exchange(**{"started_at": 1_700_000_000.1239} | given)


def test_a_line_says_who_asked_for_what_and_what_came_of_it():
    line = access_line(
        exchange(
            route="orders",
            status=403,
            code="insufficient_scope",
            reason="orders:write is missing",
            duration_s=0.0123456,
            backend="http://orders-1:8000",
            backend_s=0.005,
            provider="keycloak",
            subject="alice",
            client_id="web",
            tier="redis",
            stale_s=61.25,
            bytes_received=17,
            bytes_sent=4711,
        )
    )
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.123Z",
        "level": "info",
        "event": "request",
        "pid": os.getpid(),
        "request_id": "id-1",
        "route": "orders",
        "method": "GET",
        "path": "/orders/1",
        "status": 403,
        "code": "insufficient_scope",
        "reason": "orders:write is missing",
        "duration_ms": 12.346,
        "backend": "http://orders-1:8000",
        "backend_ms": 5.0,
        "client": "192.0.2.1",
        "subject": "alice",
        "client_id": "web",
        "cache": "redis",
        "trace_id": None,
        "stale_s": 61.25,
        "provider": "keycloak",
        "bytes_received": 17,
        "bytes_sent": 4711,
    }


def test_what_does_not_apply_is_null_and_never_left_out():
    full, bare = json.loads(access_line(exchange(subject="alice"))), json.loads(access_line(exchange()))
    assert bare.keys() == full.keys()
    assert {name for name, value in bare.items() if value is None} == {
        "code",
        "reason",
        "backend",
        "backend_ms",
        "subject",
        "client_id",
        "cache",
        "trace_id",
        "stale_s",
        "provider",
    }
    assert bare["route"] == "none"
    assert bare["status"] == 0


LONG = st.text('"\\\n\r\x00\x1b\u2028\ud800\U0001f600', min_size=1, max_size=3).map(lambda text: text * 2000)
HOSTILE = st.text(max_size=20) | LONG


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_what_a_client_or_a_claim_says_never_makes_another_line(request_id, method, path, subject, client_id):
    line = access_line(
        exchange(request_id=request_id, method=method, path=path, subject=subject, client_id=client_id, reason=path)
    )
    assert line.count(b"\n") == 1
    assert len(line) <= PIPE_ATOMIC_BYTES
    value = json.loads(line)
    if len(subject) <= 20:
        assert value["subject"] == subject


@pytest.mark.parametrize("wall_s", [0.0, 1_700_000_000.9999, 1_700_000_000, 4_000_000_000.5])
def test_times_are_utc_with_milliseconds_and_never_run_into_the_next_second(wall_s):
    time = json.loads(access_line(exchange(started_at=wall_s)))["time"]
    assert len(time) == len("2023-11-14T22:13:20.123Z")
    assert time.endswith("Z")


def test_access_lines_can_be_switched_off_and_on():
    lines = Lines()
    log = AccessLog(lines, enabled=False)
    log.finished(exchange())
    assert lines == []
    log.enabled = True
    log.finished(exchange())
    assert len(lines) == 1
