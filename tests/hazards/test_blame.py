"""Whoever is to blame pays, and nobody else: a token that breaks its call, a network that floods, a queue of our own.

Networks are told apart by what a trusted proxy says. Each test has one that is at its worst and one that is served.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

import pytest
from support.attack_length import attack_s
from support.backend import Backend
from support.lanes import FAST, lane_keys, lanes
from support.paced_provider import PacedProvider
from support.running_gateway import RunningGateway, configuration, provider_settings
from support.scripted_provider import Call, Fault, Reply
from support.wire import Client, request

BOB, MALLORY = "198.51.100.7", "198.51.100.66"
EVE = ["203.0.113.1", "203.0.113.2"]
# Of an attack, besides what bob's requests themselves take.
ATTACK_S = attack_s(0.0)


@pytest.fixture
async def provider() -> AsyncIterator[PacedProvider]:
    """Calls active whatever begins with `good`."""
    async with PacedProvider() as paced:
        paced.default = lambda call: {"active": str(call.token).startswith("good"), "sub": "somebody"}
        yield paced


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with AsyncExitStack() as stack:
        recording = Backend()
        await recording.start()
        stack.push_async_callback(recording.stop)
        yield recording


@asynccontextmanager
async def serving(provider: PacedProvider, backend: Backend, lane: str, **more: Any) -> AsyncIterator[RunningGateway]:
    """`provider_keys`, `auth`, `cache` and `server` may be given."""
    route = {"name": "api", "match": {"path": "/api/**"}, "backend": backend.url, "auth": more.pop("auth", {})}
    gateway = RunningGateway(
        configuration(
            providers={"p": provider_settings(provider, **more.pop("provider_keys", {}))},
            routes=[route],
            server={**lane_keys(lane), "trusted_proxies": ["127.0.0.0/8"], **more.pop("server", {})},
            **more,
        )
    )
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


def breaker_states(gateway: RunningGateway) -> list[str]:
    return [line["state"] for line in gateway.lines.all if line["event"] == "breaker"]


async def status(gateway: RunningGateway, token: str, address: str) -> int:
    return (await gateway.get("/api/x", f"X-Forwarded-For: {address}", token=token)).status


async def statuses_of_fifty(gateway: RunningGateway, at_once: int) -> Counter[int]:
    """What 50 requests of bob's, each with a good token that nobody knows yet, are answered."""
    found: Counter[int] = Counter()
    names = iter(range(50))

    async def some() -> None:
        for number in names:
            found[await status(gateway, f"good-bob-{number}", BOB)] += 1
            await asyncio.sleep(ATTACK_S * at_once / 50)

    await asyncio.gather(*(some() for _ in range(at_once)))
    return found


class Flood:
    """Connections on which one junk token follows the other, each of `tokens`, from the next of `addresses`."""

    def __init__(self, gateway: RunningGateway, connections: int, tokens: Iterator[str], addresses: list[str]) -> None:
        self.gateway = gateway
        self.connections = connections
        self.tokens = tokens
        self.addresses = itertools.cycle(addresses)
        self.statuses: Counter[int] = Counter()

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._one(next(self.addresses))) for _ in range(self.connections)]
        await asyncio.sleep(1.0)  # until all places are taken
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
        # Whoever floods waits at the end of its own queue, and may lose patience there.
        assert {type(outcome) for outcome in outcomes} <= {asyncio.CancelledError, TimeoutError}

    async def _one(self, address: str) -> None:
        async with await Client.of(self.gateway.address) as client:
            for token in self.tokens:
                await client.send(request("GET", "/api/x", f"X-Forwarded-For: {address}", token=token))
                answer = await client.answer()
                self.statuses[answer.status] += 1
                if answer.status != 401:
                    await asyncio.sleep(0.1)  # it would be too fast for this process, which is both sides


def junk() -> Iterator[str]:
    return (f"junk-{number}" for number in itertools.count())


@pytest.mark.parametrize("said", [Reply(403, {}), Reply(500, {}), Reply(429, {}, headers={"Retry-After": "60"})])
async def test_what_a_firewall_says_of_one_networks_tokens_concerns_nobody_else(provider, backend, lane, said):
    def answer(call: Call) -> Any:
        token = str(call.token)
        return said if token.startswith("..") else {"active": token.startswith("good"), "sub": "somebody"}

    provider.default = answer
    keys = {"breaker": {"interval": "100ms"}}  # many probes, in a short time
    async with serving(provider, backend, lane, provider_keys=keys) as gateway:
        attacks = Counter[int]()
        for number in range(50):
            for attempt in range(3):
                attacks[await status(gateway, f"../../etc/passwd/{number}/{attempt}", EVE[0])] += 1
            assert await status(gateway, f"good-{number}", BOB) == 200
            await asyncio.sleep(ATTACK_S / 50)
        assert attacks == {503: 150}
        assert breaker_states(gateway) == []
        reasons = [line["reason"] for line in gateway.lines.requests if line["status"] == 503]
        assert any(reason.startswith("only about this token") for reason in reasons)


async def test_the_same_token_again_and_again_concerns_nobody_else(provider, backend, lane):
    provider.answers["poison"] = Reply(500, {})
    keys = {"breaker": {"failures": 1, "interval": "50ms"}}
    async with serving(provider, backend, lane, provider_keys=keys) as gateway:
        for number in range(30):
            assert await status(gateway, "poison", EVE[0]) == 503
            assert await status(gateway, f"good-{number}", BOB) == 200
        probes = [call for call in provider.introspections if not str(call.token).startswith(("poison", "good"))]
        assert len(probes) == 1


@lanes(FAST)
async def test_who_brings_them_pays_double(provider, backend, lane):
    provider.default = lambda call: Reply(500, {}) if str(call.token).startswith("bad") else {"active": False}
    limit = {"unknown_tokens": {"rate": 1, "burst": 20}}
    keys = {"breaker": {"failures": 2, "interval": "1h"}}
    async with serving(provider, backend, lane, provider_keys=keys, server=limit) as gateway:
        assert [await status(gateway, f"bad-{number}", EVE[0]) for number in range(20)][-1] == 429
        assert await status(gateway, "other", EVE[1]) == 401
        bad = [call for call in provider.introspections if str(call.token).startswith("bad")]
        assert 10 <= len(bad) <= 13  # two before anything is known, at one each


@lanes(FAST)
async def test_a_crowd_before_a_slow_provider_that_never_fails_waits_and_is_served(provider, backend, lane):
    provider.pause_s = 1 / 80
    async with serving(provider, backend, lane) as gateway:
        found: Counter[int] = Counter()
        until_s = time.monotonic() + 3

        async def user(number: int) -> None:
            async with await Client.of(gateway.address) as client:
                for session in itertools.count():
                    await client.send(request("GET", "/api/x", token=f"good-{number}-{session}"))
                    found[(await client.answer()).status] += 1
                    if time.monotonic() > until_s:
                        return

        await asyncio.gather(*(user(number) for number in range(300)))
        assert found.keys() == {200}
        assert breaker_states(gateway) == []


@lanes(FAST)
async def test_after_an_outage_they_come_as_a_growing_stream(provider, backend, lane):
    provider.pause_s = 1 / 80
    keys = {"breaker": {"interval": "300ms"}}
    async with serving(provider, backend, lane, provider_keys=keys) as gateway:
        provider.fault = Fault.RESET
        for number in range(6):
            assert await status(gateway, f"good-before-{number}", BOB) == 503
        assert breaker_states(gateway) == ["open"]
        provider.fault = None
        await asyncio.sleep(0.35)
        seen, answered = len(provider.arrivals), provider.answered
        found: Counter[int] = Counter()

        async def user(number: int) -> None:
            for attempt in itertools.count():
                found[last := await status(gateway, f"good-{number}-{attempt}", BOB)] += 1
                if last == 200:
                    return
                await asyncio.sleep(0.1)

        await asyncio.gather(*(user(number) for number in range(150)))
        since = provider.arrivals[seen:]
        assert len(since) >= 150
        # The probe, then one call, and one more at a time for each that was answered.
        assert all(one.under_way <= max(1, one.answered - answered) for one in since)
        assert max(one.under_way for one in since) > 16
        assert breaker_states(gateway) == ["open", "closed"]


# A quarter of the defaults, on a quarter of the connections.
QUARTER = {"max_concurrency": 16, "max_waiting": 256, "timeout": "10s"}  # so that a busy machine is no slow provider


@lanes(FAST)
async def test_two_networks_that_flood_a_slow_provider_shut_out_no_third_and_keep_no_revoked_token(
    provider, backend, lane
):
    revoked: set[str] = set()
    provider.default = lambda call: {
        "active": str(call.token).startswith("good") and call.token not in revoked,
        "sub": "somebody",
    }
    provider.takes_s = lambda _: 0.3
    keys = {"auth": {"stale_if_error": "5m"}, "cache": {"ttl": "1s", "inactive_ttl": "1s"}, "provider_keys": QUARTER}
    async with serving(provider, backend, lane, **keys) as gateway:
        assert await status(gateway, "good-mallory", MALLORY) == 200
        assert await status(gateway, "good-eve", EVE[0]) == 200
        revoked |= {"good-mallory", "good-eve"}
        async with Flood(gateway, 300, junk(), EVE) as flood:
            answered = provider.answered
            assert await statuses_of_fifty(gateway, at_once=10) == {200: 50}
            assert await status(gateway, "good-mallory", MALLORY) == 401
            assert await status(gateway, "good-eve", EVE[0]) in {401, 503}
            # Of three networks each has a third: some 200 calls. Behind the others' queue it would be over a thousand.
            assert provider.answered - answered < 500 + ATTACK_S / 0.3 * 16
        assert 503 in flood.statuses  # the places were all taken
        assert breaker_states(gateway) == []


@lanes(FAST)
@pytest.mark.parametrize(
    "addresses", [EVE[:1], [f"2001:db8:9:{number:x}::1" for number in range(64)]], ids=["network", "site"]
)
async def test_calls_that_last_take_all_slots_of_nobody_else(provider, backend, lane, addresses):
    """One network, or one site with many of them: its tokens are answered after a second, others at once."""
    provider.takes_s = lambda call: 1.0 if str(call.token).startswith("junk") else 0.0
    keys = {"max_concurrency": 8, "max_waiting": 32, "timeout": "10s"}
    async with serving(provider, backend, lane, provider_keys=keys) as gateway:
        async with Flood(gateway, 100, junk(), addresses) as flood:
            assert await statuses_of_fifty(gateway, at_once=5) == {200: 50}
        assert 503 in flood.statuses
        assert breaker_states(gateway) == []


@lanes(FAST)
async def test_who_fills_the_queue_is_charged_for_what_it_turned_away(provider, backend, lane):
    provider.takes_s = lambda _: 2.0
    keys = {"max_concurrency": 1, "max_waiting": 0, "timeout": "10s"}
    limit = {"unknown_tokens": {"rate": 1, "burst": 20}}
    async with serving(provider, backend, lane, provider_keys=keys, server=limit) as gateway:
        first = asyncio.create_task(status(gateway, "junk", EVE[0]))
        await provider.wait_for_calls()
        found = Counter([await status(gateway, f"junk-{number}", EVE[0]) for number in range(30)])
        assert found[503] <= 22
        assert found[429] >= 8
        assert await first == 401


@lanes(FAST)
async def test_a_queue_of_our_own_is_no_reason_for_an_old_answer(provider, backend, lane):
    provider.takes_s = lambda call: 2.0 if call.token == "junk" else 0.0
    keys = {"max_concurrency": 1, "max_waiting": 0, "timeout": "10s"}
    more = {"auth": {"stale_if_error": "5m"}, "cache": {"ttl": "200ms"}, "provider_keys": keys}
    async with serving(provider, backend, lane, **more) as gateway:
        assert await status(gateway, "good", BOB) == 200
        before = len(provider.calls)
        await asyncio.sleep(0.3)
        first = asyncio.create_task(status(gateway, "junk", EVE[0]))
        await provider.wait_for_calls(before + 1)
        assert await status(gateway, "good", BOB) == 503
        assert await first == 401
        assert await status(gateway, "good", BOB) == 200


@lanes(FAST)
async def test_a_provider_that_fails_for_real_tokens_alone_keeps_nobody_waiting_who_has_facts(provider, backend, lane):
    """It has lost its sessions, and still knows that a random token is nobody's: its breaker stays closed."""
    keys = {"max_concurrency": 4, "timeout": "500ms"}
    more = {"auth": {"stale_if_error": "5m"}, "cache": {"ttl": "500ms", "inactive_ttl": "0s"}, "provider_keys": keys}
    async with serving(provider, backend, lane, **more) as gateway:

        async def everybody() -> Counter[int]:
            return Counter(
                await asyncio.gather(
                    *(status(gateway, f"good-{number}", f"198.51.100.{number}") for number in range(1, 101))
                )
            )

        assert await everybody() == {200: 100}
        provider.takes_s = lambda call: 60.0 if str(call.token).startswith("good") else 0.0
        await asyncio.sleep(0.5)
        for _ in range(2):  # as it is noticed, and then
            asked = len(provider.arrivals)
            assert await everybody() == {200: 100}
            # In the queue each would be asked about, and take half a second, by four. Here it is about a dozen.
            assert len(provider.arrivals) - asked < 40
        assert "open" not in breaker_states(gateway)
        provider.takes_s = lambda _: 0.0
        provider.default = {"active": False}
        await asyncio.sleep(0.75)  # the calls that were under way hang until their time is over
        # Soon nobody is good any more whom it calls revoked.
        async with asyncio.timeout(10):
            while await status(gateway, "good-1", "198.51.100.1") != 401:  # noqa: ASYNC110 - a client has no other way
                await asyncio.sleep(0.1)
        assert await everybody() == {401: 100}


@lanes(FAST)
async def test_one_network_whose_own_tokens_fail_keeps_no_revoked_token_alive(provider, backend, lane):
    """However many it has that were good once, and however full the queue is of its junk."""
    slow = {f"good-eve-{number}" for number in range(20)}
    keys = {"max_concurrency": 4, "timeout": "1s"}
    more = {"auth": {"stale_if_error": "5m"}, "cache": {"ttl": "500ms"}, "provider_keys": keys}
    async with serving(provider, backend, lane, **more) as gateway:
        for token in [*slow, "good-mallory"]:
            assert await status(gateway, token, EVE[0]) == 200
        provider.takes_s = lambda call: 60.0 if call.token in slow else 0.3
        provider.default = {"active": False}
        await asyncio.sleep(0.5)
        theirs = [asyncio.create_task(status(gateway, token, EVE[0])) for token in slow]
        async with Flood(gateway, 40, junk(), EVE[:1]):
            assert await status(gateway, "good-mallory", MALLORY) == 401
        await asyncio.gather(*theirs, return_exceptions=True)


@lanes(FAST)
async def test_nobody_waits_in_the_place_of_a_network_that_asked_about_the_same_token_first(provider, backend, lane):
    provider.takes_s = lambda _: 0.5
    keys = {"max_concurrency": 4, "max_waiting": 64}
    async with serving(provider, backend, lane, provider_keys=keys) as gateway, Flood(gateway, 60, junk(), EVE[:1]):
        eves = asyncio.create_task(status(gateway, "good-shared", EVE[0]))
        await asyncio.sleep(0.3)  # by now it waits behind 56 others, for 7 s
        began_s = time.monotonic()
        assert await status(gateway, "good-shared", BOB) == 200
        assert time.monotonic() - began_s < 4
        assert await eves == 200
        assert [call.token for call in provider.introspections].count("good-shared") == 1
