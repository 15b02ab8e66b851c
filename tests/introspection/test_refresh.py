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


class Setup:
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
async def setup() -> AsyncIterator[Setup]:
    setup = Setup()
    yield setup
    await setup.authenticator.close(5)


async def ticks(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_token_in_steady_use_never_waits_after_the_first_time(setup: Setup) -> None:
    await setup.ask()
    for _ in range(1000):  # 500 s in steps of half a second
        setup.advance(0.5)
        assert setup.serial() is not None
        await ticks(4)
    assert len(setup.keycloak.asked) == 1 + 500 // 48
    assert setup.meter.refreshes == {"asked": 10}


async def test_nothing_is_asked_for_ahead_of_the_last_part(setup: Setup) -> None:
    await setup.ask()
    setup.advance(47.9)
    assert setup.serial() == 1
    await ticks()
    assert len(setup.keycloak.asked) == 1
    setup.advance(0.2)
    assert setup.serial() == 1  # who finds it due does not wait for it
    await ticks()
    assert setup.serial() == 2


async def test_a_token_that_is_not_used_in_the_last_part_is_not_asked_for(setup: Setup) -> None:
    await setup.ask()
    setup.advance(200)
    await ticks()
    assert len(setup.keycloak.asked) == 1
    assert setup.serial() is None


async def test_it_is_off_unless_told_otherwise() -> None:
    setup = Setup(fraction=None)
    await setup.ask()
    setup.advance(59)
    assert setup.serial() == 1
    await ticks()
    assert len(setup.keycloak.asked) == 1


async def test_many_who_find_it_due_make_one_call(setup: Setup) -> None:
    await setup.ask()
    setup.keycloak.gate = asyncio.Event()
    setup.advance(50)
    for _ in range(100):
        assert setup.serial() == 1
        await ticks(1)
    setup.keycloak.gate.set()
    await ticks()
    assert len(setup.keycloak.asked) == 2


async def test_a_failure_leaves_what_is_remembered_to_its_own_end_and_is_not_repeated(setup: Setup) -> None:
    await setup.ask()
    setup.keycloak.result = UNCLEAR
    setup.advance(48)
    for _ in range(11):
        assert setup.serial() == 1
        await ticks()
        setup.advance(1)
    assert len(setup.keycloak.asked) == 2
    assert setup.meter.refreshes == {"failed": 1}
    setup.advance(1)
    assert setup.serial() is None


async def test_a_token_that_has_ended_meanwhile_is_refused_from_then_on(setup: Setup) -> None:
    await setup.ask()
    setup.keycloak.result = Inactive(setup.clock() + 50)
    setup.advance(50)
    assert setup.serial() == 1
    await ticks()
    found = setup.authenticator.cached(Question("keycloak", Token("alice.1")))
    assert found is not None
    assert isinstance(found.result, Inactive)


async def test_nothing_outlives_exp_and_nothing_that_ends_by_it_is_asked_for_again(setup: Setup) -> None:
    setup.keycloak.exp_in_s = 100
    await setup.ask()
    setup.keycloak.exp_in_s = 50  # the same moment, seen 50 s later
    setup.advance(50)
    assert setup.serial() == 1
    await ticks()
    assert setup.serial() == 2
    setup.advance(49.5)  # in the last part of a window that `exp` cuts short
    assert setup.serial() == 2
    await ticks()
    assert len(setup.keycloak.asked) == 2
    setup.advance(0.5)
    assert setup.serial() is None


async def test_an_inactive_answer_is_not_asked_for_again() -> None:
    setup = Setup(inactive_ttl_s=TTL_S)
    await setup.ask("junk.1")
    setup.advance(TTL_S - 0.1)
    assert setup.authenticator.cached(Question("keycloak", Token("junk.1"))) is not None
    await ticks()
    assert len(setup.keycloak.asked) == 1


async def test_no_more_than_so_many_at_a_time(setup: Setup) -> None:
    tokens = [f"user{number}.1" for number in range(5)]
    for token in tokens:
        await setup.ask(token)
    setup.keycloak.gate = asyncio.Event()
    setup.advance(50)
    for token in tokens:
        assert setup.serial(token) is not None
        await ticks(2)
    assert len(setup.keycloak.asked) == 5 + 2
    assert setup.meter.refreshes == {"skipped": 3}
    setup.keycloak.gate.set()
    await ticks()
    for token in tokens:  # those that were skipped have their turn by the next request
        setup.serial(token)
        await ticks()
    assert len(setup.keycloak.asked) == 5 + 5


async def test_a_route_with_a_max_age_has_a_window_of_its_own(setup: Setup) -> None:
    await setup.ask()
    serials = set()
    for _ in range(200):
        setup.advance(0.5)
        serial = setup.serial(max_age_s=10)
        assert serial is not None
        serials.add(serial)
        await ticks(4)
    assert serials == set(range(1, 1 + 13))  # every 8 s of 100


async def test_an_answer_asked_for_ahead_of_a_purge_does_not_settle_after_it(setup: Setup) -> None:
    await setup.ask()
    gate = setup.keycloak.gate = asyncio.Event()
    setup.advance(50)
    setup.serial()
    await ticks()
    setup.authenticator.forget(setup.authenticator.purge_of(sub="alice"))
    gate.set()
    await ticks()
    assert setup.serial() is None


async def test_it_is_asked_in_nobodys_name(setup: Setup) -> None:
    question = Question("keycloak", Token("alice.1"), address="198.51.100.7")
    await setup.authenticator.look_up(question)
    setup.advance(0.9 * TTL_S)
    assert setup.authenticator.cached(question) is not None
    await setup.authenticator.close(5)
    assert setup.keycloak.addresses == ["198.51.100.7", "ahead"]
