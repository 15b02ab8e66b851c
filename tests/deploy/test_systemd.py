import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.deployed import DEPLOY, SPARE_S, document, stopping_s

from gateway.config.server_model import Server
from gateway.runtime.descriptors import descriptors_for
from gateway.workers.sockets import BACKLOG

UNIT = DEPLOY / "systemd" / "gateway.service"


def settings(text: str) -> dict[str, list[str]]:
    """Each key of the unit with its values; one that is given twice has two."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


UNIT_HAS = settings(UNIT.read_text())


def test_it_waits_longer_than_the_gateway_takes_to_stop():
    (waits_s,) = UNIT_HAS["TimeoutStopSec"]
    assert int(waits_s) >= stopping_s(Server()) + SPARE_S
    # And with a delay as long as in a cluster.
    in_a_cluster = document("kubernetes/gateway.yaml")["server"]["drain_delay"]
    assert int(waits_s) >= stopping_s(Server(drain_delay=in_a_cluster)) + SPARE_S


def test_only_the_first_process_hears_the_signal():
    # With systemd's default the workers would stop accepting at once, whatever drain_delay says.
    assert UNIT_HAS["KillMode"] == ["mixed"]
    assert UNIT_HAS["KillSignal"] == ["SIGTERM"]


def test_a_reload_checks_the_file_and_then_sends_sighup():
    check, hang_up = UNIT_HAS["ExecReload"]
    assert check.split()[1] == "check"
    assert hang_up == "/bin/kill -HUP $MAINPID"


def test_it_may_open_as_many_files_as_its_connections_need():
    (files,) = UNIT_HAS["LimitNOFILE"]
    assert int(files) >= descriptors_for(Server().max_connections)


def test_it_reports_its_states():
    assert UNIT_HAS["Type"] == ["notify"]
    assert UNIT_HAS["NotifyAccess"] == ["main"]  # workers do not speak
    assert int(UNIT_HAS["WatchdogSec"][0]) >= 10


def test_its_socket_is_that_of_the_default():
    listens = settings((DEPLOY / "systemd" / "gateway.socket").read_text())
    assert listens["ListenStream"] == [str(Server().listen.port)]
    assert listens["Backlog"] == [str(BACKLOG)]


def test_systemd_finds_nothing_wrong_with_it(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not there")
    # The program has to exist; any will do.
    program = str(Path(sys.executable).resolve())
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/gateway/bin/gateway", program))
    sockets = tmp_path / "gateway.socket"
    sockets.write_text(UNIT.with_name(sockets.name).read_text())
    command = ["systemd-analyze", "verify", str(unit), str(sockets)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
