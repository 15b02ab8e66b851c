"""A client that sends the bytes it is given and reads answers strictly, as a conversation on one connection.

async with Client.of(address) as client:
    await client.send(request("GET", "/a", token="good"))
    answer = await client.answer()
    assert (answer.status, answer.code) == (401, "invalid_token")
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import struct
from dataclasses import dataclass, field
from typing import Any, Self

from support.fields import Fields

SOON_S = 10.0
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([0-9]{3}) ([\t -~\x80-\xff]*)")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ([\t -~\x80-\xff]*)")
_BUFFER_BYTES = 2**20


def request(
    method: str,
    target: str,
    *lines: str,
    token: str | None = None,
    body: bytes | None = None,
    host: str = "gw.example",
    version: str = "1.1",
) -> bytes:
    """A request with `Host`, the header `lines` as given, and `Content-Length` where there is a body."""
    head = [f"{method} {target} HTTP/{version}", f"Host: {host}"]
    if token is not None:
        head.append(f"Authorization: Bearer {token}")
    head += lines
    if body is not None:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode("utf-8", "surrogateescape") + (body or b"")


class BrokenOffError(Exception):
    """The connection ended within an answer; `partial` is what came of it."""

    def __init__(self, partial: Answer | None) -> None:
        super().__init__(f"the answer broke off: {partial}")
        self.partial = partial


@dataclass
class Answer(Fields):
    version: str
    status: int
    reason: str
    fields: list[tuple[str, str]]
    head: bytes = field(repr=False, default=b"")
    body: bytes = b""
    interim: list[Answer] = field(default_factory=list)  # the 1xx before it

    @property
    def problem(self) -> Any:
        """The problem document; what every refusal has is checked here."""
        assert self.value("Content-Type") == "application/problem+json", self
        assert self.value("Content-Length") == str(len(self.body))
        document = json.loads(self.body)
        assert set(document) == {"type", "title", "status", "detail", "code", "request_id"}
        assert document["status"] == self.status
        assert document["request_id"] == self.value("X-Request-Id")
        assert document["title"] == self.reason
        assert all(isinstance(document[name], str) and document[name] for name in ("type", "detail", "code"))
        return document

    @property
    def code(self) -> str:
        return str(self.problem["code"])


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    @classmethod
    async def of(
        cls,
        address: tuple[str, int] | str,
        tls: ssl.SSLContext | None = None,
        *,
        receive_buffer: int | None = None,
        source: str | None = None,
        server_hostname: str = "localhost",
    ) -> Self:
        async with asyncio.timeout(SOON_S):
            if isinstance(address, str):
                return cls(*await asyncio.open_unix_connection(address, limit=_BUFFER_BYTES))
            sock = socket.socket(socket.AF_INET)
            sock.setblocking(False)
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if source is not None:  # another network: any address of 127.0.0.0/8 is this machine's
                sock.bind((source, 0))
            try:
                await asyncio.get_running_loop().sock_connect(sock, address)
            except BaseException:
                sock.close()
                raise
            # From here on it is the transport's to close: a number that is closed behind its back is soon another's.
            name = {"server_hostname": server_hostname} if tls else {}
            limit = receive_buffer or _BUFFER_BYTES
            return cls(*await asyncio.open_connection(sock=sock, ssl=tls, limit=limit, **name))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send(self, wire: bytes, *, piece: int | None = None, pause_s: float = 0.0) -> None:
        """All at once, or `piece` bytes at a time."""
        size = piece or max(1, len(wire))
        for start in range(0, len(wire), size):
            self.writer.write(wire[start : start + size])
            if piece is not None:
                await asyncio.sleep(pause_s)
        async with asyncio.timeout(SOON_S):
            await self.writer.drain()

    async def send_until_stuck(self, piece: bytes, at_most: int) -> int:
        """Send `piece` again and again; how many bytes went until a second passed without progress, or `at_most`."""
        sent = 0
        try:
            while sent < at_most:
                self.writer.write(piece)
                sent += len(piece)
                async with asyncio.timeout(1):
                    await self.writer.drain()
        except TimeoutError:
            pass
        return sent

    async def answer(self, method: str = "GET") -> Answer:
        """The next final answer, to a request of `method`. Raises `BrokenOffError`."""
        async with asyncio.timeout(SOON_S):
            interim: list[Answer] = []
            while True:
                answer = await self.head()
                answer.interim = interim
                if answer.status >= 200 or answer.status == 101:
                    break
                interim.append(answer)
            await self._body(answer, method)
            return answer

    async def head(self) -> Answer:
        """The next head, 1xx included."""
        try:
            async with asyncio.timeout(SOON_S):
                head = await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, OSError) as error:
            raise BrokenOffError(None) from error
        first, *lines = head[:-4].split(b"\r\n")
        start = _STATUS_LINE.fullmatch(first)
        assert start, first
        fields = []
        for line in lines:
            match = _FIELD.fullmatch(line)
            assert match, line
            fields.append((match[1].decode(), match[2].decode("latin-1")))
        return Answer(f"1.{start[1].decode()}", int(start[2]), start[3].decode("latin-1"), fields, head)

    async def _body(self, answer: Answer, method: str) -> None:
        lengths, encodings = answer.values("Content-Length"), answer.values("Transfer-Encoding")
        assert not (lengths and encodings), answer
        if method == "HEAD" or answer.status in {101, 204, 304}:
            assert not encodings, answer
            return
        try:
            if lengths:
                while len(answer.body) < int(lengths[0]):
                    answer.body += await self._some(int(lengths[0]) - len(answer.body))
            elif encodings:
                assert encodings == ["chunked"], answer
                await self._chunks(answer)
            else:
                answer.body = await self._reader.read(-1)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise BrokenOffError(answer) from error

    async def _some(self, at_most: int) -> bytes:
        data = await self._reader.read(at_most)
        if not data:
            raise asyncio.IncompleteReadError(b"", at_most)
        return data

    async def _chunks(self, answer: Answer) -> None:
        while True:
            size = int((await self._reader.readuntil(b"\r\n"))[:-2], 16)
            if size == 0:
                assert await self._reader.readuntil(b"\r\n") == b"\r\n", "trailers"
                return
            while size:
                part = await self._some(size)
                size -= len(part)
                answer.body += part
            assert await self._reader.readexactly(2) == b"\r\n"

    async def read(self, at_most: int) -> bytes:
        async with asyncio.timeout(SOON_S):
            return await self._reader.read(at_most)

    async def read_exactly(self, size: int) -> bytes:
        async with asyncio.timeout(SOON_S):
            return await self._reader.readexactly(size)

    @property
    def has_ended(self) -> bool:
        """Whether the server was seen to end the connection, with all that came before read."""
        return self._reader.at_eof() or self._reader.exception() is not None

    async def rest(self) -> bytes:
        """What still comes until the connection ends, by FIN or by RST."""
        data = b""
        async with asyncio.timeout(SOON_S):
            try:
                while part := await self._reader.read(2**16):
                    data += part
            except OSError:
                pass
        return data

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        try:
            async with asyncio.timeout(SOON_S):
                await self.writer.wait_closed()
        except (OSError, TimeoutError):
            pass
