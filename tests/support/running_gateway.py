"""A gateway in this process, on free ports, as `gateway serve` builds it; its log lines are kept."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from support.scripted_provider import ScriptedProvider
from support.wire import Answer, Client, request

from gateway.observe.lines import LineWriter
from gateway.observe.log import JsonLines
from gateway.service import Service
from gateway.workers.worker import ConfigSource

ADMIN_TOKEN = "token-of-the-admin-listener"
CLIENT_SECRET = "secret-of-the-client"


class Lines(LineWriter):
    """Keeps what would go to standard output."""

    def __init__(self) -> None:
        super().__init__(None)
        self.raw: list[bytes] = []

    def write(self, line: bytes) -> None:
        self.raw.append(line)

    def close(self, timeout_s: float = 1.0) -> None:
        """Nothing waits."""

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.raw]

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [line for line in self.all if line["event"] == "request"]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [line for line in self.all if line["level"] == "error"]


def provider_settings(provider: ScriptedProvider, **more: Any) -> dict[str, Any]:
    return {
        "introspection_endpoint": provider.introspection_endpoint,
        "client_id": "gw",
        "client_secret": CLIENT_SECRET,
        **more,
    }


def configuration(
    *,
    providers: dict[str, Any],
    routes: list[dict[str, Any]],
    server: dict[str, Any] | None = None,
    **more: Any,
) -> str:
    """The text of a file (JSON is YAML); ports are free ones unless `server` and `admin` say otherwise."""
    document = {
        "server": {"listen": "127.0.0.1:0", **(server or {})},
        "admin": {"listen": "127.0.0.1:0", "token": ADMIN_TOKEN},
        "providers": providers,
        "routes": routes,
        **more,
    }
    return json.dumps(document)


class RunningGateway:
    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = Lines()
        self.expects_errors = False  # set where a test makes the gateway log errors
        self.service = Service(lambda: ConfigSource(self.text, "gateway.yaml", "/"), self.lines)
        self._clients: list[Client] = []
        self._is_stopped = False

    async def start(self) -> None:
        await self.service.start()

    async def stop(self, timeout_s: float = 5.0) -> None:
        for client in self._clients:
            await client.close()
        if not self._is_stopped:
            self._is_stopped = True
            await self.service.drain(timeout_s)
        root = logging.getLogger()
        for handler in [one for one in root.handlers if isinstance(one, JsonLines)]:
            root.removeHandler(handler)
        root.setLevel(logging.WARNING)
        logging.getLogger("gateway").setLevel(logging.NOTSET)  # a file may have asked for errors alone
        logging.captureWarnings(False)

    async def drain(self, timeout_s: float | None = None) -> None:
        """As SIGTERM does."""
        self._is_stopped = True
        await self.service.drain(timeout_s)

    @property
    def address(self) -> Any:
        """Where it listens: host and port, or the path of a Unix socket."""
        return _name(self._serving["listen"])

    @property
    def decisions_address(self) -> Any:
        """Where other proxies ask: as `address`."""
        return _name(self._serving["decisions"])

    @property
    def admin_url(self) -> str:
        return f"http://{self._serving['admin']}"

    @property
    def url(self) -> str:
        return f"http://{self._serving['listen']}"

    @property
    def _serving(self) -> dict[str, Any]:
        # It is among the first, and there may be thousands.
        return next(line for raw in self.lines.raw if (line := json.loads(raw))["event"] == "serving")

    async def reload(self, text: str | None = None) -> bool:
        if text is not None:
            self.text = text
        return await self.service.reload()

    async def client(self, tls: ssl.SSLContext | None = None, **more: Any) -> Client:
        """A connection, closed at the end of the test."""
        client = await Client.of(self.address, tls, **more)
        self._clients.append(client)
        return client

    async def ask(self, wire: bytes, method: str = "GET") -> Answer:
        """One request on a connection of its own."""
        async with await Client.of(self.address) as client:
            await client.send(wire)
            return await client.answer(method)

    async def get(self, target: str, *lines: str, token: str | None = None) -> Answer:
        return await self.ask(request("GET", target, *lines, token=token))

    async def log_line(self, count: int = 1) -> dict[str, Any]:
        """The `count`-th access log line, which may come a moment after the answer."""
        await eventually(lambda: len(self.lines.requests) >= count)
        return self.lines.requests[count - 1]


@asynccontextmanager
async def gateways(*secrets: str) -> AsyncIterator[Callable[[str], Awaitable[RunningGateway]]]:
    """What starts a gateway of a file's text. In the end all are stopped; none may have logged an error or a secret."""
    running: list[RunningGateway] = []

    async def start(text: str) -> RunningGateway:
        gateway = RunningGateway(text)
        running.append(gateway)
        await gateway.start()
        return gateway

    yield start
    for gateway in running:
        await gateway.stop()
        assert gateway.lines.errors == []
        held = b"".join(gateway.lines.raw)
        assert not [secret for secret in secrets if secret.encode() in held]


async def eventually(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Return once `condition` holds."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.01)


def _name(bound: str) -> Any:
    if bound.startswith("unix:"):
        return bound.removeprefix("unix:")
    host, _, port = bound.rpartition(":")
    return host, int(port)
