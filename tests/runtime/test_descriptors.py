import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.keycloak import free_ports
from support.served import COMMAND, READY_WITHIN_S, STOP_WITHIN_S

from gateway.runtime.descriptors import Descriptors, shares_of

PROGRAM = """
import json, logging, resource, sys
from gateway.runtime.descriptors import allow_descriptors

class Kept(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())

lines = []
logging.basicConfig(handlers=[Kept()])
soft, hard, connections = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
allow_descriptors(connections)
allow_descriptors(connections)
print(json.dumps([resource.getrlimit(resource.RLIMIT_NOFILE), lines]))
"""


def allowed(soft, hard, connections):
    """The limits afterwards and what was logged, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(soft), str(hard), str(connections)],
        capture_output=True,
        check=True,
        timeout=60,
    )
    limits, lines = json.loads(done.stdout)
    return limits, lines


def test_the_soft_limit_is_raised_to_what_the_connections_need():
    assert allowed(64, 900, 100) == ([456, 900], [])


def test_a_sufficient_limit_is_not_changed():
    assert allowed(800, 900, 100) == ([800, 900], [])


def test_the_hard_limit_is_the_end_of_it_and_clients_get_what_is_left():
    limits, [line] = allowed(64, 230, 100)  # told once, however often it is asked
    assert limits == [230, 230]
    assert "server.max_connections is 100 and this process may open 230 files, enough for 86 connections" in line
    assert "raise its limit" in line


def test_what_nobody_would_miss_is_not_worth_a_line():
    assert allowed(64, 20_000, 10_000) == ([20_000, 20_000], [])


def test_a_limit_that_falls_short_only_of_the_reserve_will_do():
    assert allowed(64, 300, 100) == ([300, 300], [])


@pytest.mark.parametrize(
    ("limit", "wanted", "clients", "end"),
    [
        (20_256, 10_000, 10_000, 20_000),
        (1_024, 10_000, 384, 768),
        (1_024, 100, 100, 768),
        (80, 100, 30, 60),
        (4, 100, 1, 3),
    ],
)
def test_what_clients_get_of_so_many_descriptors(limit, wanted, clients, end):
    """Each may need a connection to a backend; and some are left for the admin listener, whatever clients do."""
    assert shares_of(limit, wanted) == Descriptors(clients, end)


def until_open(port: int) -> None:
    deadline_s = time.monotonic() + READY_WITHIN_S
    with socket.socket() as probe:
        while probe.connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < deadline_s
            time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads the descriptors of another process in /proc")
def test_closed_standard_descriptors_are_no_sockets(tmp_path):
    """What a library writes to standard error would else reach a client, and uvloop ends such a process by SIGABRT."""
    port, admin_port = free_ports(2)
    document = {
        "server": {"listen": f"127.0.0.1:{port}"},
        "admin": {"listen": f"127.0.0.1:{admin_port}"},
        "routes": [{"name": "a", "backend": "http://127.0.0.1:9", "auth": "none"}],
    }
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(document))
    process = subprocess.Popen(["/bin/sh", "-c", f"exec {COMMAND} serve -c {file} <&- >&- 2>&-"])
    try:
        until_open(admin_port)
        held = [Path(f"/proc/{process.pid}/fd/{number}").readlink() for number in range(3)]
    finally:
        process.terminate()
        status = process.wait(STOP_WITHIN_S)
    assert (held, status) == ([Path("/dev/null")] * 3, 0)
