"""One outage: a fleet that knows some tokens, a provider that resets every connection for a while, and who noticed.

Two gateways of two workers each share a Redis. Before the outage one token is revoked, which one gateway alone comes to
know, and one is purged at that gateway. During it every caller goes round all tokens at both gateways.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.backend import Backend
from support.echoing import USER_HEADER, echoing_backend
from support.processes import ServedGateway
from support.redis_server import RedisServer, free_port
from support.running_gateway import ADMIN_TOKEN
from support.scripted_provider import Call, Fault, ScriptedProvider
from support.wire import Answer, BrokenOffError, Client, request

NAMES = ("one", "two")
WORKERS = 2
FAILURES = 5
REVOKED, PURGED = "revoked-token", "purged-token"


@dataclass(frozen=True)
class Plan:
    """How long the provider is away, how long facts are fresh, and how often a worker may look for it."""

    outage_s: float
    ttl_s: float
    interval_s: float
    users: int = 25
    callers: int = 4
    think_s: float = 0.01


@dataclass
class Report:
    plan: Plan
    statuses: Counter[int] = field(default_factory=Counter)  # of known tokens, during the outage
    stale: int = 0
    slowest_ms: float = 0.0
    let_in: int = 0  # revoked or purged, and answered all the same
    refused: int = 0
    calls: int = 0
    calls_allowed: int = 0
    back_s: float = 0.0  # until every token was answered by fresh facts again

    @property
    def failed(self) -> int:
        return sum(count for status, count in self.statuses.items() if status != 200)

    @property
    def is_sound(self) -> bool:
        enough = self.stale > 0 and self.refused > 0
        return enough and self.failed == 0 and self.let_in == 0 and self.calls <= self.calls_allowed

    def table(self) -> str:
        members = len(NAMES) * WORKERS
        rows: list[tuple[str, object]] = [
            ("the provider was away, s", f"{self.plan.outage_s:g}"),
            ("requests with known tokens meanwhile", sum(self.statuses.values())),
            ("of those answered by facts that were not fresh", self.stale),
            ("of those failed", self.failed),
            ("the slowest, ms", f"{self.slowest_ms:.0f}"),
            ("requests with a revoked or purged token, refused", self.refused),
            ("of those let in", self.let_in),
            (f"calls that reached the provider, from {members} processes", self.calls),
            ("allowed: what opens each breaker, then one an interval", self.calls_allowed),
            ("fresh again after its return, s", f"{self.back_s:.1f}"),
        ]
        return "\n".join(
            ["| what | figure |", "| --- | ---: |", *(f"| {words} | {figure} |" for words, figure in rows)]
        )


async def outage(plan: Plan, folder: Path) -> Report:
    async with AsyncExitStack() as stack:
        redis = RedisServer()
        stack.callback(redis.stop)
        redis.start()
        provider = await stack.enter_async_context(ScriptedProvider())
        provider.default = _introspected
        backend = echoing_backend()
        await backend.start()
        stack.push_async_callback(backend.stop)
        gateways = [ServedGateway(name, folder, _document(plan, redis, provider, backend)) for name in NAMES]
        for gateway in gateways:
            stack.push_async_callback(gateway.stop)
            await gateway.start()
            await gateway.until_workers(WORKERS)
        return await _Drill(plan, provider, gateways).run()


class _Drill:
    def __init__(self, plan: Plan, provider: ScriptedProvider, gateways: list[ServedGateway]) -> None:
        self.plan = plan
        self.provider = provider
        self.gateways = gateways
        self.report = Report(plan)
        self.tokens = [f"user-{number}" for number in range(plan.users)]

    async def run(self) -> Report:
        await self._make_known()
        self.provider.fault = Fault.RESET
        calls_before = len(self.provider.calls)
        began_s = time.monotonic()
        until_s = began_s + self.plan.outage_s
        await asyncio.gather(*(self._call(number, until_s) for number in range(self.plan.callers)))
        lasted_s = time.monotonic() - began_s
        self.report.calls = len(self.provider.calls) - calls_before
        self.report.calls_allowed = self._allowed(lasted_s)
        self.provider.fault = None
        await self._recover()
        return self.report

    def _allowed(self, lasted_s: float) -> int:
        # Before a breaker opens as many calls as callers may be under way beside the ones that open it, and each may
        # be repeated once where it went out on a kept connection.
        opening = FAILURES + 2 * self.plan.callers
        probes = int((lasted_s - self.plan.ttl_s) / self.plan.interval_s) + 1
        return len(self.gateways) * WORKERS * (opening + probes)

    async def _make_known(self) -> None:
        for gateway in self.gateways:
            for token in [*self.tokens, REVOKED, PURGED]:
                for _ in range(2 * WORKERS):  # to each worker, sooner or later
                    assert (await _get(gateway, token)).status == 200
        self.provider.answers[REVOKED] = {"active": False}
        one = self.gateways[0]
        async with asyncio.timeout(10 * self.plan.ttl_s + 20):
            while (await _get(one, REVOKED)).status != 401:  # noqa: ASYNC110 - what is awaited has no event
                await asyncio.sleep(0.1)
        await one.forget(token=PURGED)
        await asyncio.sleep(1.5)  # the fleet follows within a second
        for gateway in self.gateways:
            for token in self.tokens:
                await _get(gateway, token)

    async def _call(self, number: int, until_s: float) -> None:
        dice = random.Random(number)
        while time.monotonic() < until_s:
            # A connection each: the kernel deals them out to the workers.
            gateway = dice.choice(self.gateways)
            await self._known(gateway, dice.choice(self.tokens))
            if dice.random() < 0.2:
                await self._unwanted(gateway, dice.choice((REVOKED, PURGED)))
            await asyncio.sleep(self.plan.think_s)

    async def _known(self, gateway: ServedGateway, token: str) -> None:
        began_s = time.monotonic()
        try:
            answer = await _get(gateway, token)
        except (BrokenOffError, OSError, TimeoutError):
            self.report.statuses[0] += 1
            return
        is_own = answer.status == 200 and token.encode() in answer.body
        self.report.statuses[answer.status if is_own or answer.status != 200 else 0] += 1
        self.report.stale += answer.value("X-Identity-Stale") is not None
        self.report.slowest_ms = max(self.report.slowest_ms, 1000 * (time.monotonic() - began_s))

    async def _unwanted(self, gateway: ServedGateway, token: str) -> None:
        answer = await _get(gateway, token)
        if answer.status in {401, 503}:
            self.report.refused += 1
        else:
            self.report.let_in += 1

    async def _recover(self) -> None:
        began_s = time.monotonic()
        async with asyncio.timeout(10 * self.plan.interval_s + 20):
            for gateway in self.gateways:
                for token in self.tokens:
                    while (await _get(gateway, token)).value("X-Identity-Stale") is not None:  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
        self.report.back_s = time.monotonic() - began_s


async def _get(gateway: ServedGateway, token: str) -> Answer:
    async with await Client.of(gateway.address) as client:
        await client.send(request("GET", f"/api/{token}", token=token))
        return await client.answer()


def _introspected(call: Call) -> dict[str, Any]:
    return {"active": True, "sub": call.token, "exp": int(time.time()) + 3600}


def _document(plan: Plan, redis: RedisServer, provider: ScriptedProvider, backend: Backend) -> dict[str, Any]:
    return {
        "server": {"listen": f"127.0.0.1:{free_port()}", "workers": WORKERS},
        "admin": {"listen": f"127.0.0.1:{free_port()}", "token": ADMIN_TOKEN},
        "log": {"level": "info", "access": False},
        "providers": {
            "p": {
                "introspection_endpoint": provider.introspection_endpoint,
                "client_id": "gw",
                "client_secret": "secret-of-the-client",
                "breaker": {"failures": FAILURES, "interval": _duration(plan.interval_s)},
            }
        },
        "cache": {
            "redis": f"redis://127.0.0.1:{redis.port}/0",
            "secret": "secret-of-the-fleet",
            "ttl": _duration(plan.ttl_s),
            "inactive_ttl": _duration(plan.ttl_s / 2),
            "timeout": "1s",  # the machine may be busy
        },
        "routes": [
            {
                "name": "api",
                "match": {"path": "/api/**"},
                "backend": backend.url,
                "identity": {"headers": {USER_HEADER: "sub"}},
                "auth": {"stale_if_error": "5m"},
            }
        ],
    }


def _duration(seconds: float) -> str:
    return f"{int(seconds * 1000)}ms"
