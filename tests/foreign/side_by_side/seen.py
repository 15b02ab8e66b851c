"""What each side saw of an exchange through a proxy, and where two of these differ."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from foreign.side_by_side.trials import Trial
from support.backend import Backend, SeenRequest
from support.fields import Fields
from support.wire import BrokenOffError, Client

CLIENT = "127.0.0.9"  # the proxies call from 127.0.0.1
WITHIN_S = 5.0
# Another one in each exchange, or of no meaning to anybody behind the other proxy.
UNIQUE = frozenset({"x-request-id", "date", "expires", "last-modified"})
# Told once for all of them.
EVERYWHERE = frozenset({"told via", "told x-real-ip", "answer server", "answer connection"})


@dataclass
class Seen:
    """What each side saw. `target` and `told` are `None` where the backend saw nothing, or has not kept it."""

    target: str | None = None
    told: dict[str, str] | None = None
    status: int = 0
    interim: tuple[int, ...] = ()
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def facts(self) -> Iterator[tuple[str, str]]:
        yield "status", str(self.status)
        yield "1xx", str(self.interim)
        yield "target", str(self.target)
        for name, value in (self.told or {}).items():
            yield f"told {name}", value
        if self.status < 300:
            yield "body", f"{len(self.body)} bytes"
        if self.status < 400:
            for name, value in self.fields.items():
                yield f"answer {name}", value


def is_usual(name: str) -> bool:
    return name in EVERYWHERE or name.rpartition(" ")[2] in UNIQUE


def by_name(message: Fields) -> dict[str, str]:
    return {name: ", ".join(message.values(name)) for name in message.names}


def differences(theirs: Seen, ours: Seen) -> dict[str, tuple[str, str]]:
    """Where two differ: nginx's value and the gateway's."""
    left, right = dict(theirs.facts()), dict(ours.facts())
    names = sorted(left.keys() | right.keys())
    if theirs.status != ours.status:
        names = ["status"]
    found = {name: (left.get(name, "-"), right.get(name, "-")) for name in names}
    return {n: pair for n, pair in found.items() if pair[0] != pair[1] and not is_usual(n)}


async def exchanged(address: Any, trial: Trial, backend: Backend | None) -> Seen:
    """One exchange on a connection of its own."""
    before = len(backend.requests) if backend is not None else 0
    if backend is not None:
        backend.answers.clear()
        backend.default = trial.answer
    seen = Seen()
    try:
        async with asyncio.timeout(WITHIN_S), await Client.of(address, source=CLIENT) as client:
            await client.send(trial.wire)
            if trial.held:
                seen.interim = ((await client.head()).status,)
                await client.send(trial.held)
            answer = await client.answer(trial.method)
            seen.status, seen.body, seen.fields = answer.status, answer.body, by_name(answer)
            seen.interim += tuple(one.status for one in answer.interim)
            if seen.body and seen.fields.get("content-type", "").startswith("application/json"):
                _read(seen)
    except (BrokenOffError, OSError, TimeoutError, AssertionError) as error:
        seen.body = repr(error)[:200].encode()
    if backend is not None and len(backend.requests) > before:
        _keep(seen, backend.requests[-1])
    return seen


def _read(seen: Seen) -> None:
    """What a server says that it was told."""
    said = json.loads(seen.body)
    seen.told = {name: str(said[name]) for name in ("path", "bytes", "client", "url") if name in said}
    seen.body = b""
    seen.fields.pop("content-length", None)


def _keep(seen: Seen, told: SeenRequest) -> None:
    seen.target = f"{told.method} {told.target} HTTP/{told.version}"
    seen.told = {**by_name(told), "body": f"{len(told.body)} bytes"}
