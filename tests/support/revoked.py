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
_ASKED_EVERY_S = 0.01  # by a client of each worker: often enough to see it, and no load to speak of


@dataclass
class Fleet:
    """`clients` has one connection to each worker of each instance, in the order of the instances."""

    provider: ScriptedProvider
    backend: Backend
    gateways: list[ServedGateway]
    clients: list[dict[int, Client]] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)
    issued_at: dict[str, int] = field(default_factory=dict)  # by user, where the provider says so

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
        if not is_active:
            return {"active": False}
        issued = {"iat": self.issued_at[user]} if user in self.issued_at else {}
        return {"active": True, "sub": user, "sid": f"session-of-{user}", **issued}

    async def status(self, client: Client, token: str) -> int:
        await client.send(request("GET", "/api/x", token=token))
        return (await client.answer()).status

    async def warm(self, token: str) -> None:
        """Every worker knows the token, in its own memory."""
        for _ in range(2):
            statuses = await asyncio.gather(*(self.status(client, token) for client in self.workers))
            assert set(statuses) == {200}, statuses

    async def tell(self, gateway: ServedGateway, way: str, user: str) -> float:
        """The provider revokes `user` and says so to one instance; returns when it began to, once it was answered."""
        if way == "logout":
            path, kind = "backchannel-logout", "application/x-www-form-urlencoded"
            body, expected = urlencode({"logout_token": self.issuer.logout(sub=user)}).encode(), 200
        else:
            path, kind = "security-events", "application/secevent+jwt"
            subject = {"format": "iss_sub", "iss": self.provider.issuer, "sub": user}
            body, expected = self.issuer.event(sub_id=subject).encode(), 202
        async with await Client.of(gateway.address) as client:
            self.revoked.add(user)
            began = time.monotonic()
            await client.send(request("POST", f"{PREFIX}/{path}", f"Content-Type: {kind}", body=body))
            assert (await client.answer("POST")).status == expected
        return began

    async def refused_after_s(self, gateway: ServedGateway, way: str, user: str, token: str) -> list[float]:
        """For each worker, how long after the event was sent it refused the token for the first time, and for good."""
        telling = asyncio.create_task(self.tell(gateway, way, user))
        refused = await asyncio.gather(*(self.until_refused(client, token) for client in self.workers))
        began = await telling
        statuses = await asyncio.gather(*(self.status(client, token) for client in self.workers))
        assert set(statuses) == {401}, statuses
        return [at - began for at in refused]

    async def until_refused(self, client: Client, token: str) -> float:
        """When that was."""
        deadline = time.monotonic() + _UNTIL_S
        while await self.status(client, token) != 401:
            assert time.monotonic() < deadline, "it was never refused"
            await asyncio.sleep(_ASKED_EVERY_S)
        return time.monotonic()


@asynccontextmanager
async def fleet_of(
    folder: Path,
    instances: int,
    workers: int,
    cache: dict[str, Any],
    provider: ScriptedProvider | None = None,
    **events: Any,
) -> AsyncIterator[Fleet]:
    """With `provider` it joins another fleet, and its `answer` counts from here on."""
    async with AsyncExitStack() as stack:
        provider = provider or await stack.enter_async_context(ScriptedProvider())
        backend = Backend()
        await backend.start()
        stack.push_async_callback(backend.stop)
        document = {
            "providers": {"p": provider_settings(provider, issuer=provider.issuer, jwks_uri=provider.jwks_uri)},
            "cache": {"ttl": "1h", "inactive_ttl": "1h", **cache},
            "events": {"repeat_after": [], **events},
            "log": {"access": False},
            "routes": [
                {"name": "api", "match": {"path": "/api/**"}, "backend": backend.url},
                {"name": "kept", "match": {"path": "/kept/**"}, "backend": backend.url, "auth": {"streams": "keep"}},
            ],
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
        fleet = Fleet(provider, backend, gateways)
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
