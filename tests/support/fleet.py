"""A fleet of `gateway serve` processes around one Redis and one provider, and callers that spread over all of it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from redis.asyncio import Redis
from support.processes import ServedGateway
from support.redis_server import RedisServer, free_port
from support.running_gateway import ADMIN_TOKEN, CLIENT_SECRET
from support.scripted_provider import Call, ScriptedProvider
from support.wire import Client, request

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_LIFE_S = 3600.0
_CALLS = re.compile(r'^gateway_introspection_duration_seconds_(sum|count)\{provider="p"\} ([0-9.e+-]+)$', re.MULTILINE)
_TURN = re.compile(r'^gateway_leases_total\{outcome="(\w+)"\} ([0-9.]+)$', re.MULTILINE)


class _Backend(asyncio.Protocol):
    """Answers every head with 200; no request here has a body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *heads, self._rest = (self._rest + data).split(b"\r\n\r\n")
        self._transport.write(_ANSWER * len(heads))


@dataclass
class Fleet:
    """`calls` counts the provider's introspections by token."""

    redis: RedisServer
    provider: ScriptedProvider
    gateways: list[ServedGateway]
    _clients: list[Client] = field(default_factory=list)

    @property
    def calls(self) -> Counter[str]:
        return Counter(call.token or "" for call in self.provider.introspections)

    async def connect(self, count: int, among: Sequence[ServedGateway] | None = None) -> list[Client]:
        """Connections that take turns among the gateways; the kernel gives each to one of a gateway's workers."""
        places = list(among or self.gateways)
        made = [await Client.of(places[number % len(places)].address) for number in range(count)]
        self._clients += made
        return made

    async def close_clients(self) -> None:
        for client in self._clients:
            client.writer.transport.abort()
            await client.close()
        self._clients.clear()

    async def turns(self) -> Counter[str]:
        """How the turns to ask ended, over all gateways."""
        outcomes: Counter[str] = Counter()
        for outcome, count in _TURN.findall(await self._metrics()):
            outcomes[outcome] += int(float(count))
        return outcomes

    async def call_s(self) -> float:
        """What a call of the provider took on average, as the gateways saw it."""
        sums: Counter[str] = Counter()
        for part, value in _CALLS.findall(await self._metrics()):
            sums[part] += float(value)
        return sums["sum"] / max(1.0, sums["count"])

    async def _metrics(self) -> str:
        async with aiohttp.ClientSession(trust_env=False) as session:
            texts = []
            for gateway in self.gateways:
                async with session.get(f"{gateway.admin_url}/metrics") as answer:
                    texts.append(await answer.text())
        return "\n".join(texts)

    async def borrowed(self) -> int:
        """How often a script was run in Redis, which is what a look at a limit is."""
        async with Redis.from_url(self.redis.url) as client:
            stats: dict[str, dict[str, float]] = await client.info("commandstats")
        return sum(int(each["calls"]) for name, each in stats.items() if name in {"cmdstat_evalsha", "cmdstat_eval"})

    def decided_by(self) -> Counter[str]:
        """How many requests each tier has answered for, by the access logs."""
        tiers: Counter[str] = Counter()
        for gateway in self.gateways:
            for line in gateway.output.read_bytes().splitlines():
                if b'"event":"request"' in line:
                    tiers[str(json.loads(line).get("cache"))] += 1
        return tiers


async def ask(client: Client, token: str, target: str = "/api/x", within_s: float = 30.0) -> int:
    """The status of one request."""
    await client.send(request("GET", target, token=token))
    async with asyncio.timeout(within_s):
        return (await client.answer()).status


@asynccontextmanager
async def fleet(
    folder: Path,
    *,
    gateways: int = 4,
    workers: int = 2,
    cache: dict[str, Any] | None = None,
    provider_keys: dict[str, Any] | None = None,
    access_log: bool = False,
    limits: dict[str, Any] | None = None,
    route_keys: dict[str, Any] | None = None,
) -> AsyncIterator[Fleet]:
    """Started, all workers serving; and stopped again, each process by its id. `limits` are those of the route."""
    async with AsyncExitStack() as stack:
        redis = RedisServer()
        stack.callback(redis.stop)
        redis.start()
        provider = await stack.enter_async_context(ScriptedProvider())
        provider.default = _active
        backend = await asyncio.get_running_loop().create_server(_Backend, "127.0.0.1", 0, backlog=1024)
        stack.callback(backend.close)
        document = {
            "providers": {
                "p": {
                    "introspection_endpoint": provider.introspection_endpoint,
                    "client_id": "gw",
                    "client_secret": CLIENT_SECRET,
                    "token_endpoint": provider.token_endpoint,
                    **(provider_keys or {}),
                }
            },
            # Patient: nobody should go by himself because two cores are shared by a dozen processes.
            "cache": {"redis": redis.url, "secret": "secret-of-the-fleet", "timeout": "1s", **(cache or {})},
            "log": {"access": access_log},
            "limits": limits or {},
            "routes": [
                {
                    "name": "api",
                    "match": {"path": "/api/**"},
                    "backend": f"http://127.0.0.1:{backend.sockets[0].getsockname()[1]}",
                    "limits": list(limits or {}),
                    **(route_keys or {}),
                }
            ],
        }
        made = []
        for number in range(gateways):
            listeners = {
                "server": {"listen": f"127.0.0.1:{free_port()}", "workers": workers},
                "admin": {"listen": f"127.0.0.1:{free_port()}", "token": ADMIN_TOKEN},
            }
            made.append(ServedGateway(f"gateway-{number}", folder, {**document, **listeners}))
            stack.push_async_callback(made[-1].stop)
        await asyncio.gather(*(gateway.start() for gateway in made))
        if workers > 1:  # with one, the process itself serves
            await asyncio.gather(*(gateway.until_workers(workers) for gateway in made))
        served = Fleet(redis, provider, made)
        stack.push_async_callback(served.close_clients)
        yield served


def _active(call: Call) -> dict[str, Any]:
    return {"active": True, "sub": call.token, "scope": "read", "exp": int(time.time() + _LIFE_S)}


async def keep_asking(clients: Sequence[Client], tokens: Sequence[str], every_s: float, for_s: float) -> list[float]:
    """Each token `1 / every_s` times a second, by changing connections; how long each request took, in seconds.

    A connection has one request at a time. Every answer must be 200.
    """
    took_s: list[float] = []
    idle: asyncio.Queue[Client] = asyncio.Queue()
    for client in clients:
        idle.put_nowait(client)
    began_s = time.monotonic()

    async def one(token: str) -> None:
        client = await idle.get()
        try:
            asked_s = time.monotonic()
            assert await ask(client, token) == 200
            took_s.append(time.monotonic() - asked_s)
        finally:
            idle.put_nowait(client)

    async with asyncio.TaskGroup() as group:
        pause_s = every_s / len(tokens)
        number = 0
        while (now_s := time.monotonic() - began_s) < for_s:
            if number * pause_s > now_s:
                await asyncio.sleep(number * pause_s - now_s)
                continue
            group.create_task(one(tokens[number % len(tokens)]))
            number += 1
    return took_s
