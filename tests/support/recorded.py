"""What clients really send, recorded (`tests/http/recorded`), and which lane of the gateway takes it.

The lane is asked itself: its own `take` says of each recorded request whether it has taken it. Requests are sent by the
segments in which they came, each origin's on a connection of its own. The sweep is kept away: whether it comes by
between two segments is chance.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from support.backend import Backend
from support.running_gateway import RunningGateway, configuration, provider_settings
from support.scripted_provider import ScriptedProvider
from support.wire import Client

from gateway.proxy.downstream import sweep
from gateway.proxy.downstream.client_connection import ClientConnection
from gateway.proxy.fast_lane import FastLane

FOLDER = Path(__file__).parents[1] / "http" / "recorded"
BEGIN, END = "<!-- lanes: begin -->", "<!-- lanes: end -->"
_TOKEN = "recorded-SlAV32hkKG4hcF8QyzT9vBnJ5mWxR7dLp2Q"
_ORIGIN = "https://app.example"
_HOST = re.compile(rb"\r\nhost: *([^\r]*)", re.IGNORECASE)
_APART_S = 0.02  # between two segments, so that they arrive as two


@dataclass(frozen=True)
class Recorded:
    """`what` is method and target."""

    what: str
    segments: tuple[bytes, ...]

    @property
    def host(self) -> bytes:
        found = _HOST.search(self.segments[0])
        return b"" if found is None else found[1]

    @property
    def kind(self) -> str:
        """As the table calls it."""
        method, _, target = self.what.partition(" ")
        if method == "OPTIONS":
            return "preflight"
        place = "another origin" if b"\r\norigin: " in self.segments[0].lower() and method == "GET" else ""
        what = "body" if method in {"POST", "PUT", "PATCH"} else method
        if not target.startswith("/api"):
            what = "page, style, script, picture"
        return f"{what}, {place}" if place else what


@dataclass(frozen=True)
class Taken:
    """Of a recorded request: whether the fast lane took it, and by what status it was answered."""

    recorded: Recorded
    is_fast: bool
    status: int


def clients() -> dict[str, list[Recorded]]:
    """By the client's name."""
    return {file.stem: _read(file) for file in sorted(FOLDER.glob("*.jsonl"))}


async def replay(requests: Sequence[Recorded]) -> list[Taken]:
    with mock.patch.object(sweep, "_period_s", return_value=3600.0), _offered() as said:
        async with _gateway() as gateway:
            opened: dict[bytes, Client] = {}
            found = []
            for one in requests:
                if one.host not in opened:
                    opened[one.host] = await gateway.client()
                said.clear()
                status = await _send(opened[one.host], one)
                found.append(Taken(one, any(said), status))
                await asyncio.sleep(_APART_S)  # the general lane is done a turn or two after its answer
            return found


def table(found: dict[str, list[Taken]]) -> str:
    """Markdown: for each client, how many of its requests the fast lane takes, and which it does not."""
    rows = ["| client | requests | fast lane | general lane |", "| --- | ---: | ---: | --- |"]
    for name, taken in found.items():
        slow: dict[str, int] = {}
        for one in taken:
            if not one.is_fast:
                slow[one.recorded.kind] = slow.get(one.recorded.kind, 0) + 1
        fast = sum(one.is_fast for one in taken)
        left = ", ".join(f"{count} {kind}" for kind, count in slow.items()) or "-"
        rows.append(f"| {name} | {len(taken)} | {fast / len(taken):.0%} | {left} |")
    return "\n".join(rows)


def documented(text: str) -> dict[str, int]:
    """The percentages that a document's table says the fast lane takes at least, by client."""
    rows = text.partition(BEGIN)[2].partition(END)[0]
    return {name: int(share) for name, share in re.findall(r"^\| (\w+) \| [0-9]+ \| ([0-9]+)% \|", rows, re.MULTILINE)}


async def _send(client: Client, one: Recorded) -> int:
    for number, segment in enumerate(one.segments):
        if number:
            await asyncio.sleep(_APART_S)
        await client.send(segment)
    return (await client.answer(one.what.partition(" ")[0])).status


@asynccontextmanager
async def _gateway() -> AsyncIterator[RunningGateway]:
    """An API that asks for a token, the same under another host that allows the page's origin, and the page itself."""
    backend = Backend()
    await backend.start()
    async with ScriptedProvider() as provider:
        provider.answers[_TOKEN] = {"active": True, "sub": "alice"}
        text = configuration(providers={"p": provider_settings(provider)}, routes=_routes(backend.url))
        gateway = RunningGateway(text)
        await gateway.start()
        try:
            yield gateway
        finally:
            await gateway.stop()
            await backend.stop()


def _routes(backend: str) -> list[dict[str, Any]]:
    cors = {
        "allow_origins": [_ORIGIN],
        "allow_headers": ["Authorization", "Content-Type"],
        "allow_methods": ["GET", "POST", "PUT", "PATCH", "DELETE"],
    }
    return [
        {"name": "shared", "match": {"host": "api.example", "path": "/api/**"}, "backend": backend, "cors": cors},
        {"name": "api", "match": {"path": "/api/**"}, "backend": backend},
        {"name": "page", "match": {"path": "/**"}, "backend": backend, "auth": "none"},
    ]


@contextmanager
def _offered() -> Iterator[list[bool]]:
    """For each time that the fast lane was offered something: whether it took it."""
    take, said = FastLane.take, []

    def noted(lane: FastLane, client: ClientConnection, data: bytes) -> bool:
        said.append(take(lane, client, data))
        return said[-1]

    FastLane.take = noted  # type: ignore[method-assign]  # a class of its own is never made by a test
    try:
        yield said
    finally:
        FastLane.take = take  # type: ignore[method-assign]


def _read(file: Path) -> list[Recorded]:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [Recorded(line["what"], tuple(one.encode("latin-1") for one in line["segments"])) for line in lines]
