"""`gateway serve` as systemd starts it: with sockets at descriptor 3 and a socket to report to."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import children
from support.running_gateway import eventually
from support.served import STOP_WITHIN_S
from support.wire import Client, request

# What systemd does after fork: the descriptors go to 3 and up, and LISTEN_PID is the child's own.
STARTER = """
import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",") if fd]
for place, fd in enumerate(fds, 3):
    os.dup2(fd, place, inheritable=True)
    assert fd >= 3 + len(fds)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)))
os.execv(sys.executable, [sys.executable, "-m", "gateway", "serve", sys.argv[2]])
"""


class Manager:
    def __init__(self, folder):
        self.folder = folder
        self.told = []
        self.process = None
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(folder / "notify"))
        self._notify.setblocking(False)
        self._sockets = []

    def listen(self, address=("127.0.0.1", 0), family=socket.AF_INET):
        one = socket.socket(family, socket.SOCK_STREAM)
        one.bind(address)
        one.listen(100)
        self._sockets.append(one)
        return one.getsockname()

    def write(self, listen, admin, workers=1, **server):
        document = {
            "server": {"listen": listen, "workers": workers, **server},
            "admin": {"listen": admin},
            "routes": [{"name": "r", "match": {"path": "/**"}, "backend": "http://127.0.0.1:1", "auth": "none"}],
        }
        (self.folder / "gateway.yaml").write_text(json.dumps(document))

    def start(self):
        fds = [one.fileno() for one in self._sockets]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", STARTER, ",".join(map(str, fds)), str(self.folder / "gateway.yaml")],
                env={**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify"), "WATCHDOG_USEC": "1000000"},
                pass_fds=fds,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def messages(self, word):
        while True:
            try:
                self.told.append(self._notify.recv(4096).decode())
            except BlockingIOError:
                return [one for one in self.told if one.startswith(word)]

    async def until(self, word, count=1):
        await eventually(lambda: len(self.messages(word)) >= count or self.process.poll() is not None, 60)
        assert len(self.messages(word)) >= count, (self.folder / "log").read_text()
        return self.messages(word)[count - 1]

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(STOP_WITHIN_S) if self.process is not None else 0

    def close(self):
        self.stop()
        for one in (self._notify, *self._sockets):
            one.close()


@pytest.fixture
def manager(tmp_path):
    one = Manager(tmp_path)
    yield one
    one.close()


async def status_of(address):
    async with await Client.of(address) as client:
        await client.send(request("GET", "/"))
        return (await client.answer()).status


def held_by(pid):
    """The sockets of a process by their inodes, and its environment as it was started."""
    links = [one.readlink() for one in Path(f"/proc/{pid}/fd").iterdir()]
    return {str(one) for one in links if "socket:" in str(one)}, Path(f"/proc/{pid}/environ").read_bytes()


@pytest.mark.parametrize("workers", [1, 2])
async def test_it_serves_on_what_it_inherits_and_reports_each_state(manager, workers):
    address, admin = manager.listen(), manager.listen()
    manager.write(f"127.0.0.1:{address[1]}", f"127.0.0.1:{admin[1]}", workers)
    async with await Client.of(address) as early:
        await early.send(request("GET", "/"))  # before it is started: it waits in the socket
        manager.start()
        ready = await manager.until("READY=1")
        assert (await early.answer()).status == 502
    assert f"serving on 127.0.0.1:{address[1]}, {workers} worker" in ready
    assert [await status_of(address) for _ in range(4)] == [502] * 4
    manager.process.send_signal(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in await manager.until("RELOADING=1")
    await manager.until("READY=1", 2)
    (manager.folder / "gateway.yaml").write_text("nonsense: 1\n")
    manager.process.send_signal(signal.SIGHUP)
    assert "reload refused: " in await manager.until("READY=1", 3)
    await manager.until("WATCHDOG=1", 3)
    assert manager.stop() == 0
    assert "EXTEND_TIMEOUT_USEC=" in await manager.until("STOPPING=1")
    # The manager's socket still listens: the next start serves who comes now.
    with socket.create_connection(address, timeout=5):
        pass


async def test_workers_inherit_one_listener_and_nothing_else(manager):
    address, admin = manager.listen(), manager.listen()
    manager.write(f"127.0.0.1:{address[1]}", f"127.0.0.1:{admin[1]}", 2)
    manager.start()
    await manager.until("READY=1")
    listener, admin_listener = (f"socket:[{os.fstat(one.fileno()).st_ino}]" for one in manager._sockets)
    for worker in children(manager.process.pid):
        held, environ = held_by(worker)
        assert listener in held
        assert admin_listener not in held
        assert not [name for name in (b"LISTEN_FDS", b"NOTIFY_SOCKET", b"WATCHDOG_USEC") if name in environ]


async def test_a_unix_socket_of_the_manager_stays_where_it_is(manager, tmp_path):
    path, admin = tmp_path / "g.sock", manager.listen()
    manager.listen(str(path), socket.AF_UNIX)
    manager.write(f"unix:{path}", f"127.0.0.1:{admin[1]}")
    manager.start()
    await manager.until("READY=1")
    assert await status_of(str(path)) == 502
    assert manager.stop() == 0
    assert path.is_socket()


async def test_a_socket_that_the_file_does_not_name_stops_the_start(manager):
    address = manager.listen()
    manager.write("127.0.0.1:0", "127.0.0.1:0")
    manager.start()
    assert await asyncio.to_thread(manager.process.wait, 60) == 1
    assert f"127.0.0.1:{address[1]}, which is neither" in (manager.folder / "log").read_text()
