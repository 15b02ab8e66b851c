"""A TCP proxy on loopback that can be told at any time to carry bytes badly, each direction by itself.

    proxy = FaultProxy(("127.0.0.1", redis.port))
    await proxy.start()                               # clients connect to proxy.address
    proxy.to_client.become(Weather(latency_s=0.2))    # answers are late, questions are not
    proxy.become(Weather(breaks=Break.SILENCE))       # both ways: nothing passes, and nobody is told
    proxy.become(CLEAR)                               # what was held back arrives now
    proxy.cut()                                       # every open connection is reset, new ones are welcome
    await proxy.stop()

What it does to bytes it does to all connections alike, those that are open and those to come.
"""

from __future__ import annotations

import asyncio
import random
import struct
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from socket import SO_LINGER, SOL_SOCKET
from types import TracebackType
from typing import Self

_PIECE_BYTES = 2**16
_CONNECT_S = 5.0
_SEED = 7


class Break(Enum):
    """What becomes of the bytes of one direction."""

    SILENCE = auto()  # held back, until the weather changes
    RESET = auto()  # the first of them ends both connections by RST
    HALF_CLOSE = auto()  # the first of them is passed on with a FIN behind it; the other direction goes on
    GARBAGE = auto()  # random bytes in their place, as many


@dataclass(frozen=True)
class Weather:
    """How one direction is carried: each piece `latency_s` late, no faster than `bytes_per_s`, in pieces no larger
    than `slice_bytes`."""

    latency_s: float = 0.0
    bytes_per_s: float | None = None
    slice_bytes: int | None = None
    breaks: Break | None = None


CLEAR = Weather()
SILENT, RESETTING = Weather(breaks=Break.SILENCE), Weather(breaks=Break.RESET)
HALF_CLOSING, GARBLED = Weather(breaks=Break.HALF_CLOSE), Weather(breaks=Break.GARBAGE)


class Way:
    """One direction of a proxy, for all its connections. `carried_bytes` is what has been read off its near end."""

    def __init__(self) -> None:
        self.weather = CLEAR
        self.carried_bytes = 0
        self._changed = asyncio.Event()

    def become(self, weather: Weather) -> None:
        self.weather = weather
        self._changed.set()
        self._changed = asyncio.Event()

    async def until_it_changes(self, within_s: float | None = None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._changed.wait()


class FaultProxy:
    """Carries connections to `target`. `connections` counts all that ever came."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.to_server, self.to_client = Way(), Way()
        self.connections = 0
        self.port = 0
        self._dice = random.Random(_SEED)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def open_connections(self) -> int:
        return len(self._tasks)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, on the port it had before where it was stopped."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Reset what is open and listen no more: connections are refused until it is started again."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def become(self, weather: Weather) -> None:
        """Both directions at once."""
        self.to_server.become(weather)
        self.to_client.become(weather)

    def cut(self) -> None:
        for writer in list(self._writers):
            _reset(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        far: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(_CONNECT_S):
                far_reader, far = await asyncio.open_connection(*self.target)
            self._writers.add(far)
            await self._carry_both(reader, writer, far_reader, far)
        except (OSError, TimeoutError, asyncio.CancelledError):
            _reset(writer)  # what the other end did, this end sees
            if far is not None:
                _reset(far)
        finally:
            self._tasks.discard(task)
            for one in (writer, far):
                if one is not None:
                    self._writers.discard(one)
                    one.close()
                    with suppress(OSError, TimeoutError, asyncio.CancelledError):
                        await asyncio.wait_for(one.wait_closed(), 1)

    async def _carry_both(
        self,
        near_reader: asyncio.StreamReader,
        near: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far: asyncio.StreamWriter,
    ) -> None:
        carrying = [
            asyncio.create_task(self._carry(self.to_server, near_reader, far)),
            asyncio.create_task(self._carry(self.to_client, far_reader, near)),
        ]
        try:
            await asyncio.gather(*carrying)
        finally:
            for task in carrying:
                task.cancel()
            await asyncio.gather(*carrying, return_exceptions=True)

    async def _carry(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the near end closes, which is passed on. Raises `OSError` when either end broke or is to break."""
        while data := await reader.read(_PIECE_BYTES):
            way.carried_bytes += len(data)
            while data:
                piece, data = await self._due(way, data)
                if way.weather.breaks is Break.RESET:
                    raise ConnectionResetError
                writer.write(self._dice.randbytes(len(piece)) if way.weather.breaks is Break.GARBAGE else piece)
                await writer.drain()
                if way.weather.breaks is Break.HALF_CLOSE:
                    writer.write_eof()
                    return
        while way.weather.breaks is Break.SILENCE:
            await way.until_it_changes()
        if writer.can_write_eof():
            writer.write_eof()

    async def _due(self, way: Way, data: bytes) -> tuple[bytes, bytes]:
        """The piece that may be passed on now, and what is left of `data`. The weather may change meanwhile."""
        weather = way.weather
        size = min(len(data), weather.slice_bytes or len(data))
        pause_s = weather.latency_s
        if weather.bytes_per_s is not None:
            size = min(size, max(1, int(weather.bytes_per_s / 10)))
            pause_s += size / weather.bytes_per_s
        if pause_s:
            await way.until_it_changes(pause_s)
        elif weather.slice_bytes is not None:
            await asyncio.sleep(0)  # each slice a segment of its own
        while way.weather.breaks is Break.SILENCE:
            await way.until_it_changes()
        return data[:size], data[size:]


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0 and not writer.transport.is_closing():
        sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
