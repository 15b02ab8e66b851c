"""`cache.secret` changes from one to another while the fleet serves: second everywhere, then first, then on its own."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.introspecting import Clock, CountingMeter, ScriptedIntrospector
from support.redis_server import RedisServer

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive
from gateway.cache.key import HmacKeys
from gateway.cache.key_ring import KeyRing, keys_of
from gateway.cache.local import LocalCache
from gateway.cache.redis import RedisTier
from gateway.cache.tier_per_secret import TierPerSecret
from gateway.config.redis_url import parse_redis_url
from gateway.introspection.authenticator import Authenticator, FactsLookup, Question
from gateway.introspection.invalidation import ClaimSelector, new_invalidation, whole_realm
from gateway.introspection.lifetime import Lifetimes

OLD, NEW, OTHER = b"the-old-secret-of-all", b"the-new-secret-of-all", b"the-third-secret"
# What two instances may have at the same time, in the order of a rotation.
STEPS = {
    "second is being added": ([OLD], [OLD, NEW]),
    "second everywhere": ([OLD, NEW], [OLD, NEW]),
    "first is being changed": ([OLD, NEW], [NEW, OLD]),
    "first everywhere": ([NEW, OLD], [NEW, OLD]),
    "the old one is being taken out": ([NEW, OLD], [NEW]),
    "three at once": ([OLD, NEW, OTHER], [NEW, OTHER, OLD]),
}


class Instance:
    def __init__(self, server: RedisServer, secrets: list[bytes]) -> None:
        keys = keys_of(secrets)
        tiers = [
            RedisTier(
                parse_redis_url(server.url),
                keys,
                timeout_s=2.0,
                life_max_s=60.0,
                clock=time.time,
                monotonic=time.monotonic,
                which=which,
            )
            for which in range(len(secrets))
        ]
        self.tier = TierPerSecret(tiers) if len(tiers) > 1 else tiers[0]
        self.provider = ScriptedIntrospector(Clock(time.time()))
        self.authenticator = Authenticator(
            {"keycloak": self.provider},
            keys=keys,
            local=LocalCache(1000),
            shared=self.tier,
            meter=CountingMeter(),
            lifetimes=Lifetimes(60.0, 10.0),
            clock=time.time,
            monotonic=time.monotonic,
            leases=self.tier.leases,
            longest_tolerated_s={"keycloak": 60.0},
        )

    async def ask(self, token: str = "alice.1", max_age_s: float | None = None) -> FactsLookup:
        question = Question("keycloak", Token(token), max_age_s)
        return self.authenticator.cached(question) or await self.authenticator.look_up(question)

    def remembers(self, token: str = "alice.1") -> bool:
        return self.authenticator.cached(Question("keycloak", Token(token))) is not None

    async def purge(self, by: str) -> None:
        """As `DELETE /cache` does it, or an event."""
        if by == "event":
            eviction = new_invalidation([ClaimSelector(self.provider.realm, "sub", "alice")])
            order = self.authenticator.purge_of_invalidation(eviction)
        else:
            order = self.authenticator.purge_of(
                token=Token("alice.1") if by == "token" else None, sub="alice" if by == "sub" else None
            )
        assert self.authenticator.forget(order) == 1
        assert await self.tier.publish_purge(order)


@asynccontextmanager
async def fleet_of(server: RedisServer, *secrets: list[bytes]) -> AsyncIterator[list[Instance]]:
    fleet = [Instance(server, each) for each in secrets]
    for each in fleet:
        await each.tier.start(each.authenticator.forget)
    try:
        yield fleet
    finally:
        for each in fleet:
            await each.authenticator.close(1)
            await each.tier.close()


async def is_forgotten(one: Instance) -> float:
    began = time.monotonic()
    while one.remembers():
        assert time.monotonic() - began < 5
        await asyncio.sleep(0.005)
    return time.monotonic() - began


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("by", ["token", "sub", "event", "everything"])
async def test_a_purge_at_each_reaches_the_other_within_a_second(redis_server: RedisServer, step: str, by: str) -> None:
    async with fleet_of(redis_server, *STEPS[step]) as fleet:
        for one, other in (fleet, fleet[::-1]):
            for each in fleet:
                await each.ask()
            asked = len(other.provider.asked)
            await one.purge(by)
            assert await is_forgotten(other) < 1
            assert not one.remembers()
            # Nor is it found under the other secret, where it lies as it did.
            assert (await other.ask()).tier == "provider"
            assert len(other.provider.asked) == asked + 1


@pytest.mark.parametrize("step", STEPS)
async def test_what_one_learns_the_other_finds(redis_server: RedisServer, step: str) -> None:
    async with fleet_of(redis_server, *STEPS[step]) as fleet:
        one, other = fleet
        for writer, reader, token in ((one, other, "alice.1"), (other, one, "bob.1")):
            sealing = STEPS[step][fleet.index(writer)][0]
            shared = sealing in STEPS[step][fleet.index(reader)]
            assert (await writer.ask(token)).tier == "provider"
            assert (await reader.ask(token)).tier == ("redis" if shared else "provider")


async def test_from_step_to_step_the_cache_is_kept(redis_server: RedisServer) -> None:
    """Every instance restarts with each step; one call of the provider does for all of them."""
    asked = 0
    for secrets in ([OLD], [OLD, NEW], [NEW, OLD]):
        async with fleet_of(redis_server, secrets) as [one]:
            await one.ask()
            asked += len(one.provider.asked)
    assert asked == 1


async def test_a_purge_before_an_instance_starts_holds_for_what_lies_under_the_other_secret(
    redis_server: RedisServer,
) -> None:
    async with fleet_of(redis_server, [OLD]) as [early]:
        await early.ask()
    async with fleet_of(redis_server, [NEW]) as [last]:
        await last.tier.publish_purge(last.authenticator.purge_of(sub="alice"))
    async with fleet_of(redis_server, [NEW, OLD]) as [late]:
        assert (await late.ask()).tier == "provider"


async def test_of_two_answers_the_younger_counts(redis_server: RedisServer) -> None:
    async with fleet_of(redis_server, [OLD, NEW], [NEW, OLD], [NEW, OLD], [OLD, NEW]) as [one, other, third, fourth]:
        await one.ask()
        other.provider.result = Facts({"sub": "alice", "scope": "less"}, time.time())
        await asyncio.sleep(0.05)
        assert (await other.ask(max_age_s=0.01)).tier == "provider"
        for each in (third, fourth):
            found = await each.ask()
            assert isinstance(found.result, Facts)
            assert (found.result.claims.get("scope"), found.tier) == ("less", "redis")


async def test_a_no_that_one_is_told_ends_what_the_other_keeps_and_is_found_there(redis_server: RedisServer) -> None:
    async with fleet_of(redis_server, [OLD, NEW], [NEW, OLD]) as [one, other]:
        await one.ask()
        await asyncio.sleep(0.05)
        other.provider.result = Inactive(time.time())
        assert isinstance((await other.ask(max_age_s=0.01)).result, Inactive)
        assert await is_forgotten(one) < 1
        found = await one.ask()
        assert (isinstance(found.result, Inactive), found.tier) == (True, "redis")


async def test_an_entry_from_the_future_is_no_younger_than_what_the_other_secret_opens(
    redis_server: RedisServer,
) -> None:
    async with fleet_of(redis_server, [OLD, NEW], [NEW, OLD], [NEW, OLD]) as [one, fast, third]:
        fast.tier._first._clock = lambda: time.time() + 300
        await one.ask()
        await fast.ask(max_age_s=0)
        assert (await third.ask()).tier == "redis"


async def test_an_event_that_one_has_seen_the_other_has(redis_server: RedisServer) -> None:
    async with fleet_of(redis_server, [OLD, NEW], [NEW, OLD]) as [one, other]:
        mark = keys_of([OLD, NEW]).event_key("realm", "event")
        same = keys_of([NEW, OLD]).event_key("realm", "event")
        assert not await other.tier.has_seen(same)
        await one.tier.remember_seen(mark, 60)
        assert await other.tier.has_seen(same)


def test_a_ring_marks_an_answer_by_every_secret() -> None:
    ring, old, new = keys_of([OLD, NEW]), HmacKeys(OLD), HmacKeys(NEW)
    assert isinstance(ring, KeyRing)
    key = ring.key(b"provider", Token("t"))
    assert ring.aliases(key) == (old.key(b"provider", Token("t")), new.key(b"provider", Token("t")))
    named, facts = ClaimSelector("realm", "sub", "alice"), Facts({"sub": "alice"}, 0)
    realm = whole_realm("realm")
    assert ring.selector_tags(named) == (old.tag(named), new.tag(named))
    assert ring.result_tags("realm", facts) == (old.tag(realm), old.tag(named), new.tag(realm), new.tag(named))
    assert ring.result_tags("realm", Inactive(0)) == ()
    single = keys_of([OLD])
    assert isinstance(single, HmacKeys)
    assert single.fleet == old.fleet != new.fleet
