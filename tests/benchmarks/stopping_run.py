"""The rounds of `stopping.py`: each starts a server, sets clients on it, and stops it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.comparison import nginx
from support.backend import Backend, ok, script
from support.busy_clients import BusyClients, Met
from support.keycloak import free_ports
from support.served import served

Running = AbstractContextManager["subprocess.Popen[bytes]"]

_WARM_S = 0.5
_ENDS_WITHIN_S = 60.0
_THINKING_S = (0.0, 0.05)
_NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes {workers}; {user}
events {{ worker_connections 1024; }}
http {{
    access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port} {reuseport}; keepalive_requests 1000000;
        location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""


@dataclass(frozen=True)
class Case:
    server: str  # gateway or nginx
    workers: int
    drain_delay_s: float = 0.0


CASES = [
    *(Case("gateway", workers, delay_s) for workers in (1, 2) for delay_s in (0.0, 1.0)),
    *(Case("nginx", workers) for workers in (1, 2)),
]


@dataclass
class Tally:
    answered: int = 0
    while_stopping: int = 0
    lost: int = 0
    early: int = 0  # refused within drain_delay
    rounds_s: list[float] = field(default_factory=list)  # from the signal to the end of the process

    def add(self, met: Met, drain_delay_s: float) -> None:
        self.answered += met.answered
        self.while_stopping += met.answered_while_stopping
        self.lost += len(met.lost) + len(met.others)
        self.early += sum(moment_s < drain_delay_s for moment_s in met.refused)


@dataclass
class Report:
    tallies: dict[tuple[Case, float], Tally]

    @property
    def is_sound(self) -> bool:
        return not any(
            tally.lost + tally.early for (case, _), tally in self.tallies.items() if case.server == "gateway"
        )

    def table(self) -> str:
        lines = [
            "| server | workers | drain_delay | think | answered | while stopping | lost | refused early | took |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        for (case, think_s), tally in self.tallies.items():
            took = f"{min(tally.rounds_s):.1f}-{max(tally.rounds_s):.1f} s"
            lines.append(
                f"| {case.server} | {case.workers} | {case.drain_delay_s:g} s | 0-{think_s * 1000:g} ms "
                f"| {tally.answered} | {tally.while_stopping} | {tally.lost} | {tally.early} | {took} |"
            )
        return "\n".join(lines)


async def stopping(rounds: int, clients: int, folder: Path) -> Report:
    backend = Backend()
    await backend.start()
    backend.default = script(ok(b"hello"))
    tallies = {(case, think_s): Tally() for case in CASES for think_s in _THINKING_S}
    try:
        for number in range(rounds):
            for (case, think_s), tally in tallies.items():
                place = folder / f"{case.server}-{case.workers}-{case.drain_delay_s:g}-{think_s:g}-{number}"
                place.mkdir()
                await _round(case, think_s, clients, backend.url, place, tally)
    finally:
        await backend.stop()
    return Report(tallies)


async def _round(case: Case, think_s: float, clients: int, backend: str, folder: Path, tally: Tally) -> None:
    port, admin_port = free_ports(2)
    running = (
        _nginx(case, port, backend, folder)
        if case.server == "nginx"
        else _gateway(case, port, admin_port, backend, folder)
    )
    process = await asyncio.to_thread(running.__enter__)
    try:
        busy = BusyClients(("127.0.0.1", port), clients, think_s, None)
        await asyncio.sleep(_WARM_S)
        busy.stopping()  # before the signal: the server's delay may begin before the call returns
        process.send_signal(signal.SIGQUIT if case.server == "nginx" else signal.SIGTERM)
        began_s = time.monotonic()
        ending = asyncio.create_task(asyncio.to_thread(process.wait, _ENDS_WITHIN_S))
        tally.add(await busy.ended(), case.drain_delay_s)
        await ending
        tally.rounds_s.append(time.monotonic() - began_s)
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


def _gateway(case: Case, port: int, admin_port: int, backend: str, folder: Path) -> Running:
    document = {
        "server": {
            "listen": f"127.0.0.1:{port}",
            "workers": case.workers,
            "drain_delay": f"{case.drain_delay_s:g}s",
        },
        "admin": {"listen": f"127.0.0.1:{admin_port}"},
        "log": {"access": False},
        "routes": [{"name": "all", "backend": backend, "auth": "none"}],
    }
    file = folder / "gateway.yaml"
    file.write_text(json.dumps(document))
    return served(file, admin_port)


@contextmanager
def _nginx(case: Case, port: int, backend: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    text = _NGINX.format(
        folder=folder,
        workers=case.workers,
        user="user root;" if os.geteuid() == 0 else "",
        backend=backend.rpartition(":")[2],
        port=port,
        reuseport="reuseport" if case.workers > 1 else "",
    )
    file = folder / "nginx.conf"
    file.write_text(text)
    process = subprocess.Popen([nginx.binary(), "-c", str(file), "-p", str(folder)])
    try:
        until_open(port)
        yield process
    finally:
        process.terminate()
        process.wait(_ENDS_WITHIN_S)


def until_open(port: int) -> None:
    deadline_s = time.monotonic() + _ENDS_WITHIN_S
    while time.monotonic() < deadline_s:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("nginx did not open its port")
