"""A forward proxy on loopback that records what it is asked: absolute-form targets, and tunnels by CONNECT."""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit


class ForwardProxy:
    """With `login` (`user:password`) it refuses everybody else by 407. `answer` replaces its answer to CONNECT, and
    with `is_silent` there is none.

    `heads` are the heads that came, and `seen` is every byte that went through it to the servers.
    """

    def __init__(self, login: str | None = None) -> None:
        self.login = login
        self.answer: bytes | None = None
        self.is_silent = False
        self.heads: list[str] = []
        self.seen = b""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def lines(self) -> list[str]:
        """The request lines that came."""
        return [head.partition("\r\n")[0] for head in self.heads]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the test ends
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        method, target, _ = head.split("\r\n", 1)[0].split(" ")
        if not self._is_allowed(head):
            writer.write(b"HTTP/1.1 407 Login\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
            return True
        if self.is_silent:
            await asyncio.sleep(3600)
        if method == "CONNECT" and self.answer is not None:
            writer.write(self.answer)
            return False
        host, port = _place(method, target)
        server_reader, server = await asyncio.open_connection(host, port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            self._pass(server, _origin_form(head, target).encode())
        try:
            await asyncio.gather(self._copied(reader, server), self._copied(server_reader, writer, is_kept=False))
        finally:
            server.close()
        return False

    def _is_allowed(self, head: str) -> bool:
        if self.login is None:
            return True
        return f"Proxy-Authorization: Basic {base64.b64encode(self.login.encode()).decode()}\r\n" in head

    def _pass(self, server: asyncio.StreamWriter, data: bytes) -> None:
        self.seen += data
        server.write(data)

    async def _copied(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_kept: bool = True
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(2**16):
                self.seen += data if is_kept else b""
                writer.write(data)
                await writer.drain()
        with suppress(OSError):
            writer.close()


def _place(method: str, target: str) -> tuple[str, int]:
    parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
    return parts.hostname or "", parts.port or 80


def _origin_form(head: str, target: str) -> str:
    """As the server gets it: its own path, and nothing of what was for the proxy."""
    path = urlsplit(target).path
    first, *lines = head.replace(target, path, 1).split("\r\n")
    return "\r\n".join([first, *(line for line in lines if not line.startswith("Proxy-"))])
