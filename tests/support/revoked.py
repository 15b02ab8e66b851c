"""A fleet whose provider revokes: how long until no worker of it lets a token pass any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from support.backend import Backend
from support.processes import ServedGateway
from support.redis_server import free_port
from support.running_gateway import ADMIN_TOKEN, provider_settings
from support.scripted_provider import Call, ScriptedProvider
from support.signing import Issuer
from support.wire import Client, request
from support.workers import client_of_each

PREFIX = "/.gateway/events"
_UNTIL_S = 20.0


@dataclass
class Fleet:
    """`clients` has one connection to each worker of each instance, in the order of the instances."""

    provider: ScriptedProvider
    gateways: list[ServedGateway]
    clients: list[dict[int, Client]] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)

    @property
    def issuer(self) -> Issuer:
        return Issuer(self.provider.issuer)

    @property
    def workers(self) -> list[Client]:
        return [client for clients in self.clients for client in clients.values()]

    def answer(self, call: Call) -> dict[str, Any]:
        """Tokens are `<user>.<serial>`; a user who is revoked has none."""
        user = (call.token or "").partition(".")[0]
        is_active = bool(user) and user not in self.revoked
        return {"active": True, "sub": user, "sid": f"session-of-{user}"} if is_active else {"active": False}

    async def status(self, client: Client, token: str) -> int:
        await client.send(request("GET", "/api/x", token=token))
        return (await client.answer()).status

    async def warm(self, token: str) -> None:
        """Every worker knows the token, in its own memory."""
        for _ in range(2):
            statuses = await asyncio.gather(*(self.status(client, token) for client in self.workers))
            assert set(statuses) == {200}, statuses

    async def tell(self, gateway: ServedGateway, way: str, user: str) -> None:
        """The provider revokes `user` and says so to one instance."""
        self.revoked.add(user)
        if way == "logout":
            path, kind = "backchannel-logout", "application/x-www-form-urlencoded"
            body, expected = urlencode({"logout_token": self.issuer.logout(sub=user)}).encode(), 200
        else:
            path, kind = "security-events", "application/secevent+jwt"
            subject = {"format": "iss_sub", "iss": self.provider.issuer, "sub": user}
            body, expected = self.issuer.event(sub_id=subject).encode(), 202
        async with await Client.of(gateway.address) as client:
            await client.send(request("POST", f"{PREFIX}/{path}", f"Content-Type: {kind}", body=body))
            assert (await client.answer("POST")).status == expected

    async def refused_after_s(self, gateway: ServedGateway, way: str, user: str, token: str) -> list[float]:
        """For each worker, how long after the event was sent it refused the token for the first time, and for good."""
        began = time.monotonic()
        telling = asyncio.create_task(self.tell(gateway, way, user))
        took = await asyncio.gather(*(self.until_refused(client, token, began) for client in self.workers))
        await telling
        statuses = await asyncio.gather(*(self.status(client, token) for client in self.workers))
        assert set(statuses) == {401}, statuses
        return list(took)

    async def until_refused(self, client: Client, token: str, began: float) -> float:
        while await self.status(client, token) != 401:
            assert time.monotonic() - began < _UNTIL_S, "it was never refused"
            await asyncio.sleep(0.005)
        return time.monotonic() - began


@asynccontextmanager
async def fleet_of(
    folder: Path, instances: int, workers: int, cache: dict[str, Any], **events: Any
) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(ScriptedProvider())
        backend = Backend()
        await backend.start()
        stack.push_async_callback(backend.stop)
        document = {
            "providers": {"p": provider_settings(provider, issuer=provider.issuer, jwks_uri=provider.jwks_uri)},
            "cache": {"ttl": "1h", "inactive_ttl": "1h", **cache},
            "events": {"repeat_after": [], **events},
            "log": {"access": False},
            "routes": [{"name": "api", "match": {"path": "/api/**"}, "backend": backend.url}],
        }
        gateways = [
            ServedGateway(
                f"gateway{number}",
                folder,
                {
                    **document,
                    "server": {"listen": f"127.0.0.1:{free_port()}", "workers": workers},
                    "admin": {"listen": f"127.0.0.1:{free_port()}", "token": ADMIN_TOKEN},
                },
            )
            for number in range(instances)
        ]
        fleet = Fleet(provider, gateways)
        provider.default = fleet.answer
        provider.keys = fleet.issuer.jwks()
        for gateway in gateways:
            stack.push_async_callback(gateway.stop)
        await asyncio.gather(*(gateway.start() for gateway in gateways))
        for gateway in gateways:
            clients = await client_of_each(gateway)
            fleet.clients.append(clients)
            for client in clients.values():
                stack.push_async_callback(client.close)
        yield fleet
