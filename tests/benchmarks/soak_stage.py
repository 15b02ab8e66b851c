"""What a soak runs on: Redis, provider, backend, the roads to them, and two gateways. All on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.fault_proxy import FaultProxy
from support.processes import ServedGateway
from support.redis_server import RedisServer, free_port
from support.running_gateway import ADMIN_TOKEN, CLIENT_SECRET
from support.scripted_provider import ScriptedProvider
from support.tokens import Tokens
from support.witness import USER_HEADER, Witness

CACHE_SECRET = "cache-secret-of-the-soak"
SECRETS = (ADMIN_TOKEN, CLIENT_SECRET, CACHE_SECRET)
NAMES = ("one", "two")
PROBE = Path(__file__).with_name("soak_probe")


@dataclass
class Stage:
    """`roads` are `provider`, `backend`, and `redis-<name>` for each gateway."""

    redis: RedisServer
    provider: ScriptedProvider
    witness: Witness
    roads: dict[str, FaultProxy]
    gateways: list[ServedGateway]
    tokens: Tokens


@asynccontextmanager
async def staged(folder: Path, tokens: Tokens) -> AsyncIterator[Stage]:
    """All of it, started; and stopped again, each process by its id."""
    async with AsyncExitStack() as stack:
        redis = RedisServer()
        stack.callback(redis.stop)
        redis.start()
        provider = await stack.enter_async_context(ScriptedProvider())
        provider.default = tokens.answer
        witness = Witness()
        await witness.start()
        stack.push_async_callback(witness.stop)
        ports = {
            "provider": int(provider.url.rpartition(":")[2]),
            "backend": witness.port,
            **{f"redis-{name}": redis.port for name in NAMES},
        }
        roads = {}
        for place, port in ports.items():
            roads[place] = await stack.enter_async_context(FaultProxy(("127.0.0.1", port)))
        probe = {"PYTHONPATH": str(PROBE), "SOAK_PROBE": str(folder)}
        gateways = [ServedGateway(name, folder, _document(name, roads), probe) for name in NAMES]
        for gateway in gateways:
            stack.push_async_callback(gateway.stop)
            await gateway.start()
            await gateway.until_workers(2)
        yield Stage(redis, provider, witness, roads, gateways, tokens)


def _document(name: str, roads: dict[str, FaultProxy]) -> dict[str, Any]:
    route = {
        "backend": f"http://127.0.0.1:{roads['backend'].port}",
        "identity": {"headers": {USER_HEADER: "sub"}},
        "timeout": "3s",
        "read_timeout": "3s",
    }
    return {
        "server": {"listen": f"127.0.0.1:{free_port()}", "workers": 2},
        "admin": {"listen": f"127.0.0.1:{free_port()}", "token": ADMIN_TOKEN},
        "providers": {
            "p": {
                "introspection_endpoint": f"http://127.0.0.1:{roads['provider'].port}/introspect",
                "client_id": "gw",
                "client_secret": CLIENT_SECRET,
                # Shorter than the time that a fault may be felt after its end.
                "breaker": {"interval": "500ms"},
            }
        },
        # Short lives, so that all that may grow has grown within seconds.
        "cache": {
            "redis": f"redis://127.0.0.1:{roads[f'redis-{name}'].port}/0",
            "secret": CACHE_SECRET,
            "ttl": "10s",
            "inactive_ttl": "5s",
        },
        "routes": [
            {"name": "api", "match": {"path": "/api/**"}, **route},
            {"name": "strict", "match": {"path": "/strict/**"}, "auth": {"scopes": ["write"]}, **route},
        ],
    }


def edits(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """What reloads change, in turn: nothing, the routes, what is built anew (provider, cache), and limits."""
    api, strict = settings["routes"]
    return [
        settings,
        {**settings, "routes": [{**api, "response_headers": {"set": {"X-Edit": "2"}}}, strict]},
        {**settings, "providers": {"p": {**settings["providers"]["p"], "max_concurrency": 32}}},
        {**settings, "cache": {**settings["cache"], "ttl": "8s"}},
        {**settings, "server": {**settings["server"], "idle_timeout": "60s"}},
    ]
