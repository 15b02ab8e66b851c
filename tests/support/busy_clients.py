"""Keep-alive clients that ask one thing after the other while a server stops, and what each of them met.

A client connects again where its connection was ended as HTTP/1.1 allows, and ends when it is refused.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field

from support.wire import BrokenOffError, Client, request

_PATIENCE_S = 30.0


@dataclass
class Met:
    """`lost`: when a request on a connection that stood got no response; `refused`: when a connection was. Both are
    counted in seconds from `stopped_s`, the moment of the signal.
    """

    answered: int = 0
    answered_while_stopping: int = 0
    others: list[int] = field(default_factory=list)  # statuses but 200
    lost: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    stopped_s: float | None = None

    @property
    def since_s(self) -> float:
        return -1.0 if self.stopped_s is None else time.monotonic() - self.stopped_s


class BusyClients:
    """`think_s` is the longest time, drawn anew each time, between a response and the next request."""

    def __init__(self, address: tuple[str, int] | str, count: int, think_s: float, token: str | None) -> None:
        self.met = Met()
        self._address = address
        self._wire = request("GET", "/api/x", token=token)
        self._think_s = think_s
        self._random = random.Random(count)
        self._tasks = [asyncio.create_task(self._ask()) for _ in range(count)]

    def stopping(self) -> None:
        """The signal is sent now."""
        self.met.stopped_s = time.monotonic()

    async def ended(self) -> Met:
        """All have been refused; the first ones by the closed port."""
        async with asyncio.timeout(_PATIENCE_S):
            await asyncio.gather(*self._tasks)
        return self.met

    async def _ask(self) -> None:
        while True:
            try:
                client = await Client.of(self._address)
            except OSError:
                self.met.refused.append(self.met.since_s)
                return
            async with client:
                await self._ask_on(client)

    async def _ask_on(self, client: Client) -> None:
        """Until the server has said that it ends the connection, or was seen to end it."""
        while not await self._is_ended(client):
            try:
                await client.send(self._wire)
                answer = await client.answer()
            except (BrokenOffError, OSError, TimeoutError):
                self.met.lost.append(self.met.since_s)
                return
            self.met.answered += 1
            self.met.answered_while_stopping += self.met.stopped_s is not None
            if answer.status != 200:
                self.met.others.append(answer.status)
            if answer.value("Connection") == "close":
                return

    async def _is_ended(self, client: Client) -> bool:
        """Think, and look whether the server has ended the connection meanwhile."""
        await asyncio.sleep(self._random.uniform(0, self._think_s) if self._think_s else 0)
        return client.has_ended
