"""A flood of tokens that nobody issued, at one gateway that is a process of its own, while good tokens are used."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.echoing import IDENTITY, USER_HEADER, echoing_backend, marked, said
from support.processes import ServedGateway, footprint
from support.redis_server import free_port
from support.running_gateway import ADMIN_TOKEN
from support.scripted_provider import ScriptedProvider
from support.wire import Client, request

CONNECTIONS, AT_ONCE = 4, 50
MEMORY_SLACK_BYTES = 8 * 2**20
# As long as the tokens of some providers: what is remembered of them must not depend on it.
_PADDING = "a" * 1_000
_GOOD_PAUSE_S = 0.2


@dataclass(frozen=True)
class Plan:
    """How many tokens, and the limit per client address; a quarter of them comes before memory is measured."""

    tokens: int
    rate: int
    burst: int
    good: int = 20


@dataclass
class Report:
    plan: Plan
    statuses: Counter[int] = field(default_factory=Counter)  # of junk
    good: int = 0
    good_failed: int = 0
    calls_about_good: int = 0
    calls_about_junk: int = 0
    lasted_s: float = 0.0
    grown_bytes: int = 0
    users_seen: int = 0

    @property
    def calls_allowed(self) -> int:
        return int(self.plan.burst + self.plan.rate * self.lasted_s) + 1

    @property
    def is_sound(self) -> bool:
        return (
            set(self.statuses) == {401, 429}
            and self.statuses.total() == self.plan.tokens
            and self.good_failed == 0
            and self.calls_about_good == self.plan.good == self.users_seen
            and self.calls_about_junk == self.statuses[401] <= self.calls_allowed
            and self.grown_bytes < MEMORY_SLACK_BYTES
        )

    def table(self) -> str:
        rows: list[tuple[str, object]] = [
            ("different junk tokens", self.statuses.total()),
            ("seconds", f"{self.lasted_s:.1f}"),
            ("answered 401; 429", f"{self.statuses[401]}; {self.statuses[429]}"),
            ("calls to the provider about them", self.calls_about_junk),
            ("allowed by the limit", self.calls_allowed),
            ("requests with good tokens meanwhile", self.good),
            ("of those failed", self.good_failed),
            (f"calls to the provider about {self.plan.good} good tokens", self.calls_about_good),
            ("memory of the gateway grew by, KiB", self.grown_bytes // 1024),
        ]
        return "\n".join(
            ["| what | figure |", "| --- | ---: |", *(f"| {words} | {figure} |" for words, figure in rows)]
        )


async def flood(plan: Plan, folder: Path) -> Report:
    report = Report(plan)
    good = [f"user-{number}" for number in range(plan.good)]
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(ScriptedProvider())
        for token in good:
            provider.answers[token] = {"active": True, "sub": token}
        backend = echoing_backend()
        await backend.start()
        stack.push_async_callback(backend.stop)
        gateway = ServedGateway("junk", folder, _document(plan, provider.introspection_endpoint, backend.url))
        stack.push_async_callback(gateway.stop)
        await gateway.start()

        await _use(gateway, good, report)
        began_s = time.monotonic()
        first = plan.tokens // 4  # more than the room for inactive answers, and what is taken once, for good
        await _send(gateway, range(first), report)
        before_bytes = _memory_bytes(gateway)
        flooding = asyncio.create_task(_send(gateway, range(first, plan.tokens), report))
        while not flooding.done():
            await _use(gateway, good, report)
            await asyncio.sleep(_GOOD_PAUSE_S)
        await flooding
        report.lasted_s = time.monotonic() - began_s
        await _use(gateway, good, report)
        report.grown_bytes = _memory_bytes(gateway) - before_bytes
        asked = Counter((call.token or "").partition("-")[0] for call in provider.introspections)
        report.calls_about_good, report.calls_about_junk = asked["user"], asked["junk"]
        report.users_seen = len({user for seen in backend.requests for user in seen.values(USER_HEADER)})
    return report


async def _send(gateway: ServedGateway, numbers: range, report: Report) -> None:
    """Over some connections, pipelined."""

    async def some(mine: range) -> None:
        async with await Client.of(gateway.address) as client:
            for start in range(0, len(mine), AT_ONCE):
                part = mine[start : start + AT_ONCE]
                await client.send(
                    b"".join(request("GET", "/api/x", token=f"junk-{number}-{_PADDING}") for number in part)
                )
                for _ in part:
                    report.statuses[(await client.answer()).status] += 1

    await asyncio.gather(*(some(numbers[lane::CONNECTIONS]) for lane in range(CONNECTIONS)))


async def _use(gateway: ServedGateway, good: list[str], report: Report) -> None:
    async with await Client.of(gateway.address) as client:
        for token in good:
            target = marked()
            await client.send(request("GET", target, token=token))
            answer = await client.answer()
            report.good += 1
            report.good_failed += answer.status != 200 or said(answer) != (target, [token])


def _memory_bytes(gateway: ServedGateway) -> int:
    found = footprint(gateway.pid)
    assert found is not None
    return found.memory_bytes


def _document(plan: Plan, introspection_endpoint: str, backend_url: str) -> dict[str, Any]:
    return {
        "server": {
            "listen": f"127.0.0.1:{free_port()}",
            "unknown_tokens": {"rate": plan.rate, "burst": plan.burst},
        },
        "admin": {"listen": f"127.0.0.1:{free_port()}", "token": ADMIN_TOKEN},
        "log": {"level": "warning", "access": False},
        "providers": {
            "p": {
                "introspection_endpoint": introspection_endpoint,
                "client_id": "gw",
                "client_secret": "secret-of-the-client",
            }
        },
        # Longer than any flood, so that a second call about a good token would be one that was pushed out; and so
        # little room for bad ones that a flood of any size fills it.
        "cache": {"ttl": "1h", "inactive_ttl": "1h", "max_entries": 1_000},
        "routes": [{"name": "api", "match": {"path": "/api/**"}, "backend": backend_url, "identity": IDENTITY}],
    }
