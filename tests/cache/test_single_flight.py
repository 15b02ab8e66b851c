"""Instances around one Redis that ask about one token at the same moment: one of them asks the provider."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from support.introspecting import UNCLEAR, Clock, CountingMeter, ScriptedIntrospector
from support.redis_server import RedisServer

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive, Indeterminate
from gateway.cache.entry_names import lease_name
from gateway.cache.key import HmacKeys
from gateway.cache.local import LocalCache
from gateway.cache.redis import RedisTier
from gateway.config.redis_url import parse_redis_url
from gateway.introspection import fleet_lease
from gateway.introspection.authenticator import Authenticator, FactsLookup, Question
from gateway.introspection.lifetime import Lifetimes
from gateway.introspection.refresh import Ahead

LONG = Lifetimes(60.0, 60.0)


class Instance:
    def __init__(
        self, server: RedisServer, provider: ScriptedIntrospector, lifetimes: Lifetimes, timeout_s: float, ahead: float
    ) -> None:
        keys = HmacKeys(b"secret")
        self.provider = provider
        self.meter = CountingMeter()
        self.tier = RedisTier(
            parse_redis_url(server.url),
            keys,
            timeout_s=timeout_s,
            life_max_s=lifetimes.active_s,
            clock=time.time,
            monotonic=time.monotonic,
        )
        self.key = keys.key(provider.identity, Token("alice.1"))
        self.authenticator = Authenticator(
            {"keycloak": provider},
            keys=keys,
            local=LocalCache(1000),
            shared=self.tier,
            meter=self.meter,
            lifetimes=lifetimes,
            clock=time.time,
            monotonic=time.monotonic,
            leases=self.tier.leases,
            ahead=None if ahead == 0 else Ahead(ahead, lifetimes.active_s, 4),
        )

    async def ask(self, token: str = "alice.1", max_age_s: float | None = None) -> FactsLookup:
        question = Question("keycloak", Token(token), max_age_s)
        return self.authenticator.cached(question) or await self.authenticator.look_up(question)


@asynccontextmanager
async def instances(
    server: RedisServer,
    count: int = 4,
    *,
    lifetimes: Lifetimes = LONG,
    call_s: float = 2.0,
    timeout_s: float = 2.0,
    ahead: float = 0,
) -> AsyncIterator[list[Instance]]:
    """All of them ask one provider, each by a client of its own, so that each can be told what it answers."""
    asked: list[str] = []
    fleet = []
    for _ in range(count):
        provider = ScriptedIntrospector(Clock(time.time()), max_duration_s=call_s, asked=asked)
        fleet.append(Instance(server, provider, lifetimes, timeout_s, ahead))
    for each in fleet:
        await each.tier.start(each.authenticator.forget)
    await until(lambda: all(each.tier.leases._notifier.listening for each in fleet))
    try:
        yield fleet
    finally:
        for each in fleet:
            if each.provider.gate is not None:
                each.provider.gate.set()
        for each in fleet:
            await each.authenticator.close(1)
            await each.tier.close()


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, "it never came true"
        await asyncio.sleep(0.005)
    return time.monotonic() - began


def hold(fleet: Sequence[Instance]) -> asyncio.Event:
    """No call is over before the event is set."""
    gate = asyncio.Event()
    for each in fleet:
        each.provider.gate = gate
    return gate


def outcomes(fleet: Sequence[Instance], outcome: str) -> int:
    return sum(each.meter.leases[outcome] for each in fleet)


async def awaited_by(fleet: Sequence[Instance], count: int) -> None:
    """Once `count` instances wait for another one's call."""
    await until(lambda: sum(bool(each.tier.leases._notifier._signals) for each in fleet) >= count)
    await asyncio.sleep(0.05)


async def test_a_fleet_that_asks_at_once_makes_one_call(redis_server: RedisServer) -> None:
    async with instances(redis_server, 8) as fleet:
        gate = hold(fleet)
        asking = [asyncio.create_task(each.ask()) for each in fleet for _ in range(50)]
        await awaited_by(fleet, 7)
        gate.set()
        found = await asyncio.gather(*asking)
        assert {type(each.result) for each in found} == {Facts}
        assert len(fleet[0].provider.asked) == 1
        assert (outcomes(fleet, "held"), outcomes(fleet, "waited")) == (1, 7)
        assert all([(await each.ask()).tier == "local" for each in fleet])
        assert redis_server.names() != []
        assert not [name for name in redis_server.names() if name.endswith(b":lease")]


async def test_different_tokens_do_not_wait_for_each_other(redis_server: RedisServer) -> None:
    async with instances(redis_server, 2) as [one, other]:
        hold([one])
        slow = asyncio.create_task(one.ask("alice.1"))
        await until(lambda: one.provider.asked == ["alice.1"])
        assert (await other.ask("bob.1")).tier == "provider"
        assert not slow.done()
        slow.cancel()


async def test_an_inactive_token_makes_one_call_too(redis_server: RedisServer) -> None:
    async with instances(redis_server) as fleet:
        gate = hold(fleet)
        asking = [asyncio.create_task(each.ask("junk.1")) for each in fleet]
        await awaited_by(fleet, 3)
        gate.set()
        assert {type(each.result) for each in await asyncio.gather(*asking)} == {Inactive}
        assert len(fleet[0].provider.asked) == 1


async def test_without_a_message_the_others_look_for_themselves(redis_server: RedisServer) -> None:
    async with instances(redis_server) as fleet:
        for each in fleet:
            await each.tier.leases._notifier.close()
        gate = hold(fleet)
        asking = [asyncio.create_task(each.ask()) for each in fleet]
        await awaited_by(fleet, 3)
        gate.set()
        began = time.monotonic()
        await asyncio.gather(*asking)
        assert time.monotonic() - began < 2
        assert len(fleet[0].provider.asked) == 1


async def test_a_holder_that_died_costs_its_lease_and_one_call(redis_server: RedisServer) -> None:
    async with instances(redis_server) as fleet:
        # Whoever took it will never settle it.
        assert await fleet[0].tier.leases.acquire(fleet[0].key, fleet[0].provider.realm, b"d" * 16, 0.6) is not None
        began = time.monotonic()
        found = await asyncio.gather(*(each.ask() for each in fleet[1:]))
        took_s = time.monotonic() - began
        assert {type(each.result) for each in found} == {Facts}
        assert len(fleet[0].provider.asked) == 1
        assert 0.4 < took_s < 3


async def test_a_call_that_failed_gives_its_lease_back_and_the_others_ask_in_turn(redis_server: RedisServer) -> None:
    async with instances(redis_server) as fleet:
        gate = hold(fleet)
        fleet[0].provider.result = UNCLEAR
        first = asyncio.create_task(fleet[0].ask())
        await until(lambda: len(fleet[0].provider.asked) == 1)
        others = [asyncio.create_task(each.ask()) for each in fleet[1:]]
        await awaited_by(fleet, 3)
        began = time.monotonic()
        gate.set()
        assert isinstance((await first).result, Indeterminate)
        found = await asyncio.gather(*others)
        assert time.monotonic() - began < 2  # and not the lease's length
        assert {type(each.result) for each in found} == {Facts}
        assert len(fleet[0].provider.asked) == 2


async def test_when_every_call_fails_each_asks_once_one_after_the_other(redis_server: RedisServer) -> None:
    async with instances(redis_server) as fleet:
        for each in fleet:
            each.provider.result = UNCLEAR
        found = await asyncio.gather(*(each.ask() for each in fleet for _ in range(20)))
        assert {type(each.result) for each in found} == {Indeterminate}
        assert len(fleet[0].provider.asked) == 4
        assert outcomes(fleet, "held") == 4
        assert redis_server.names() == []


async def test_waiting_has_an_end_even_where_the_lease_is_taken_again_and_again(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_lease, "_LATE_S", 0.1)
    async with instances(redis_server, 1, call_s=0.1, timeout_s=0.2) as [one]:
        with redis_server.client() as client:
            stopping = asyncio.Event()

            async def taken_for_ever() -> None:
                number = 0
                while not stopping.is_set():
                    number += 1
                    client.set(lease_name(one.tier._name(one.key)), b"%016d-" % number, px=5000)
                    await asyncio.sleep(0.02)

            taking = asyncio.create_task(taken_for_ever())
            await asyncio.sleep(0.05)
            began = time.monotonic()
            assert (await one.ask()).tier == "provider"
            assert time.monotonic() - began < 5
            assert one.meter.leases == {"unavailable": 1}
            stopping.set()
            await taking


async def test_a_late_answer_does_not_overwrite_the_one_of_who_took_over(redis_server: RedisServer) -> None:
    async with instances(redis_server, 3) as [late, other, third]:
        gate = hold([late])
        asking = asyncio.create_task(late.ask())
        await until(lambda: bool(late.provider.asked))
        with redis_server.client() as client:  # its lease has run out
            client.delete(*redis_server.names())
        assert (await other.ask()).tier == "provider"
        gate.set()
        assert (await asking).tier == "provider"
        await until(lambda: late.meter.leases == {"held": 1, "lost": 1})
        found = await third.ask()
        assert isinstance(found.result, Facts)
        assert (found.tier, found.result.claims["serial"]) == ("redis", 2)


async def test_a_max_age_of_zero_shares_a_call_that_is_under_way_in_the_fleet(redis_server: RedisServer) -> None:
    async with instances(redis_server) as fleet:
        for round_number in range(1, 4):
            gate = hold(fleet)
            asking = [asyncio.create_task(each.ask(max_age_s=0)) for each in fleet for _ in range(10)]
            await awaited_by(fleet, 3)
            gate.set()
            await asyncio.gather(*asking)
            assert len(fleet[0].provider.asked) == round_number


async def test_a_max_age_of_zero_takes_nothing_that_was_over_when_it_came(redis_server: RedisServer) -> None:
    async with instances(redis_server, 2) as [one, other]:
        for number in range(1, 6):
            assert (await (one, other)[number % 2].ask(max_age_s=0)).tier == "provider"
            assert len(one.provider.asked) == number


async def test_who_comes_too_late_for_a_shared_call_is_not_served_by_it(redis_server: RedisServer) -> None:
    async with instances(redis_server, 2) as [one, other]:
        # No message: what is settled is seen a moment later, and in that moment somebody comes.
        await other.tier.leases._notifier.close()
        gate = hold([one])
        first = asyncio.create_task(one.ask(max_age_s=0))
        await until(lambda: bool(one.provider.asked))
        waiting = asyncio.create_task(other.ask(max_age_s=0))
        await awaited_by([other], 1)
        gate.set()
        await first
        late = asyncio.create_task(other.ask(max_age_s=0))
        assert (await waiting).tier == "redis"
        assert (await late).tier == "provider"
        assert len(one.provider.asked) == 2


async def test_a_stricter_route_refreshes_the_entry_for_all_with_one_call(redis_server: RedisServer) -> None:
    async with instances(redis_server) as fleet:
        for each in fleet:
            await each.ask()
        await asyncio.sleep(0.3)
        gate = hold(fleet)
        asking = [asyncio.create_task(each.ask(max_age_s=0.2)) for each in fleet]
        await awaited_by(fleet, 3)
        gate.set()
        await asyncio.gather(*asking)
        assert len(fleet[0].provider.asked) == 2
        for each in fleet:
            found = await each.ask(max_age_s=30)
            assert isinstance(found.result, Facts)
            assert (found.tier, found.result.claims["serial"]) == ("local", 2)


async def test_who_asks_after_a_purge_is_not_given_what_was_asked_for_before_it(redis_server: RedisServer) -> None:
    async with instances(redis_server, 3) as fleet:
        one, other, third = fleet
        before = one.tier.log_position()
        gate = hold([one])
        early = asyncio.create_task(one.ask())
        await until(lambda: bool(one.provider.asked))
        order = third.authenticator.purge_of(sub="alice")
        third.authenticator.forget(order)
        assert await third.tier.publish_purge(order)
        await until(
            lambda: before not in (standings := {each.tier.log_position() for each in fleet}) and len(standings) == 1
        )
        late = [asyncio.create_task(each.ask()) for each in (other, third)]
        await awaited_by([other, third], 2)
        gate.set()
        assert (await early).tier == "provider"
        for found in await asyncio.gather(*late):
            assert isinstance(found.result, Facts)
            assert found.result.claims["serial"] == 2
        assert len(one.provider.asked) == 2


async def test_who_asks_after_a_token_was_purged_does_not_wait_for_the_call_from_before(
    redis_server: RedisServer,
) -> None:
    async with instances(redis_server, 3) as fleet:
        one, other, third = fleet
        before = one.tier.log_position()
        gate = hold([one])
        early = asyncio.create_task(one.ask())
        await until(lambda: bool(one.provider.asked))
        order = third.authenticator.purge_of(token=Token("alice.1"))
        third.authenticator.forget(order)
        await third.tier.publish_purge(order)
        await until(
            lambda: before not in (standings := {each.tier.log_position() for each in fleet}) and len(standings) == 1
        )
        for each, tier in ((other, "provider"), (third, "redis")):
            assert (await each.ask()).tier == tier
        gate.set()
        assert (await early).tier == "provider"
        found = await one.ask()
        assert isinstance(found.result, Facts)
        assert (found.tier, found.result.claims["serial"]) == ("redis", 2)


async def test_a_redis_that_dies_while_others_wait_lets_each_process_ask_once(own_redis: RedisServer) -> None:
    async with instances(own_redis, timeout_s=0.2) as fleet:
        gate = hold(fleet)
        asking = [asyncio.create_task(each.ask()) for each in fleet for _ in range(50)]
        await awaited_by(fleet, 3)
        own_redis.kill()
        await until(lambda: len(fleet[0].provider.asked) == 4)
        gate.set()
        assert {(await each).tier for each in asking} == {"provider"}
        assert len(fleet[0].provider.asked) == 4
        assert (outcomes(fleet, "held"), outcomes(fleet, "unavailable")) == (1, 3)


async def test_without_redis_each_process_makes_one_call_and_waits_for_nobody(own_redis: RedisServer) -> None:
    async with instances(own_redis, timeout_s=0.2) as fleet:
        await until(lambda: all(each.tier.healthy for each in fleet))
        own_redis.pause()
        began = time.monotonic()
        found = await asyncio.gather(*(each.ask() for each in fleet for _ in range(50)))
        assert time.monotonic() - began < 1.5
        own_redis.resume()
        assert {each.tier for each in found} == {"provider"}
        assert len(fleet[0].provider.asked) == 4


async def test_a_redis_that_refuses_scripts_still_shares_answers(own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-@scripting")
    async with instances(own_redis, 2) as [one, other]:
        assert (await one.ask()).tier == "provider"
        assert (await other.ask()).tier == "redis"
        assert one.meter.leases == {"unavailable": 1}


async def test_an_instance_that_ends_in_the_middle_of_a_call_gives_its_lease_back(redis_server: RedisServer) -> None:
    async with instances(redis_server, 2) as [one, other]:
        hold([one])
        asking = asyncio.create_task(one.ask())
        await until(lambda: bool(one.provider.asked))
        await one.authenticator.close(0.01)
        await asyncio.gather(asking, return_exceptions=True)
        began = time.monotonic()
        assert (await other.ask()).tier == "provider"
        assert time.monotonic() - began < 1


async def test_a_call_that_fails_while_the_instance_ends_gives_its_lease_back(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with instances(redis_server, 1) as [one]:
        release = one.tier.leases.release

        async def take_time(key: bytes, fence: bytes) -> None:
            await asyncio.sleep(0.02)
            await release(key, fence)

        monkeypatch.setattr(one.tier.leases, "release", take_time)
        gate = hold([one])
        one.provider.result = UNCLEAR
        asking = asyncio.create_task(one.ask())
        await until(lambda: bool(one.provider.asked))
        closing = asyncio.create_task(one.authenticator.close(5))
        await asyncio.sleep(0.01)
        gate.set()
        await closing
        assert isinstance((await asking).result, Indeterminate)
        assert redis_server.names() == []


async def test_what_is_not_remembered_needs_no_lease(redis_server: RedisServer) -> None:
    async with instances(redis_server, 2, lifetimes=Lifetimes(0, 0)) as fleet:
        await asyncio.gather(*(each.ask() for each in fleet for _ in range(10)))
        assert len(fleet[0].provider.asked) == 2
        assert outcomes(fleet, "held") == 0
        assert redis_server.names() == []


async def test_a_hot_token_is_asked_for_ahead_once_in_the_fleet_and_nobody_waits(redis_server: RedisServer) -> None:
    async with instances(redis_server, 4, lifetimes=Lifetimes(1.0, 1.0), ahead=0.5) as fleet:
        for each in fleet:
            await each.ask()
        began = time.monotonic()
        tiers = set()
        while time.monotonic() - began < 2.5:
            for each in fleet:
                tiers.add((await each.ask()).tier)
            await asyncio.sleep(0.01)
        assert tiers == {"local"}
        assert 4 <= len(fleet[0].provider.asked) <= 6  # each half of a window
        asked = sum(each.meter.refreshes["asked"] for each in fleet)
        assert asked == len(fleet[0].provider.asked) - 1
        assert sum(each.meter.refreshes["shared"] for each in fleet) >= asked


async def test_who_leaves_the_provider_alone_waits_for_nobody_who_asks_it(redis_server: RedisServer) -> None:
    async with instances(redis_server, 2) as [one, other]:
        gate = hold([one])
        asking = asyncio.create_task(one.ask())
        await until(lambda: bool(one.provider.asked))
        other.provider.breaker_is_open, other.provider.result = True, UNCLEAR
        assert (await other.ask()).result is UNCLEAR
        assert not asking.done()
        assert other.meter.leases == {}
        gate.set()
        assert isinstance((await asking).result, Facts)
