import asyncio
import socket

import pytest

from gateway.runtime.service_manager import ServiceManager


@pytest.fixture
def told(tmp_path):
    """A manager's end: its address, and what it was told so far."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        address = str(tmp_path / "notify")
        sock.bind(address)
        sock.setblocking(False)

        def messages():
            found = []
            while True:
                try:
                    found.append(sock.recv(4096).decode())
                except BlockingIOError:
                    return found

        messages.address = address
        yield messages


def manager(address, **more):
    return ServiceManager.from_environment({"NOTIFY_SOCKET": address, **more}, 7, lambda: 123)


def test_each_state_is_one_message(told):
    one = manager(told.address)
    one.ready("serving on 127.0.0.1:8080")
    one.reloading()
    one.ready("serving; reload refused: gateway.yaml:3: bad\ngateway.yaml:4: worse")
    one.stopping(40.0)
    assert told() == [
        "READY=1\nSTATUS=serving on 127.0.0.1:8080",
        "RELOADING=1\nMONOTONIC_USEC=123\nSTATUS=reloading",
        # On one line: a line of its own would be another message of ours.
        "READY=1\nSTATUS=serving; reload refused: gateway.yaml:3: bad gateway.yaml:4: worse",
        "STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000\nSTATUS=draining",
    ]
    one.reloading()
    one.ready("a reload that was under way")
    assert told() == []


def test_without_a_manager_nothing_is_sent(monkeypatch):
    monkeypatch.setattr(socket, "socket", None)
    silent = ServiceManager.from_environment({}, 7, lambda: 0)
    silent.ready("")
    silent.reloading()
    silent.stopping(1.0)
    assert silent.watchdog_s is None


def test_the_variables_are_taken_out_so_that_no_worker_speaks():
    environ = {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "7", "OTHER": "x"}
    ServiceManager.from_environment(environ, 7, lambda: 0)
    assert environ == {"OTHER": "x"}


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0", "WATCHDOG_PID": "7"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_for_this_process_alone(environ, watchdog_s):
    assert ServiceManager.from_environment(dict(environ), 7, lambda: 0).watchdog_s == watchdog_s


async def test_signs_of_life_come_twice_in_its_time(told):
    one = manager(told.address, WATCHDOG_USEC="200000")
    task = asyncio.create_task(one.keep_alive())
    await asyncio.sleep(0.45)
    task.cancel()
    assert 3 <= len(told()) <= 5
    await ServiceManager().keep_alive()  # returns


def test_an_abstract_address(told):
    name = f"gateway-test-{id(told)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(5)
        manager("@" + name).ready("there")
        assert sock.recv(100) == b"READY=1\nSTATUS=there"


def test_a_manager_that_is_gone_is_logged_and_hinders_nothing(tmp_path, caplog):
    manager(str(tmp_path / "nobody")).ready("serving")
    assert caplog.records[0].event == "manager_unreachable"
    assert caplog.records[0].fields["reason"] == "No such file or directory"
