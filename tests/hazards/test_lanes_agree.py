"""One set of rules: whatever is sent, and whatever the backend answers, both lanes say and do the same, byte for byte.

Each conversation is held with two gateways of one configuration, of which one has no fast lane. What differs by its
nature is left out: ids that the gateway makes up, the time, and how long things took.

`LANES_SEED=… pytest tests/hazards/test_lanes_agree.py` repeats what a failure names, and with `LANES_CONVERSATIONS=…`
there are more of them.
"""

import asyncio
import json
import os
import random
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from support.backend import Backend, Script, SeenRequest
from support.generated import Conversation, Generator
from support.lanes import FAST, GENERAL, LANES, lane_keys
from support.running_gateway import RunningGateway, configuration, provider_settings
from support.scripted_provider import Call, Reply, ScriptedProvider
from support.transcript import LOOK_S, LOOKS, Line, echo_marker

from gateway.proxy.downstream.client_connection import ClientConnection
from gateway.proxy.fast_lane import FastLane

pytestmark = pytest.mark.asyncio(loop_scope="module")
in_module = {"scope": "module", "loop_scope": "module"}

CONVERSATIONS = int(os.environ.get("LANES_CONVERSATIONS", "400"))
SETTINGS: dict[str, dict[str, Any]] = {
    "trusts nobody": {"max_body": "4KiB", "max_header_bytes": "4KiB"},
    "trusts its peer": {"trusted_proxies": ["127.0.0.0/8"], "max_headers": 12},
}
# What is spent of it is there again a microsecond later: every response tells of the same rest.
# Nothing ends within a run: the two gateways would ask again at two moments.
CACHE = {"ttl": "1h", "inactive_ttl": "1h"}
LIMITS = {"wide": {"rate": "1000000/1s", "by": "address"}}
PROBE = b"GET /open/probe HTTP/1.1\r\nHost: gw.example\r\nX-Marker: %b\r\n\r\n"
_TURNS = 1_000
_MADE_UP = re.compile(rb"\b[0-9a-f]{32}\b")
_NOW = re.compile(rb"(?m)^Date: \w{3}, \d\d \w{3} 20[2-9]\d \d\d:\d\d:\d\d GMT\r$")
_RUN = re.compile(r"(%41|\w)\1{30,}")
# What a log line says of how it went, and not of what was done.
_OF_THE_MOMENT = {"time", "duration_ms", "backend_ms", "request_id", "worker", "pid"}
# Of a provider, told of at most every ten seconds by each gateway: they say nothing of the request.
# Of a backend, told of a row of failures, which may have begun in the conversations before.
_BY_THE_CLOCK = {"provider_failing", "provider_answers", "backend_failing", "backend_answers"}


@pytest.fixture(scope="module")
def routes(backend: Backend) -> list[dict[str, Any]]:
    """Of each kind that a request can meet; what goes to the last one is not for the fast lane."""
    more: dict[str, dict[str, Any]] = {
        "any": {"auth": "optional"},
        "open": {"auth": "none"},
        "api": {},
        "scoped": {"auth": {"scopes": ["write"]}},
        "strip": {"auth": "optional", "strip_prefix": "/strip"},
        "moved": {"auth": "none", "rewrite": "/else/{**}"},
        "kept": {
            "auth": "optional",
            "authorization": "keep",
            "preserve_host": True,
            "request_headers": {"set": {"X-Kept": "ours"}, "remove": ["X-Dropped"]},
            "response_headers": {"set": {"X-Kept": "ours"}, "remove": ["X-Drop", "Server"]},
        },
        "small": {"auth": "none", "max_body": "16B"},
        "gets": {"auth": "none", "match": {"path": "/gets/**", "methods": ["GET"]}},
        "slash": {"auth": "none", "allow_encoded_slash": True},
        "shared": {
            "auth": "optional",
            "cors": {"allow_origins": ["https://a.example"], "allow_headers": ["Authorization", "X-A"]},
        },
        "public": {
            "cors": {"allow_origins": ["*"], "allow_headers": ["*"], "max_age": "10m"},
            "limits": ["wide"],
            "resource": {"identifier": "https://gw.example/public"},
        },
        "options": {
            "match": {"path": "/options/**", "methods": ["OPTIONS", "GET"]},
            "cors": {"allow_origins": ["https://a.example"], "allow_credentials": True, "allow_headers": ["*"]},
        },
    }
    identity = {"headers": {"X-User-Id": "sub", "X-Roles": "roles"}}
    return [
        {"name": name, "match": {"path": f"/{name}/**"}, "backend": backend.url, "identity": identity, **keys}
        for name, keys in more.items()
    ]


@pytest_asyncio.fixture(**in_module)
async def told(provider: ScriptedProvider) -> ScriptedProvider:
    """The provider, which tells by a token's beginning what to say of it."""

    def answer(call: Call) -> Any:
        match (call.token or "").partition("-")[0]:
            case "good":
                return {"active": True, "sub": f"owner of {call.token}", "roles": ["a", "b"], "scope": "write"}
            case "unclear":
                return Reply(500, {})
            case _:
                return {"active": False}

    provider.default = answer
    return provider


@dataclass
class Pair:
    """A gateway for each lane, between the same backend and the same provider. `taken`: by the fast lane."""

    backend: Backend
    provider: ScriptedProvider
    settings: dict[str, Any]
    gateways: dict[str, RunningGateway] = field(default_factory=dict)
    taken: int = 0


@dataclass
class Held:
    """What a conversation came to. `taken` is how much of it took the fast lane."""

    received: bytes
    is_closed: bool
    requests: list[tuple[bytes, bytes, bytes, bool]]
    asked: list[str | None]
    records: list[dict[str, Any]]
    taken: int = field(compare=False)
    is_reset: bool = field(compare=False)


@pytest_asyncio.fixture(params=SETTINGS, **in_module)
async def pair(request, backend, told, routes) -> AsyncIterator[Pair]:
    pair, take = Pair(backend, told, SETTINGS[request.param]), FastLane.take

    def counted(fast_lane: FastLane, client: ClientConnection, data: bytes) -> bool:
        is_taken = take(fast_lane, client, data)
        pair.taken += is_taken
        return is_taken

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FastLane, "take", counted)
        for lane in LANES:
            server = {"header_timeout": "5s", **pair.settings, **lane_keys(lane)}
            providers = {"p": provider_settings(told, breaker=None)}  # whose state is a matter of time
            text = configuration(providers=providers, routes=routes, server=server, limits=LIMITS, cache=CACHE)
            pair.gateways[lane] = RunningGateway(text)
            await pair.gateways[lane].start()
        yield pair
        for gateway in pair.gateways.values():
            await gateway.stop()
            assert gateway.lines.errors == []


async def hold(pair: Pair, lane: str, conversation: Conversation, number: int) -> Held:
    gateway, backend, answers = pair.gateways[lane], pair.backend, deque(conversation.answers)

    def answer(seen: SeenRequest) -> Script:
        return echo_marker(seen) if seen.target == "/open/probe" or not answers else answers.popleft()

    backend.default = answer
    requests, calls, lines = len(backend.requests), len(pair.provider.calls), len(gateway.lines.raw)
    taken = pair.taken
    line = await Line.to(gateway.address)
    try:
        for sent in conversation.sends:
            start = len(line.received)
            for part in sent.writes:
                await line.send(part)
            await line.answers(start, sent.methods, until_ended=False)
        taken = pair.taken - taken
        await probe(line, b"own-%d" % number)
        ended = line.ended
    finally:
        line.close()
    other = await Line.to(gateway.address)
    try:
        assert await probe(other, b"other-%d" % number)
    finally:
        other.close()
    await soon(lambda: gateway.lines.raw[-1].count(b"/open/probe") == 1)
    seen = backend.requests[requests:]
    await soon(lambda: all(one.whole or one.connection.ended for one in seen))
    return Held(
        plain(bytes(line.received)),
        ended is not None,
        [(plain(one.head), one.body, one.trailers, one.whole) for one in seen],
        [call.token for call in pair.provider.calls[calls:]],
        [one for one in map(record, gateway.lines.raw[lines:]) if one["event"] not in _BY_THE_CLOCK],
        taken,
        ended == "reset",
    )


def until_the_reset(one: Held, other: Held) -> None:
    """A reset may overtake what was sent before it: keep of both what either got."""
    if one.is_reset or other.is_reset:
        bytes_min = min(len(one.received), len(other.received))
        one.received, other.received = one.received[:bytes_min], other.received[:bytes_min]


async def soon(condition: Callable[[], bool]) -> None:
    """As `eventually`, for what comes within a turn or two and is waited for hundreds of times."""
    for turn in range(_TURNS + LOOKS):
        if condition():
            return
        await asyncio.sleep(0 if turn < _TURNS else LOOK_S)
    raise TimeoutError("what comes within a turn or two did not come")


async def probe(line: Line, marker: bytes) -> bool:
    """Whether one more request is answered on the connection, which may end instead."""
    await line.send(PROBE % marker)
    await line.until(lambda: line.received.endswith(b"\r\n\r\n" + marker))
    return line.ended is None


def plain(wire: bytes) -> bytes:
    return _NOW.sub(b"Date: <now>\r", _MADE_UP.sub(b"<made up>", wire))


def record(raw: bytes) -> dict[str, Any]:
    return {name: value for name, value in json.loads(raw).items() if name not in _OF_THE_MOMENT}


def is_preflights(one: dict[str, Any]) -> bool:
    """Whether the line tells of a preflight that got a yes; its backend was not asked."""
    return one.get("method") == "OPTIONS" and one.get("status") == 204 and one.get("backend") is None


async def test_they_do_and_say_the_same(pair: Pair) -> None:
    seed = int(os.environ.get("LANES_SEED", random.randrange(2**32)))
    print(f"LANES_SEED={seed}")
    generator = Generator(seed)
    sent = plain_ones = taken = answered = preflights = 0
    for number in range(CONVERSATIONS):
        conversation = generator.draw()
        try:
            held = {lane: await hold(pair, lane, conversation, number) for lane in LANES}
            until_the_reset(held[FAST], held[GENERAL])
            assert held[FAST] == held[GENERAL]
        except BaseException as error:
            text = _RUN.sub(r"\1…\1", repr(conversation))
            error.add_note(f"LANES_SEED={seed}, number {number}: {text}")
            raise
        assert held[GENERAL].taken == 0
        sent += sum(len(one.methods) for one in conversation.sends)
        plain_ones += sum(one.ordinary for one in conversation.sends)
        taken += held[FAST].taken
        answered += sum(one["status"] == 200 for one in held[FAST].records) - 1  # but for the probe
        preflights += sum(is_preflights(one) for one in held[FAST].records)
    # Else this proves nothing: most went the short way, a good many did not, and many came to a good end.
    assert 0.4 * sent < plain_ones < 0.9 * sent
    assert 0.7 * plain_ones < taken <= plain_ones
    assert answered > 0.3 * sent
    assert preflights > 0.004 * sent
