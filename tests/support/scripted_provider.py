"""An identity provider on loopback that records what it is sent and answers by script, however badly.

It speaks HTTP by hand, so that it can break any rule of it. Answers are chosen in this order: `fault`, `faults_at` of
the path, `answers[token]`, then `default`. A callable is given the `Call` and returns an answer.

    provider = ScriptedProvider()
    await provider.start()
    provider.answers["good"] = {"active": True, "sub": "alice"}
    ...
    assert [call.token for call in provider.calls] == ["good"]
    await provider.stop()
"""

from __future__ import annotations

import asyncio
import json
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, Self
from urllib.parse import parse_qs

from support.broken_answers import SLOW, Fault, parts

__all__ = ["Call", "Fault", "Raw", "Reply", "ScriptedProvider"]

INACTIVE: dict[str, Any] = {"active": False}
DISCOVERY_PATHS = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")


@dataclass(frozen=True)
class Call:
    """One request as it came."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connection: int  # which connection of the server it came on, from 1

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def form(self) -> dict[str, str]:
        """The form's pairs, decoded; the first of each name."""
        return {name: values[0] for name, values in parse_qs(self.body.decode(), keep_blank_values=True).items()}

    @property
    def token(self) -> str | None:
        return self.form.get("token")


@dataclass(frozen=True)
class Reply:
    """An answer of another status or with other headers than `200 application/json`; a dict is sent as JSON."""

    status: int = 200
    document: Any = None
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    close: bool = False  # close the connection after it, without having said so

    def to_bytes(self) -> bytes:
        body = self.body if self.body is not None else json.dumps(self.document).encode()
        fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **self.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 {self.status} Scripted\r\n{head}\r\n".encode() + body


@dataclass(frozen=True)
class Raw:
    """The wire itself."""

    wire: bytes


# A dict is a JSON document, bytes are a body of 200 application/json, JSON or not.
Answer = dict[str, Any] | bytes | Reply | Raw | Callable[[Call], Any]


class ScriptedProvider:
    """`delay_s` passes before every answer. `discovery` is served at both well-known places; None answers 404.

    With `ssl_context` it speaks TLS under the name `localhost`. Several clients may call it at once.
    """

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Answer] = {}
        self.default: Answer = INACTIVE
        self.token_answer: Answer = Reply(400, {"error": "unsupported_grant_type"})
        self.keys: Answer | None = None  # None answers 404
        self.discovery: dict[str, Any] | bytes | Reply | None = None
        self.fault: Fault | None = None
        self.faults_at: dict[str, Fault] = {}  # by the path, such as `/token`
        self.delay_s = 0.0
        self.drip_s = 0.05
        self.calls: list[Call] = []
        self.connections = 0
        self.in_flight = 0
        self.in_flight_max = 0
        self._called = asyncio.Event()
        self._ssl = ssl_context
        self._server: asyncio.Server | None = None
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"https://localhost:{self._port}" if self._ssl else f"http://127.0.0.1:{self._port}"

    @property
    def issuer(self) -> str:
        return f"{self.url}/realms/test"

    @property
    def introspection_endpoint(self) -> str:
        return f"{self.url}/introspect"

    @property
    def token_endpoint(self) -> str:
        return f"{self.url}/token"

    @property
    def jwks_uri(self) -> str:
        return f"{self.url}/keys"

    @property
    def key_fetches(self) -> list[Call]:
        return [call for call in self.calls if call.path == "/keys"]

    @property
    def introspections(self) -> list[Call]:
        return [call for call in self.calls if call.path == "/introspect"]

    def metadata(self, **more: Any) -> dict[str, Any]:
        """A discovery document that is right; `more` replaces members."""
        document = {
            "issuer": self.issuer,
            "introspection_endpoint": self.introspection_endpoint,
            "token_endpoint": self.token_endpoint,
        }
        return {**document, **more}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, port: int = 0) -> None:
        """Listen, on the port it had before where it was stopped."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", port or self._port, ssl=self._ssl, limit=2**20
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.drop_connections()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._server = None

    async def wait_for_calls(self, count: int = 1) -> None:
        """Return once `count` requests have come."""
        while len(self.calls) < count:
            self._called.clear()
            await asyncio.wait_for(self._called.wait(), 10)

    def drop_connections(self) -> None:
        """End every open connection by RST, the way a restarted server does."""
        for writer in list(self._writers):
            _reset(writer)

    def send_unasked(self, wire: bytes) -> None:
        """Write to every open connection, whether anything was asked or not."""
        for writer in self._writers:
            writer.write(wire)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        try:
            while (call := await self._read(reader, self.connections)) is not None:
                self.calls.append(call)
                self._called.set()
                self.in_flight += 1
                self.in_flight_max = max(self.in_flight, self.in_flight_max)
                try:
                    await asyncio.sleep(self.delay_s)
                    if not await self._answer(call, writer):
                        return
                finally:
                    self.in_flight -= 1
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the test ends
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await asyncio.wait_for(writer.wait_closed(), 1)

    async def _read(self, reader: asyncio.StreamReader, connection: int) -> Call | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        lines = head.split("\r\n")
        method, path, _ = lines[0].split(" ")
        pairs = (line.partition(":") for line in lines[1:] if line)
        headers = tuple((name, value.strip()) for name, _, value in pairs)
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        return Call(method, path, headers, await reader.readexactly(length), connection)

    async def _answer(self, call: Call, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        if (fault := self.fault or self.faults_at.get(call.path)) is not None:
            await self._misbehave(fault, call, writer)
            return False
        answer = self._choose(call)
        while callable(answer):
            answer = answer(call)
        if isinstance(answer, dict):
            answer = Reply(document=answer)
        if isinstance(answer, bytes):
            answer = Reply(body=answer)
        writer.write(answer.wire if isinstance(answer, Raw) else answer.to_bytes())
        await writer.drain()
        return not (isinstance(answer, Reply) and answer.close)

    def _choose(self, call: Call) -> Any:
        if any(place in call.path for place in DISCOVERY_PATHS):
            return self.discovery if self.discovery is not None else Reply(404, {})
        if call.path == "/token":
            return self.token_answer
        if call.path.partition("?")[0] == "/keys":
            return self.keys if self.keys is not None else Reply(404, {})
        return self.answers.get(call.token or "", self.default)

    async def _misbehave(self, fault: Fault, call: Call, writer: asyncio.StreamWriter) -> None:
        if fault is Fault.RESET:
            _reset(writer)
            return
        if fault is Fault.SILENCE:
            await asyncio.sleep(3600)
        answer = self._choose(call)
        good = Reply(document=answer if isinstance(answer, dict) else INACTIVE).to_bytes()
        for part in parts(fault, good):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(self.drip_s if fault in SLOW else 0)


def _reset(writer: asyncio.StreamWriter) -> None:
    if (sock := writer.get_extra_info("socket")) is not None and sock.fileno() >= 0:
        sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
