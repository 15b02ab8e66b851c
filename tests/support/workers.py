"""One connection to each worker of a gateway: which one answers is the kernel's choice, so it is looked up (Linux)."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

from support.processes import ServedGateway
from support.wire import Client

_WITHIN_S = 20.0
_ESTABLISHED = "01"


async def client_of_each(gateway: ServedGateway) -> dict[int, Client]:
    """By the worker's id. They stay open until the caller closes them."""
    workers = set(gateway.workers())
    found: dict[int, Client] = {}
    deadline = time.monotonic() + _WITHIN_S
    while found.keys() != workers:
        assert time.monotonic() < deadline, f"no connection to each of {workers}"
        client = await Client.of(gateway.address)
        port = client.writer.get_extra_info("sockname")[1]
        worker = await _worker_of(workers, gateway.address[1], port)
        if worker is None or worker in found:
            await client.close()
        else:
            found[worker] = client
    return found


async def _worker_of(workers: set[int], port: int, peer_port: int) -> int | None:
    """Who holds the other end, once it was accepted."""
    for _ in range(100):
        inode = _inode(port, peer_port)
        for worker in workers:
            if inode is not None and inode in _sockets(worker):
                return worker
        await asyncio.sleep(0.01)
    return None


def _inode(port: int, peer_port: int) -> str | None:
    loopback = socket.inet_aton("127.0.0.1")[::-1].hex().upper()
    ends = (f"{loopback}:{port:04X}", f"{loopback}:{peer_port:04X}")
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if (fields[1], fields[2]) == ends and fields[3] == _ESTABLISHED:
            return fields[9]
    return None


def _sockets(pid: int) -> set[str]:
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:
            continue  # closed meanwhile
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found
