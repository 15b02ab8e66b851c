"""A backend that bears witness over hours: it keeps no bytes, and counts what should never have come.

A request's path says whose it is and what it wants: `/<user>/<marker>/<errand>` behind the route's own prefix, with the
errands `echo`, `upload`, `download-<bytes>`, `late-<milliseconds>` and `socket` (a WebSocket that repeats what it is
told). Every answer bears the marker and the users that the identity header named.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

USER_HEADER = "X-User-Id"
_REQUEST_LINE = re.compile(rb"([A-Z]+) (/[!-~]*) HTTP/1\.1")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([\t -~\x80-\xff]*)")
_PATH = re.compile(r"/[a-z]+/([a-z0-9]+)/([a-z0-9-]+)/([a-z]+)(?:-([0-9]+))?")
_SOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
_PIECE_BYTES = 2**16
_KEPT_MAX = 20


class NonsenseError(Exception):
    """What came is no request: the road to here garbles, or the gateway does."""


@dataclass(frozen=True)
class _Head:
    method: str
    user: str
    marker: str
    errand: str
    figure: int
    users: list[str]  # as the identity header names them
    fields: list[tuple[str, str]]

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name]

    @property
    def told(self) -> dict[str, object]:
        return {"marker": self.marker, "user": self.users}


class Witness:
    """`unvouched` and `repeated` hold the first few requests that came without, or with another's, identity, and
    those that must not be sent twice and were; `unvouched_count` and `repeated_count` all of them."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.unvouched: list[str] = []
        self.unvouched_count = 0
        self.repeated: list[str] = []
        self.repeated_count = 0
        self.nonsense_count = 0
        self.port = 0
        self._posted: set[str] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (head := await _read_head(reader)) is not None:
                self._bear_witness(head)
                await self._answer(head, reader, writer)
        except NonsenseError:
            self.nonsense_count += 1
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the other end left, or this one stops
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(OSError, TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(writer.wait_closed(), 1)

    def _bear_witness(self, head: _Head) -> None:
        self.requests[head.errand] += 1
        if head.users != [head.user] or head.values("authorization"):
            self.unvouched_count += 1
            if len(self.unvouched) < _KEPT_MAX:
                self.unvouched.append(f"{head.method} of {head.user}, {head.marker}, came as {head.users}")
        if head.method == "POST":
            if head.marker in self._posted:
                self.repeated_count += 1
                if len(self.repeated) < _KEPT_MAX:
                    self.repeated.append(f"POST {head.marker}")
            self._posted.add(head.marker)

    async def _answer(self, head: _Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match head.errand:
            case "socket":
                await _repeat(head, reader, writer)
                raise EOFError
            case "download":
                await _read_body(head, reader)
                await _give(head, writer)
            case "late":
                await asyncio.sleep(head.figure / 1000)
                await _tell(writer, {**head.told, **await _read_body(head, reader)})
            case _:
                await _tell(writer, {**head.told, **await _read_body(head, reader)})


async def _read_head(reader: asyncio.StreamReader) -> _Head | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise NonsenseError from None
        return None
    except asyncio.LimitOverrunError:
        raise NonsenseError from None
    first, *lines = head[:-4].split(b"\r\n")
    start = _REQUEST_LINE.fullmatch(first)
    matches = [_FIELD.fullmatch(line) for line in lines]
    place = _PATH.fullmatch(start[2].decode()) if start else None
    if start is None or place is None or None in matches:
        raise NonsenseError
    fields = [(match[1].decode(), match[2].decode("latin-1")) for match in matches if match is not None]
    users = [value for name, value in fields if name.lower() == USER_HEADER.lower()]
    return _Head(start[1].decode(), place[1], place[2], place[3], int(place[4] or 0), users, fields)


async def _read_body(head: _Head, reader: asyncio.StreamReader) -> dict[str, object]:
    """How many bytes came, and their hash."""
    digest, size = hashlib.sha256(), 0

    async def take(left: int) -> None:
        nonlocal size
        while left:
            piece = await reader.read(min(left, _PIECE_BYTES))
            if not piece:
                raise EOFError
            left -= len(piece)
            size += len(piece)
            digest.update(piece)

    try:
        if lengths := head.values("content-length"):
            await take(int(lengths[0]))
        elif head.values("transfer-encoding"):
            while (chunk := int(await reader.readuntil(b"\r\n"), 16)) > 0:
                await take(chunk)
                await reader.readexactly(2)
            await reader.readexactly(2)
    except ValueError:
        raise NonsenseError from None
    return {"size": size, "sha256": digest.hexdigest()}


async def _tell(writer: asyncio.StreamWriter, told: dict[str, object]) -> None:
    body = json.dumps(told).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()


def lines_of(marker: str, size: int) -> bytes:
    """A download: the marker, line by line."""
    line = marker.encode() + b"\n"
    return (line * (size // len(line) + 1))[:size]


async def _give(head: _Head, writer: asyncio.StreamWriter) -> None:
    users = ",".join(head.users)
    writer.write(b"HTTP/1.1 200 OK\r\nX-For: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % users.encode("latin-1"))
    body = lines_of(head.marker, head.figure)
    for start in range(0, len(body), _PIECE_BYTES):
        piece = body[start : start + _PIECE_BYTES]
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _repeat(head: _Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """RFC 6455, as far as short text frames go."""
    key = "".join(head.values("sec-websocket-key")).encode()
    accept = base64.b64encode(hashlib.sha1(key + _SOCKET_GUID).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
    )
    while True:
        start = await reader.readexactly(2)
        mask = await reader.readexactly(4)
        text = bytes(byte ^ mask[i % 4] for i, byte in enumerate(await reader.readexactly(start[1] & 0x7F)))
        if start[0] != 0x81:
            return
        told = json.dumps({**head.told, "text": text.decode("latin-1")}).encode()
        writer.write(b"\x81\x7e" + len(told).to_bytes(2, "big") + told)
        await writer.drain()
