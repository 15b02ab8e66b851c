"""Two and more instances around one Redis: one introspection for all, and a purge that reaches all."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from support.introspecting import UNCLEAR, Clock, CountingMeter, ScriptedIntrospector
from support.redis_server import RedisServer

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive
from gateway.cache.key import HmacKeys
from gateway.cache.local import LocalCache
from gateway.cache.redis import RedisTier
from gateway.config.redis_url import parse_redis_url
from gateway.introspection.authenticator import Authenticator, FactsLookup, Question
from gateway.introspection.lifetime import Lifetimes
from gateway.introspection.tag_purge import TagPurge

TIMEOUT_S = 2.0
BRIEF_S = 0.05


class Instance:
    """A gateway's authentication, as the shell puts it together, with a provider of its own to count at."""

    def __init__(
        self, server: RedisServer, timeout_s: float, clock: Callable[[], float], ttl_s: float, tolerated_s: float
    ) -> None:
        keys = HmacKeys(b"secret")
        self.meter = CountingMeter()
        self.provider = ScriptedIntrospector(Clock(clock()))
        self.other = ScriptedIntrospector(Clock(clock()), name="other", identity=b"another")
        self.tier = RedisTier(
            parse_redis_url(server.url),
            keys,
            timeout_s=timeout_s,
            life_max_s=ttl_s,
            clock=clock,
            monotonic=time.monotonic,
        )
        self.authenticator = Authenticator(
            {"keycloak": self.provider, "other": self.other},
            keys=keys,
            local=LocalCache(1000),
            shared=self.tier,
            meter=self.meter,
            lifetimes=Lifetimes(ttl_s, 10),
            clock=clock,
            monotonic=time.monotonic,
            leases=self.tier.leases,
            longest_tolerated_s={"keycloak": tolerated_s} if tolerated_s else {},
        )
        self.tier.extend_life(ttl_s + tolerated_s)

    async def ask(
        self,
        token: str = "alice.1",
        provider: str = "keycloak",
        max_age_s: float | None = None,
        stale_s: float | None = None,
    ) -> FactsLookup:
        question = Question(provider, Token(token), max_age_s, stale_s)
        return self.authenticator.cached(question) or await self.authenticator.look_up(question)

    def remembers(self, token: str = "alice.1") -> bool:
        return self.authenticator.cached(Question("keycloak", Token(token))) is not None

    def knows(self, token: str = "alice.1") -> bool:
        return self.authenticator.was_recently_active(Question("keycloak", Token(token)))

    async def purge(self, order: TagPurge) -> tuple[int, bool]:
        """As `DELETE /cache` does it."""
        return self.authenticator.forget(order), await self.tier.publish_purge(order)


@asynccontextmanager
async def instances(
    server: RedisServer,
    count: int = 2,
    *,
    timeout_s: float = TIMEOUT_S,
    clocks_apart_s: float = 0.0,
    ttl_s: float = 60.0,
    tolerated_s: float = 0.0,
) -> AsyncIterator[list[Instance]]:
    fleet = [
        Instance(server, timeout_s, lambda ahead=number * clocks_apart_s: time.time() + ahead, ttl_s, tolerated_s)
        for number in range(count)
    ]
    for each in fleet:
        await each.tier.start(each.authenticator.forget)
    try:
        yield fleet
    finally:
        for each in fleet:
            await each.authenticator.close(1)
            await each.tier.close()


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, "it never came true"
        await asyncio.sleep(0.005)
    return time.monotonic() - began


def order(instance: Instance, selected: str) -> TagPurge:
    match selected:
        case "token":
            return instance.authenticator.purge_of(token=Token("alice.1"))
        case "sub":
            return instance.authenticator.purge_of(sub="alice")
        case _:
            return instance.authenticator.purge_of()


async def test_the_fleet_asks_the_provider_once(redis_server: RedisServer) -> None:
    async with instances(redis_server, 4) as fleet:
        tiers = [(await each.ask()).tier for each in fleet]
        assert tiers == ["provider", "redis", "redis", "redis"]
        assert [(await each.ask()).tier for each in fleet] == ["local"] * 4
        assert sum(len(each.provider.asked) for each in fleet) == 1


async def test_two_hundred_at_once_make_one_call_and_one_lookup(redis_server: RedisServer) -> None:
    async with instances(redis_server, 1) as [one]:
        await asyncio.gather(*(one.ask() for _ in range(200)))
        assert len(one.provider.asked) == 1
        assert one.meter.lookups["redis", "miss"] == 1


async def test_the_same_token_at_two_providers_makes_two_calls_at_once_and_later(redis_server: RedisServer) -> None:
    async with instances(redis_server) as [one, other]:
        for each in (one, other):
            await asyncio.gather(*(each.ask(provider=name) for name in ("keycloak", "other") for _ in range(5)))
        assert (len(one.provider.asked), len(one.other.asked)) == (1, 1)
        assert (len(other.provider.asked), len(other.other.asked)) == (0, 0)


async def test_an_inactive_token_is_asked_about_once_too(redis_server: RedisServer) -> None:
    async with instances(redis_server) as [one, other]:
        await one.ask("junk.1")
        assert (await other.ask("junk.1")).tier == "redis"


@pytest.mark.parametrize("selected", ["token", "sub", "everything"])
async def test_a_purge_reaches_all_within_a_second(redis_server: RedisServer, selected: str) -> None:
    async with instances(redis_server, 3) as fleet:
        for each in fleet:
            await each.ask()
        assert await fleet[0].purge(order(fleet[0], selected)) == (1, True)
        assert not fleet[0].remembers()
        assert await until(lambda: not any(each.remembers() for each in fleet)) < 1
        assert (await fleet[1].ask()).tier == "provider"
        await until(lambda: len({each.tier.log_position() for each in fleet}) == 1)
        assert (await fleet[0].ask()).tier == "redis"


@pytest.mark.parametrize("selected", ["token", "sub", "everything"])
async def test_a_purge_reaches_those_whose_connections_were_cut(redis_server: RedisServer, selected: str) -> None:
    async with instances(redis_server) as [one, other]:
        await one.ask()
        await other.ask()
        with redis_server.client() as client:
            for kind in ("normal", "pubsub"):
                client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        await one.purge(order(one, selected))
        await until(lambda: not other.remembers(), within_s=5)
        assert (await other.ask()).tier == "provider"


@pytest.mark.parametrize("selected", ["token", "sub", "everything"])
async def test_an_answer_asked_for_before_a_purge_elsewhere_does_not_settle(
    redis_server: RedisServer, selected: str
) -> None:
    async with instances(redis_server) as [one, other]:
        one.provider.gate = asyncio.Event()
        early = asyncio.create_task(one.ask())
        await until(lambda: bool(one.provider.asked))
        await other.purge(order(other, selected))
        await until(lambda: one.tier.log_position() == other.tier.log_position())
        one.provider.gate.set()
        await early
        assert not one.remembers()
        assert (await other.ask()).tier == "provider"


async def test_an_answer_that_settles_before_the_purge_is_heard_of_is_found_by_nobody_after(
    redis_server: RedisServer,
) -> None:
    async with instances(redis_server) as [one, other]:
        one.provider.gate = asyncio.Event()
        early = asyncio.create_task(one.ask())
        await until(lambda: bool(one.provider.asked))
        purging = asyncio.create_task(other.purge(order(other, "sub")))
        one.provider.gate.set()
        await early
        await purging
        await until(lambda: not one.remembers())
        assert (await other.ask()).tier == "provider"


async def test_a_purge_while_redis_is_away_holds_here_and_is_told_later(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with instances(own_redis, timeout_s=BRIEF_S) as [one, other]:
        await until(lambda: one.tier.healthy and other.tier.healthy)
        await one.ask()
        await other.ask()
        own_redis.pause()
        assert await one.purge(order(one, "sub")) == (1, False)
        [line] = [record for record in caplog.records if getattr(record, "event", "") == "purge_delayed"]
        assert "answer in time" in line.fields["reason"]  # type: ignore[attr-defined]  # one of ours
        assert (await one.ask()).tier == "provider"
        own_redis.resume()
        await until(lambda: not other.remembers())


async def test_redis_killed_costs_no_answer(own_redis: RedisServer) -> None:
    async with instances(own_redis, 1, timeout_s=BRIEF_S) as [one]:
        own_redis.kill()
        for number in range(50):
            assert (await one.ask(f"user{number}.1")).tier == "provider"
        assert one.meter.lookups["redis", "error"] == 50
        own_redis.start()
        await until(lambda: one.tier.healthy)
        await one.ask("late.1")
        assert one.meter.lookups["redis", "miss"] == 1


async def test_redis_paused_costs_its_time_out_once(own_redis: RedisServer) -> None:
    async with instances(own_redis, 1, timeout_s=BRIEF_S) as [one]:
        await until(lambda: one.tier.healthy)
        own_redis.pause()
        took = []
        for number in range(20):
            began = time.monotonic()
            assert (await one.ask(f"user{number}.1")).tier == "provider"
            took.append(time.monotonic() - began)
        own_redis.resume()
        assert took[0] < 1
        assert sorted(took)[10] < BRIEF_S
        assert one.meter.lookups["redis", "error"] == 20


async def test_redis_full_of_garbage_costs_no_answer(redis_server: RedisServer) -> None:
    async with instances(redis_server) as [one, other]:
        subs = [f"user{number}" for number in range(30)]
        for sub in subs:
            await one.ask(f"{sub}.1")
        dice = random.Random(7)
        with redis_server.client() as client:
            for name in [*redis_server.names(), f"gateway:{HmacKeys(b'secret').fleet}:purges"]:
                client.set(name, dice.randbytes(200), ex=60)
        for sub in subs:
            found = await other.ask(f"{sub}.1")
            assert isinstance(found.result, Facts)
            assert (found.result.claims["sub"], found.tier) == (sub, "provider")
        assert other.meter.lookups["redis", "hit"] == 0
        assert other.meter.lookups["redis", "error"] + other.meter.lookups["redis", "miss"] == 30


async def test_clocks_five_minutes_apart_share_nothing_and_clocks_a_second_apart_share_all(
    redis_server: RedisServer,
) -> None:
    for apart_s, tier in ((-300.0, "provider"), (-1.0, "redis"), (1.0, "redis"), (300.0, "provider")):
        async with instances(redis_server, clocks_apart_s=apart_s) as [one, other]:
            token = f"alice.{apart_s}"
            await one.ask(token)
            found = await other.ask(token)
            assert isinstance(found.result, Facts)
            assert found.tier == tier
            assert abs(found.result.introspected_at - (time.time() + apart_s)) < 5


async def test_a_stricter_route_refreshes_the_entry_for_the_fleet(redis_server: RedisServer) -> None:
    async with instances(redis_server, 3) as [one, other, third]:
        await one.ask()
        await asyncio.sleep(0.2)
        assert (await other.ask(max_age_s=0.1)).tier == "provider"
        found = await third.ask(max_age_s=30)
        assert isinstance(found.result, Facts)
        assert found.tier == "redis"
        assert len(other.provider.asked) == 1
        assert (await third.ask(max_age_s=0)).tier == "provider"


async def test_nothing_of_a_token_lies_in_redis(redis_server: RedisServer) -> None:
    token = "alice.Zm9vYmFyYmF6cXV4"
    async with instances(redis_server) as [one, other]:
        await one.ask(token)
        await one.purge(one.authenticator.purge_of(token=Token(token)))
        await other.ask(token)
        with redis_server.client() as client:
            names = client.keys()
            held = b"".join(name + client.dump(name) for name in names)
    assert len(names) == 2
    for part in (token, "Zm9vYmFy", "alice", "sub", "keycloak", "sso.example.com", "secret"):
        assert part.encode() not in held


# The last known facts, while the provider cannot tell.


async def test_what_one_instance_knew_stands_in_at_another(own_redis: RedisServer) -> None:
    async with instances(own_redis, ttl_s=0.3, tolerated_s=60) as (one, other):
        await one.ask()
        await asyncio.sleep(0.4)
        other.provider.result = UNCLEAR
        assert (await other.ask()).result is UNCLEAR  # not by the question that tolerates nothing
        found = await other.ask(stale_s=60)
        assert isinstance(found.result, Facts)
        assert found.stale_s is not None
        assert 0.4 <= found.stale_s < 30
        # Told once, it is known without Redis too.
        own_redis.stop()
        assert isinstance((await other.ask(stale_s=60)).result, Facts)


async def test_what_is_kept_longer_is_never_fresh_at_another(redis_server: RedisServer) -> None:
    async with instances(redis_server, ttl_s=0.3, tolerated_s=60) as (one, other):
        await one.ask()
        await asyncio.sleep(0.4)
        assert (await other.ask(stale_s=60)).tier == "provider"


async def test_a_no_that_one_instance_is_told_ends_what_the_others_keep(redis_server: RedisServer) -> None:
    async with instances(redis_server, count=3, ttl_s=0.3, tolerated_s=60) as (one, other, third):
        for each in (one, other, third):
            await each.ask()
        await asyncio.sleep(0.4)
        one.provider.result = Inactive(time.time())
        assert isinstance((await one.ask(stale_s=60)).result, Inactive)
        await until(lambda: not other.knows() and not third.knows(), within_s=5)
        for each in (other, third):
            each.provider.result = UNCLEAR
            assert isinstance((await each.ask(stale_s=60)).result, Inactive)
        # The one that was told still remembers that it was.
        assert one.remembers()


async def test_a_no_is_asked_for_once_in_the_fleet_where_some_route_tolerates_old_facts(
    redis_server: RedisServer,
) -> None:
    """As docs/caching.md promises: one call a window for the fleet, here two windows, a yes and a no."""
    async with instances(redis_server, count=4, ttl_s=0.5, tolerated_s=60) as fleet:
        for each in fleet:
            assert isinstance((await each.ask()).result, Facts)
        assert sum(len(each.provider.asked) for each in fleet) == 1
        await asyncio.sleep(0.6)
        for each in fleet:
            each.provider.result = Inactive(time.time())
        for each in fleet:
            assert isinstance((await each.ask(stale_s=60)).result, Inactive)
        assert sum(len(each.provider.asked) for each in fleet) == 2
        await until(lambda: not any(each.knows() for each in fleet), within_s=5)
        await asyncio.gather(*(each.ask(stale_s=60) for each in fleet))
        assert sum(len(each.provider.asked) for each in fleet) == 2


async def test_so_does_one_that_a_stranger_to_the_token_is_told_by_a_route_that_asks_every_time(
    redis_server: RedisServer,
) -> None:
    async with instances(redis_server, ttl_s=0.3, tolerated_s=60) as (one, other):
        await other.ask()
        await asyncio.sleep(0.4)
        one.provider.result = Inactive(time.time())
        assert isinstance((await one.ask(max_age_s=0)).result, Inactive)
        await until(lambda: not other.knows(), within_s=5)


async def test_a_purge_at_one_instance_ends_what_the_others_keep(redis_server: RedisServer) -> None:
    async with instances(redis_server, ttl_s=0.3, tolerated_s=60) as (one, other):
        await one.ask()
        await other.ask()
        await asyncio.sleep(0.4)
        await one.purge(one.authenticator.purge_of(sub="alice"))
        await until(lambda: not other.knows(), within_s=5)
        for each in (one, other):
            each.provider.result = UNCLEAR
            assert (await each.ask(stale_s=60)).result is UNCLEAR
