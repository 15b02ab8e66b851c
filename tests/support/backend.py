"""A backend on loopback that keeps the exact bytes of each connection and answers by script, however badly.

It splits requests by itself, strictly: what is not plainly one request is written to `faults` and the connection is
closed. An answer is a script of steps; bytes are sent as they stand:

    backend.answers.append(script(ok(b"hello")))             # for the next request
    backend.default = script(b"HTTP/1.1 200 OK\\r\\nCon", Pause(0.1), RESET)
    ...
    assert backend.requests[0].head == b"GET /a HTTP/1.1\\r\\nHost: ..."

Everything else is done by hand on `backend.connections[n]`: `send`, `close`, `reset`, `pause`, `wait_for`.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from socket import SO_LINGER, SOL_SOCKET

from support.fields import Fields

SOON_S = 10.0  # generous: the machine may be busy; what is waited for comes at once
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~]+) HTTP/1\.([01])")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([\t -~\x80-\xff]*)")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_BUFFER_BYTES = 2**16


class End(Enum):
    """How a script may end; without one the connection stays open for the next request."""

    CLOSE = auto()  # FIN
    RESET = auto()  # RST
    HANG = auto()  # nothing more until the other end closes
    RAW = auto()  # no more requests: what comes from now on is only kept


CLOSE, RESET, HANG, RAW = End.CLOSE, End.RESET, End.HANG, End.RAW


@dataclass(frozen=True)
class Pause:
    seconds: float


@dataclass(frozen=True)
class Drip:
    """Bytes one at a time, with a pause after each."""

    wire: bytes
    pause_s: float = 0.0


@dataclass(frozen=True)
class Wait:
    """Go on once the event is set."""

    event: asyncio.Event


Step = bytes | Pause | Drip | Wait | End


@dataclass(frozen=True)
class Script:
    steps: tuple[Step, ...]
    at_head: bool = False  # begin before the body has come


def script(*steps: Step, at_head: bool = False) -> Script:
    return Script(steps, at_head)


def ok(body: bytes = b"", *fields: str, status: str = "200 OK") -> bytes:
    """A sound answer with `Content-Length`; `fields` are lines such as `X-A: b`."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


def chunked(*chunks: bytes, fields: tuple[str, ...] = (), end: bytes = b"0\r\n\r\n") -> bytes:
    head = "\r\n".join(["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", *fields, "", ""]).encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


class FramingError(Exception):
    """What came is not plainly one request."""


@dataclass
class SeenRequest(Fields):
    """One request; `body` grows as it comes, `whole` is set at its end."""

    head: bytes  # with the empty line
    method: str
    target: str
    version: str
    fields: list[tuple[str, str]]  # as they came, bytes as latin-1
    connection: SeenConnection = field(repr=False)
    body: bytes = b""
    trailers: bytes = b""
    whole: bool = False


class SeenConnection:
    """One connection as this end sees it. `ended` is `closed` or `reset` once the other end has gone."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.received = bytearray()  # every byte
        self.requests: list[SeenRequest] = []
        self.ended: str | None = None
        self.is_raw = False  # after a script that ended with RAW
        self._unread = bytearray()
        self._reader = reader
        self._writer = writer
        self._arrived = asyncio.Condition()
        self._reading = asyncio.Event()
        self._reading.set()

    @property
    def unread(self) -> bytes:
        """What came and is not, or not yet, part of a request."""
        return bytes(self._unread)

    def send(self, wire: bytes) -> None:
        self._writer.write(wire)

    def close(self) -> None:
        self._writer.close()

    def send_no_more(self) -> None:
        """End this direction alone."""
        self._writer.write_eof()

    def reset(self) -> None:
        sock = self._writer.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def unsent(self) -> int:
        """How many bytes wait because the other end reads too slowly."""
        return self._writer.transport.get_write_buffer_size()

    def pause(self) -> None:
        """Read nothing more, so that the other end's writes back up."""
        self._reading.clear()

    def resume(self) -> None:
        self._reading.set()

    async def wait_for(self, wire: bytes) -> None:
        """Return once `wire` has been received."""
        await self._until(lambda: wire in self.received)

    async def wait_ended(self) -> str:
        await self._until(lambda: self.ended is not None)
        assert self.ended is not None
        return self.ended

    async def wait_gone(self) -> None:
        """As `wait_ended`, for as long as the test lasts."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self.ended is not None)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON_S), self._arrived:
            await self._arrived.wait_for(condition)

    async def pump(self) -> None:
        ended = "closed"
        try:
            while True:
                await self._reading.wait()
                data = await self._reader.read(_BUFFER_BYTES)
                if not data:
                    break
                self.received += data
                self._unread += data
                async with self._arrived:
                    self._arrived.notify_all()
        except OSError:
            ended = "reset"
        self.ended = ended
        async with self._arrived:
            self._arrived.notify_all()

    async def take_line(self) -> bytes:
        """The next line, without its CRLF."""
        end = await self._find(b"\r\n")
        return self._cut(end + 2)[:-2]

    async def take_head(self) -> bytes:
        end = await self._find(b"\r\n\r\n")
        return self._cut(end + 4)

    async def take_some(self, at_most: int) -> bytes:
        await self._until_unread(lambda: bool(self._unread))
        return self._cut(at_most)

    async def _find(self, wanted: bytes) -> int:
        await self._until_unread(lambda: wanted in self._unread)
        return self._unread.index(wanted)

    async def _until_unread(self, condition: Callable[[], bool]) -> None:
        """Without a deadline: an idle connection waits for its next request as long as the test lasts."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: condition() or self.ended is not None)
        if not condition():
            raise EOFError

    def _cut(self, size: int) -> bytes:
        data = bytes(self._unread[:size])
        del self._unread[:size]
        return data

    async def play(self, steps: tuple[Step, ...]) -> End | None:
        """Take the steps; how it ended."""
        for step in steps:
            match step:
                case bytes():
                    self.send(step)
                    await self._writer.drain()
                case Pause():
                    await asyncio.sleep(step.seconds)
                case Wait():
                    await step.event.wait()
                case Drip():
                    for byte in step.wire:
                        self.send(bytes([byte]))
                        await asyncio.sleep(step.pause_s)
                case End():
                    return step
        return None


def hello(request: SeenRequest) -> Script:
    answer = ok(b"from the backend")
    return script(answer.removesuffix(b"from the backend") if request.method == "HEAD" else answer)


class Backend:
    """`answers` are used up first, one for each request, then `default`, which may be made from the request.

    With `path` it listens on a Unix socket, else at `host`.
    """

    def __init__(
        self, ssl_context: ssl.SSLContext | None = None, *, path: str | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.answers: deque[Script] = deque()
        self.default: Script | Callable[[SeenRequest], Script] = hello
        self.connections: list[SeenConnection] = []
        self.requests: list[SeenRequest] = []
        self.faults: list[str] = []
        self.port = 0
        self._path = path
        self._host = host
        self._ssl = ssl_context
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._came = asyncio.Condition()

    @property
    def url(self) -> str:
        if self._path is not None:
            return f"unix:{self._path}"
        return f"https://localhost:{self.port}" if self._ssl else f"http://{self._host}:{self.port}"

    async def start(self) -> None:
        """Listen, on the port it had before where it was stopped."""
        if self._path is not None:
            self._server = await asyncio.start_unix_server(self._accept, self._path)
            return
        self._server = await asyncio.start_server(self._accept, self._host, self.port, ssl=self._ssl)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in self.connections:
            if connection.ended is None:
                connection.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._server = None

    async def seen(self, count: int = 1) -> SeenRequest:
        """The `count`-th request, once its head is there."""
        async with asyncio.timeout(SOON_S), self._came:
            await self._came.wait_for(lambda: len(self.requests) >= count)
        return self.requests[count - 1]

    async def connected(self, count: int = 1) -> SeenConnection:
        async with asyncio.timeout(SOON_S), self._came:
            await self._came.wait_for(lambda: len(self.connections) >= count)
        return self.connections[count - 1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection = SeenConnection(len(self.connections), reader, writer)
        self.connections.append(connection)
        await self._tell()
        pump = asyncio.create_task(connection.pump())
        try:
            await self._converse(connection)
        except FramingError as error:
            self.faults.append(str(error))
        except (EOFError, OSError, asyncio.CancelledError):
            pass  # the other end left, or the test ends
        finally:
            connection.close()
            # Kept reading to the end, so that what comes too late is seen as well.
            with suppress(asyncio.CancelledError):
                await asyncio.wait({pump}, timeout=1)
            pump.cancel()
            with suppress(OSError, asyncio.CancelledError):
                await asyncio.wait_for(writer.wait_closed(), 1)
            self._tasks.discard(task)

    async def _tell(self) -> None:
        async with self._came:
            self._came.notify_all()

    async def _converse(self, connection: SeenConnection) -> None:
        while True:
            request = await _read_head(connection)
            connection.requests.append(request)
            self.requests.append(request)
            chosen = self._choose(request)
            await self._tell()
            if chosen.at_head:
                reading = asyncio.create_task(_read_body(connection, request))
                try:
                    end = await connection.play(chosen.steps)
                    if end is None:
                        await reading
                finally:
                    reading.cancel()
                    with suppress(asyncio.CancelledError, EOFError, FramingError):
                        await reading
            else:
                await _read_body(connection, request)
                end = await connection.play(chosen.steps)
            if end is RESET:
                connection.reset()
            if end in {CLOSE, RESET}:
                return
            if end in {HANG, RAW}:
                connection.is_raw = end is RAW
                await connection.wait_gone()
                return

    def _choose(self, request: SeenRequest) -> Script:
        if self.answers:
            return self.answers.popleft()
        return self.default(request) if callable(self.default) else self.default


async def _read_head(connection: SeenConnection) -> SeenRequest:
    head = await connection.take_head()
    first, *lines = head[:-4].split(b"\r\n")
    start = _REQUEST_LINE.fullmatch(first)
    if start is None:
        raise FramingError(f"no request line: {first!r}")
    fields = []
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise FramingError(f"no header field: {line!r}")
        fields.append((match[1].decode(), match[2].decode("latin-1")))
    return SeenRequest(head, start[1].decode(), start[2].decode(), f"1.{start[3].decode()}", fields, connection)


async def _read_body(connection: SeenConnection, request: SeenRequest) -> None:
    lengths, encodings = request.values("content-length"), request.values("transfer-encoding")
    if len(request.values("host")) != 1:
        raise FramingError("not exactly one Host")
    if (lengths and encodings) or len(lengths) > 1 or (encodings and [e.lower() for e in encodings] != ["chunked"]):
        raise FramingError(f"unclear framing: {lengths} {encodings}")
    if lengths:
        if not _LENGTH.fullmatch(lengths[0].encode("latin-1")):
            raise FramingError(f"no length: {lengths[0]!r}")
        await _take(connection, request, int(lengths[0]))
    elif encodings:
        await _read_chunks(connection, request)
    request.whole = True


async def _read_chunks(connection: SeenConnection, request: SeenRequest) -> None:
    while True:
        size = await connection.take_line()
        if not _CHUNK_SIZE.fullmatch(size):
            raise FramingError(f"no chunk size: {size!r}")
        if int(size, 16) == 0:
            break
        await _take(connection, request, int(size, 16))
        if await connection.take_line() != b"":
            raise FramingError("no end of a chunk")
    while line := await connection.take_line():
        request.trailers += line + b"\r\n"


async def _take(connection: SeenConnection, request: SeenRequest, size: int) -> None:
    while size:
        part = await connection.take_some(size)
        size -= len(part)
        request.body += part
