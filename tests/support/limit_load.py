"""Callers of a fleet, each at its own rate, and what they were answered."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter

from support.fleet import Fleet
from support.processes import ServedGateway
from support.wire import BrokenOffError, Client, request

from gateway.http.syntax import B64TOKEN

CONNECTIONS = 16
NO_ANSWER = 0


async def load(served: Fleet, rates: dict[str, float], for_s: float) -> tuple[Counter[tuple[str, int]], float]:
    """Each caller at its rate, spread over all gateways; the statuses, and how long it took.

    The name of a caller is its token. Anything else would be refused as a bad request, on a connection that ends.
    """
    wrong = [who for who in rates if not re.fullmatch(B64TOKEN, who)]
    if wrong:
        raise ValueError(f"not what a token can be: {wrong}")
    began_s = time.monotonic()
    statuses: Counter[tuple[str, int]] = Counter()
    await asyncio.gather(*(_caller(served, who, rate, for_s, statuses) for who, rate in rates.items()))
    return statuses, time.monotonic() - began_s


async def _caller(served: Fleet, who: str, rate: float, for_s: float, statuses: Counter[tuple[str, int]]) -> None:
    idle: asyncio.Queue[_Connection] = asyncio.Queue()
    for number in range(CONNECTIONS):
        idle.put_nowait(_Connection(served, served.gateways[number % len(served.gateways)]))
    began_s = time.monotonic()

    async def one() -> None:
        connection = await idle.get()
        statuses[who, await connection.status(who)] += 1
        idle.put_nowait(connection)

    async with asyncio.TaskGroup() as group:
        number = 0
        while (now_s := time.monotonic() - began_s) < for_s:
            if number < now_s * rate:
                group.create_task(one())
                number += 1
            else:
                await asyncio.sleep(0.002)


class _Connection:
    """A connection to `gateway`, kept for as long as the answers on it let it be kept."""

    def __init__(self, served: Fleet, gateway: ServedGateway) -> None:
        self._served = served
        self._gateway = gateway
        self._client: Client | None = None

    async def status(self, token: str) -> int:
        """Of one request; `NO_ANSWER` where the gateway ended the connection instead."""
        if self._client is None:
            [self._client] = await self._served.connect(1, [self._gateway])
        client = self._client
        try:
            await client.send(request("GET", "/api/x", token=token))
            answer = await client.answer()
        except (BrokenOffError, OSError):
            self._client = None
            return NO_ANSWER
        if answer.value("Connection") == "close":
            self._client = None
        return answer.status
