"""Answers that are asked for again before they end, on clocks that are set by hand."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from support.introspecting import UNCLEAR, Clock, CountingMeter, ScriptedIntrospector

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive
from gateway.cache.key import HmacKeys
from gateway.cache.local import LocalCache
from gateway.introspection.authenticator import Authenticator, FactsLookup, Question
from gateway.introspection.lifetime import Lifetimes
from gateway.introspection.refresh import Ahead

TTL_S = 60.0


class House:
    def __init__(self, limit: int = 2, fraction: float | None = 0.8, inactive_ttl_s: float = 10) -> None:
        self.clock = Clock()
        self.monotonic = Clock(1000.0)
        self.keycloak = ScriptedIntrospector(self.clock)
        self.meter = CountingMeter()
        self.authenticator = Authenticator(
            {"keycloak": self.keycloak},
            keys=HmacKeys(b"secret"),
            local=LocalCache(100),
            shared=None,
            meter=self.meter,
            lifetimes=Lifetimes(TTL_S, inactive_ttl_s),
            clock=self.clock,
            monotonic=self.monotonic,
            ahead=None if fraction is None else Ahead(fraction, TTL_S, limit),
        )

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.monotonic.advance(seconds)

    async def ask(self, token: str = "alice.1") -> FactsLookup:
        return await self.authenticator.look_up(Question("keycloak", Token(token)))

    def serial(self, token: str = "alice.1", max_age_s: float | None = None) -> int | None:
        """Which call of the provider the remembered answer is from; None when a request would have to wait."""
        found = self.authenticator.cached(Question("keycloak", Token(token), max_age_s))
        if found is None:
            return None
        assert isinstance(found.result, Facts)
        return int(found.result.claims["serial"])


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    await house.authenticator.close(5)


async def ticks(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_token_in_steady_use_never_waits_after_the_first_time(house: House) -> None:
    await house.ask()
    for _ in range(1000):  # 500 s in steps of half a second
        house.advance(0.5)
        assert house.serial() is not None
        await ticks(4)
    assert len(house.keycloak.asked) == 1 + 500 // 48
    assert house.meter.refreshes == {"asked": 10}


async def test_nothing_is_asked_for_ahead_of_the_last_part(house: House) -> None:
    await house.ask()
    house.advance(47.9)
    assert house.serial() == 1
    await ticks()
    assert len(house.keycloak.asked) == 1
    house.advance(0.2)
    assert house.serial() == 1  # who finds it due does not wait for it
    await ticks()
    assert house.serial() == 2


async def test_a_token_that_is_not_used_in_the_last_part_is_not_asked_for(house: House) -> None:
    await house.ask()
    house.advance(200)
    await ticks()
    assert len(house.keycloak.asked) == 1
    assert house.serial() is None


async def test_it_is_off_unless_told_otherwise() -> None:
    house = House(fraction=None)
    await house.ask()
    house.advance(59)
    assert house.serial() == 1
    await ticks()
    assert len(house.keycloak.asked) == 1


async def test_many_who_find_it_due_make_one_call(house: House) -> None:
    await house.ask()
    house.keycloak.gate = asyncio.Event()
    house.advance(50)
    for _ in range(100):
        assert house.serial() == 1
        await ticks(1)
    house.keycloak.gate.set()
    await ticks()
    assert len(house.keycloak.asked) == 2


async def test_a_failure_leaves_what_is_remembered_to_its_own_end_and_is_not_repeated(house: House) -> None:
    await house.ask()
    house.keycloak.result = UNCLEAR
    house.advance(48)
    for _ in range(11):
        assert house.serial() == 1
        await ticks()
        house.advance(1)
    assert len(house.keycloak.asked) == 2
    assert house.meter.refreshes == {"failed": 1}
    house.advance(1)
    assert house.serial() is None


async def test_a_token_that_has_ended_meanwhile_is_refused_from_then_on(house: House) -> None:
    await house.ask()
    house.keycloak.result = Inactive(house.clock() + 50)
    house.advance(50)
    assert house.serial() == 1
    await ticks()
    found = house.authenticator.cached(Question("keycloak", Token("alice.1")))
    assert found is not None
    assert isinstance(found.result, Inactive)


async def test_nothing_outlives_exp_and_nothing_that_ends_by_it_is_asked_for_again(house: House) -> None:
    house.keycloak.exp_in_s = 100
    await house.ask()
    house.keycloak.exp_in_s = 50  # the same moment, seen 50 s later
    house.advance(50)
    assert house.serial() == 1
    await ticks()
    assert house.serial() == 2
    house.advance(49.5)  # in the last part of a window that `exp` cuts short
    assert house.serial() == 2
    await ticks()
    assert len(house.keycloak.asked) == 2
    house.advance(0.5)
    assert house.serial() is None


async def test_an_inactive_answer_is_not_asked_for_again() -> None:
    house = House(inactive_ttl_s=TTL_S)
    await house.ask("junk.1")
    house.advance(TTL_S - 0.1)
    assert house.authenticator.cached(Question("keycloak", Token("junk.1"))) is not None
    await ticks()
    assert len(house.keycloak.asked) == 1


async def test_no_more_than_so_many_at_a_time(house: House) -> None:
    tokens = [f"user{number}.1" for number in range(5)]
    for token in tokens:
        await house.ask(token)
    house.keycloak.gate = asyncio.Event()
    house.advance(50)
    for token in tokens:
        assert house.serial(token) is not None
        await ticks(2)
    assert len(house.keycloak.asked) == 5 + 2
    assert house.meter.refreshes == {"skipped": 3}
    house.keycloak.gate.set()
    await ticks()
    for token in tokens:  # those that were skipped have their turn by the next request
        house.serial(token)
        await ticks()
    assert len(house.keycloak.asked) == 5 + 5


async def test_a_route_with_a_max_age_has_a_window_of_its_own(house: House) -> None:
    await house.ask()
    serials = set()
    for _ in range(200):
        house.advance(0.5)
        serial = house.serial(max_age_s=10)
        assert serial is not None
        serials.add(serial)
        await ticks(4)
    assert serials == set(range(1, 1 + 13))  # every 8 s of 100


async def test_an_answer_asked_for_ahead_of_a_purge_does_not_settle_after_it(house: House) -> None:
    await house.ask()
    gate = house.keycloak.gate = asyncio.Event()
    house.advance(50)
    house.serial()
    await ticks()
    house.authenticator.forget(house.authenticator.purge_of(sub="alice"))
    gate.set()
    await ticks()
    assert house.serial() is None


async def test_it_is_asked_in_nobodys_name(house: House) -> None:
    question = Question("keycloak", Token("alice.1"), address="198.51.100.7")
    await house.authenticator.look_up(question)
    house.advance(0.9 * TTL_S)
    assert house.authenticator.cached(question) is not None
    await house.authenticator.close(5)
    assert house.keycloak.addresses == ["198.51.100.7", "ahead"]
