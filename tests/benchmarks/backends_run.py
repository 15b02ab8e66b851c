"""The rounds of `backends.py`: each starts two backends, a server before them, and clients."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.comparison import nginx
from benchmarks.stopping_run import until_open
from support.full_queue import full
from support.keycloak import free_ports
from support.served import served

Running = AbstractContextManager["subprocess.Popen[bytes]"]

WAYS = ("refuses", "swallows", "says nothing", "is not well", "dies under load")
_DIES_AFTER = 200
_SLOW_S = 1.0
# Between two requests of a client. Questions about a backend's health take seconds to say something.
_PAUSE_S = {"is not well": 0.1}
_GIVEN_UP_S = 150.0
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
_UNWELL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
_NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1; {user}
events {{ worker_connections 1024; }}
http {{
    access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    upstream backends {{ server 127.0.0.1:{bad}; server 127.0.0.1:{good}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port}; keepalive_requests 1000000;
        location / {{ proxy_pass http://backends; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""


@dataclass
class Noticed:
    answered: int = 0
    failed: int = 0
    slow: int = 0
    slowest_s: float = 0.0

    def add(self, status: int, took_s: float) -> None:
        is_good = 200 <= status < 500
        self.answered += is_good
        self.failed += not is_good
        self.slow += took_s > _SLOW_S
        self.slowest_s = max(self.slowest_s, took_s)


class _Backend:
    """Answers at once, as its way allows."""

    def __init__(self, way: str) -> None:
        self._way = way
        self._left = _DIES_AFTER
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"Content-Length: 5" in head:
                    await reader.readexactly(5)
                if self._way == "says nothing":
                    await asyncio.sleep(_GIVEN_UP_S)
                self._left -= 1
                if self._way == "dies under load" and self._left < 0:
                    self.stop()
                    return
                writer.write(_UNWELL if self._way == "is not well" else _OK)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # cancelled: the round is over
        finally:
            self._writers.discard(writer)
            writer.close()


@asynccontextmanager
async def _bad(way: str) -> AsyncIterator[int]:
    if way == "swallows":
        with full() as url:
            yield int(url.rpartition(":")[2])
        return
    backend = _Backend(way)
    await backend.start()
    if way == "refuses":
        backend.stop()
    yield backend.port
    backend.stop()


async def compared(requests: int, clients: int, folder: Path) -> str:
    """A table of what clients notice in each way, of the gateway and of nginx."""
    lines = ["| the backend | server | answered | failed | slow | slowest |", "| --- | --- | --- | --- | --- | --- |"]
    for way in WAYS:
        for name in ("gateway", "nginx"):
            place = folder / f"{way}-{name}".replace(" ", "-")
            place.mkdir()
            one = await round_of(way, name, requests, clients, place)
            lines.append(f"| {way} | {name} | {one.answered} | {one.failed} | {one.slow} | {one.slowest_s:.2f} s |")
            print(lines[-1], flush=True)
    return "\n".join(lines)


async def round_of(way: str, name: str, requests: int, clients: int, folder: Path) -> Noticed:
    good = _Backend("good")
    await good.start()
    port, admin_port = free_ports(2)
    async with _bad(way) as bad:
        running = (
            _nginx(port, bad, good.port, folder)
            if name == "nginx"
            else _gateway(way, port, admin_port, bad, good.port, folder)
        )
        await asyncio.to_thread(running.__enter__)
        try:
            noticed = Noticed()
            numbers = iter(range(requests))
            await asyncio.gather(*(_client(port, numbers, noticed, _PAUSE_S.get(way, 0.0)) for _ in range(clients)))
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)
    good.stop()
    return noticed


async def _client(port: int, numbers: Iterator[int], noticed: Noticed, pause_s: float) -> None:
    reader, writer = None, None
    for number in numbers:
        began_s = time.monotonic()
        try:
            if reader is None or writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_request(number))
            async with asyncio.timeout(_GIVEN_UP_S):
                status, is_kept = await _answer(reader)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            status, is_kept = 0, False
        noticed.add(status, time.monotonic() - began_s)
        if not is_kept and writer is not None:
            writer.close()
            reader, writer = None, None
        await asyncio.sleep(pause_s)
    if writer is not None:
        writer.close()


def _request(number: int) -> bytes:
    if number // 2 % 2:  # so that each backend gets both, where they take turns
        return b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    return b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    lengths = [int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")]
    await reader.readexactly(lengths[0])
    return int(head[9:12]), b"connection: close" not in head


def _gateway(way: str, port: int, admin_port: int, bad: int, good: int, folder: Path) -> Running:
    route = {"name": "all", "backend": [f"http://127.0.0.1:{each}" for each in (bad, good)], "auth": "none"}
    health = {"health": {"path": "/healthz", "interval": "1s"}} if way == "is not well" else {}
    document = {
        "server": {"listen": f"127.0.0.1:{port}"},
        "admin": {"listen": f"127.0.0.1:{admin_port}"},
        "log": {"access": False},
        "routes": [route | health],
    }
    file = folder / "gateway.yaml"
    file.write_text(json.dumps(document))
    return served(file, admin_port)


@contextmanager
def _nginx(port: int, bad: int, good: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    user = "user root;" if os.geteuid() == 0 else ""
    file = folder / "nginx.conf"
    file.write_text(_NGINX.format(folder=folder, user=user, bad=bad, good=good, port=port))
    process = subprocess.Popen([nginx.binary(), "-c", str(file), "-p", str(folder)])
    try:
        until_open(port)
        yield process
    finally:
        process.terminate()
        process.wait(60.0)
