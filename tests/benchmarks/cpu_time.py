"""The CPU time that processes take for requests, each with a bearer token of its own or all with one."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path

from support.wire import Client, request

CONNECTIONS, AT_ONCE = 4, 25


async def cpu_us(
    address: tuple[str, int], pids: Collection[int], path: str, tokens: Sequence[str], statuses: Collection[int]
) -> float:
    """For each of `tokens`, in microseconds. Every request has to get one of `statuses`."""
    before_s = _cpu_s(pids)
    await asyncio.gather(*(_send(address, path, tokens[lane::CONNECTIONS], statuses) for lane in range(CONNECTIONS)))
    return (_cpu_s(pids) - before_s) / len(tokens) * 1e6


async def _send(address: tuple[str, int], path: str, tokens: Sequence[str], statuses: Collection[int]) -> None:
    async with await Client.of(address) as client:
        for start in range(0, len(tokens), AT_ONCE):
            part = tokens[start : start + AT_ONCE]
            await client.send(b"".join(request("GET", path, token=token) for token in part))
            for _ in part:
                answer = await client.answer()
                assert answer.status in statuses, answer


def _cpu_s(pids: Collection[int]) -> float:
    """Of all threads, to the nanosecond (a tick of /proc/PID/stat is 10 ms)."""
    threads = [thread for pid in pids for thread in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9
