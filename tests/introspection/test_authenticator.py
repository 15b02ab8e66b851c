import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from support.introspecting import UNCLEAR, Clock, CountingMeter, ScriptedIntrospector

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive, Indeterminate
from gateway.cache.key import HmacKeys
from gateway.cache.local import LocalCache
from gateway.introspection.authenticator import Authenticator, FactsLookup, Question
from gateway.introspection.invalidation import revoked_elsewhere
from gateway.introspection.lifetime import Lifetimes
from gateway.introspection.ports import Absent, CacheEntry, Recalled
from gateway.introspection.tag_purge import TagPurge


@dataclass
class FakeShared:
    """A shared tier in a dict; `gate` holds writes back."""

    timeout_s: float = 0.05
    held: dict[bytes, Recalled] = field(default_factory=dict)
    broken: bool = False
    gate: asyncio.Event | None = None
    forgotten: list[TagPurge] = field(default_factory=list)
    published: list[TagPurge] = field(default_factory=list)
    away: bool = False  # the fleet is neither heard nor told

    def log_position(self) -> bytes:
        return b"" if self.away else b"known"

    async def get(self, key: bytes, realm: str) -> Recalled | Absent:
        await asyncio.sleep(0)
        if self.broken:
            return Absent.ERROR
        return self.held.get(key, Absent.MISS)

    async def put(self, key: bytes, recalled: Recalled, log_position: bytes) -> None:
        if self.gate is not None:
            await self.gate.wait()
        assert log_position == b"known"
        self.held[key] = recalled

    def hide(self, purge: TagPurge) -> None:
        self.forgotten.append(purge)

    async def publish_purge(self, purge: TagPurge) -> bool:
        self.published.append(purge)
        for mark in purge.tags or ():
            self.held.pop(mark, None)
        return not self.away

    async def publish_revocation(self, purge: TagPurge) -> bytes | None:
        return b"known" if await self.publish_purge(purge) else None


class House:
    """An `Authenticator` with everything around it that a test may want to turn."""

    def __init__(
        self,
        shared: FakeShared | None = None,
        ttl_s: float = 60,
        inactive_ttl_s: float = 10,
        tolerated_s: float = 0,
        names: tuple[str, ...] = ("keycloak", "other"),
    ) -> None:
        self.clock = Clock()
        self.monotonic = Clock(1000.0)
        self.keycloak = ScriptedIntrospector(self.clock)
        self.other = ScriptedIntrospector(self.clock, name="other", identity=b"https://other.example.com")
        self.meter = CountingMeter()
        self.revoked: list[str] = []
        self.local = LocalCache(100)
        self.shared = shared
        introspectors = {"keycloak": self.keycloak, "other": self.other}
        self.authenticator = Authenticator(
            {name: introspectors[name] for name in names},
            keys=HmacKeys(b"secret"),
            local=self.local,
            shared=shared,
            meter=self.meter,
            lifetimes=Lifetimes(ttl_s, inactive_ttl_s),
            clock=self.clock,
            monotonic=self.monotonic,
            longest_tolerated_s={"keycloak": tolerated_s} if tolerated_s else {},
            on_revoked=lambda token: self.revoked.append(token.value),
        )

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.monotonic.advance(seconds)

    async def ask(
        self,
        token: str,
        provider: str = "keycloak",
        max_age_s: float | None = None,
        stale_s: float | None = None,
    ) -> FactsLookup:
        return await self.authenticator.look_up(Question(provider, Token(token), max_age_s, stale_s))

    def was_recently_active(self, token: str) -> bool:
        return self.authenticator.was_recently_active(Question("keycloak", Token(token)))

    def cached(self, token: str, max_age_s: float | None = None) -> FactsLookup | None:
        return self.authenticator.cached(Question("keycloak", Token(token), max_age_s))

    def purge(self, *, token: str | None = None, sub: str | None = None) -> int:
        order = self.authenticator.purge_of(token=None if token is None else Token(token), sub=sub)
        return self.authenticator.forget(order)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    await house.authenticator.close(5)


@pytest.fixture
async def shared_house() -> AsyncIterator[House]:
    house = House(FakeShared())
    yield house
    await house.authenticator.close(5)


async def ticks(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_an_answer_is_asked_for_once_and_then_remembered(house: House) -> None:
    assert house.cached("alice.1") is None
    first = await house.ask("alice.1")
    second = house.cached("alice.1")
    assert (first.tier, second and second.tier) == ("provider", "local")
    assert second is not None
    assert second.result is first.result
    assert house.keycloak.asked == ["alice.1"]
    assert house.meter.lookups == {("local", "miss"): 1, ("local", "hit"): 1}
    assert house.meter.introspections == {("keycloak", "active"): 1}


async def test_an_answer_is_asked_for_again_after_its_ttl(house: House) -> None:
    await house.ask("alice.1")
    house.advance(59.9)
    assert house.cached("alice.1") is not None
    house.advance(0.1)
    assert house.cached("alice.1") is None
    assert (await house.ask("alice.1")).tier == "provider"


async def test_an_inactive_answer_has_its_own_ttl(house: House) -> None:
    assert isinstance((await house.ask("junk.1")).result, Inactive)
    house.advance(9.9)
    assert house.cached("junk.1") is not None
    house.advance(0.1)
    assert house.cached("junk.1") is None
    assert house.meter.introspections == {("keycloak", "inactive"): 1}


async def test_nothing_outlives_exp(house: House) -> None:
    house.keycloak.exp_in_s = 20
    await house.ask("alice.1")
    house.advance(19.9)
    assert house.cached("alice.1") is not None
    house.advance(0.2)
    assert house.cached("alice.1") is None


async def test_nothing_outlives_exp_when_the_wall_clock_is_set_forward(house: House) -> None:
    house.keycloak.exp_in_s = 20
    await house.ask("alice.1")
    house.clock.advance(21)
    assert house.cached("alice.1") is None


async def test_a_token_called_active_after_its_exp_is_inactive(house: House) -> None:
    house.keycloak.exp_in_s = 0
    assert isinstance((await house.ask("alice.1")).result, Inactive)
    assert isinstance((await house.ask("alice.1")).result, Inactive)
    assert house.keycloak.asked == ["alice.1"]


async def test_an_unclear_answer_reaches_all_who_wait_and_is_never_kept(shared_house: House) -> None:
    shared_house.keycloak.result = UNCLEAR
    answers = await asyncio.gather(*(shared_house.ask("alice.1") for _ in range(5)))
    assert all(found.result is UNCLEAR for found in answers)
    assert len(shared_house.keycloak.asked) == 1
    assert len(shared_house.local) == 0
    assert shared_house.shared is not None
    assert not shared_house.shared.held
    shared_house.keycloak.result = None
    assert isinstance((await shared_house.ask("alice.1")).result, Facts)


async def test_an_unclear_answer_does_not_push_out_what_is_remembered(house: House) -> None:
    await house.ask("alice.1")
    house.keycloak.result = UNCLEAR
    house.advance(5)
    assert isinstance((await house.ask("alice.1", max_age_s=1)).result, Indeterminate)
    assert house.cached("alice.1") is not None


async def test_two_hundred_who_ask_at_once_make_one_call(shared_house: House) -> None:
    found = await asyncio.gather(*(shared_house.ask("alice.1") for _ in range(200)))
    assert len(shared_house.keycloak.asked) == 1
    assert len({id(each.result) for each in found}) == 1


async def test_the_same_token_at_two_providers_makes_two_calls_also_at_once(house: House) -> None:
    await asyncio.gather(*(house.ask("alice.1", provider) for provider in ("keycloak", "other") for _ in range(5)))
    assert (len(house.keycloak.asked), len(house.other.asked)) == (1, 1)


async def test_a_caller_that_gives_up_does_not_fail_the_others(house: House) -> None:
    house.keycloak.gate = asyncio.Event()
    first, second = asyncio.create_task(house.ask("alice.1")), asyncio.create_task(house.ask("alice.1"))
    await ticks()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    house.keycloak.gate.set()
    assert isinstance((await second).result, Facts)
    assert len(house.keycloak.asked) == 1


async def test_when_all_callers_have_left_the_answer_is_still_remembered(house: House) -> None:
    house.keycloak.gate = asyncio.Event()
    caller = asyncio.create_task(house.ask("alice.1"))
    await ticks()
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    house.keycloak.gate.set()
    await ticks()
    assert house.cached("alice.1") is not None


async def test_without_a_ttl_nothing_is_kept_and_those_at_once_still_share_a_call() -> None:
    house = House(FakeShared(), ttl_s=0, inactive_ttl_s=0)
    for token in ("alice.1", "junk.1"):
        await asyncio.gather(*(house.ask(token) for _ in range(5)))
        assert house.cached(token) is None
        await house.ask(token)
    assert house.keycloak.asked == ["alice.1", "alice.1", "junk.1", "junk.1"]
    assert house.shared is not None
    assert not house.shared.held


async def test_a_stricter_route_refreshes_the_entry_for_all(house: House) -> None:
    await house.ask("alice.1")
    house.advance(31)
    assert house.cached("alice.1", max_age_s=30) is None
    assert (await house.ask("alice.1", max_age_s=30)).tier == "provider"
    house.advance(31)
    assert house.cached("alice.1") is not None  # 62 s after the first answer, 31 after the second


async def test_a_max_age_of_zero_asks_every_time_and_those_at_once_share_a_call(shared_house: House) -> None:
    for _ in range(3):
        await asyncio.gather(*(shared_house.ask("alice.1", max_age_s=0) for _ in range(5)))
    assert len(shared_house.keycloak.asked) == 3


async def test_the_fleet_is_asked_before_the_provider(shared_house: House) -> None:
    await shared_house.ask("alice.1")
    other = House(shared_house.shared)
    found = await other.ask("alice.1")
    assert found.tier == "redis"
    assert other.keycloak.asked == []
    assert other.cached("alice.1") is not None
    assert other.meter.lookups["redis", "hit"] == 1
    assert shared_house.meter.lookups["redis", "miss"] == 1


async def test_what_the_fleet_remembers_keeps_its_age(shared_house: House) -> None:
    key = HmacKeys(b"secret").key(shared_house.keycloak.identity, Token("alice.1"))
    assert shared_house.shared is not None
    facts = Facts({"sub": "alice"}, shared_house.clock() - 40)
    shared_house.shared.held[key] = Recalled(facts, age_s=40, left_s=500)
    assert (await shared_house.ask("alice.1", max_age_s=50)).tier == "redis"
    assert shared_house.cached("alice.1", max_age_s=40) is None
    shared_house.advance(19)
    assert shared_house.cached("alice.1") is not None
    shared_house.advance(1)
    assert shared_house.cached("alice.1") is None  # our ttl of 60 s, whatever the writer's was


async def test_what_the_fleet_remembers_is_a_miss_for_a_stricter_route(shared_house: House) -> None:
    key = HmacKeys(b"secret").key(shared_house.keycloak.identity, Token("alice.1"))
    assert shared_house.shared is not None
    shared_house.shared.held[key] = Recalled(Facts({"sub": "alice"}, 0), age_s=40, left_s=20)
    assert (await shared_house.ask("alice.1", max_age_s=30)).tier == "provider"
    assert shared_house.meter.lookups["redis", "miss"] == 1
    assert shared_house.shared.held[key].age_s < 1


async def test_a_strict_caller_does_not_take_what_a_lenient_one_was_given_by_the_fleet(shared_house: House) -> None:
    key = HmacKeys(b"secret").key(shared_house.keycloak.identity, Token("alice.1"))
    assert shared_house.shared is not None
    shared_house.shared.held[key] = Recalled(Facts({"sub": "alice"}, 0), age_s=40, left_s=20)
    lenient, strict = await asyncio.gather(shared_house.ask("alice.1"), shared_house.ask("alice.1", max_age_s=30))
    assert (lenient.tier, strict.tier) == ("redis", "provider")


async def test_a_broken_shared_tier_is_a_counted_error_and_no_obstacle(shared_house: House) -> None:
    assert shared_house.shared is not None
    shared_house.shared.broken = True
    assert (await shared_house.ask("alice.1")).tier == "provider"
    assert shared_house.meter.lookups["redis", "error"] == 1


async def test_callers_do_not_wait_for_a_slow_write_to_the_fleet(shared_house: House) -> None:
    assert shared_house.shared is not None
    shared_house.shared.gate = asyncio.Event()
    async with asyncio.timeout(5):
        assert (await shared_house.ask("alice.1")).tier == "provider"
    assert not shared_house.shared.held
    shared_house.shared.gate.set()
    await ticks()
    assert len(shared_house.shared.held) == 1


async def test_a_token_is_purged_at_every_provider_and_nothing_else(house: House) -> None:
    for token, provider in (("alice.1", "keycloak"), ("alice.1", "other"), ("alice.2", "keycloak")):
        await house.ask(token, provider)
    assert house.purge(token="alice.1") == 2
    assert house.cached("alice.1") is None
    assert house.cached("alice.2") is not None


async def test_a_sub_is_purged_with_all_its_tokens_and_nobody_else(house: House) -> None:
    for token in ("alice.1", "alice.2", "bob.1"):
        await house.ask(token)
    assert house.purge(sub="alice") == 2
    assert house.cached("alice.1") is None
    assert house.cached("bob.1") is not None
    assert house.purge(sub="nobody") == 0


async def test_everything_is_purged_the_inactive_answers_too(shared_house: House) -> None:
    for token in ("alice.1", "bob.1", "junk.1"):
        await shared_house.ask(token)
    assert shared_house.purge() == 3
    assert len(shared_house.local) == 0
    assert shared_house.shared is not None
    assert [purge.tags for purge in shared_house.shared.forgotten] == [None]


async def test_what_has_expired_is_not_counted_as_purged(house: House) -> None:
    await house.ask("alice.1")
    house.advance(61)
    assert house.purge() == 0


async def test_the_same_order_a_second_time_does_nothing(house: House) -> None:
    order = house.authenticator.purge_of(sub="alice")
    await house.ask("alice.1")
    assert house.authenticator.forget(order) == 1
    await house.ask("alice.1")
    assert house.authenticator.forget(order) == 0
    assert house.cached("alice.1") is not None


@pytest.mark.parametrize("selected", [{"token": "alice.1"}, {"sub": "alice"}, {}], ids=["token", "sub", "everything"])
async def test_an_answer_asked_for_before_a_purge_does_not_settle_after_it(
    shared_house: House, selected: dict[str, str]
) -> None:
    house = shared_house
    house.keycloak.gate = asyncio.Event()
    before = asyncio.create_task(house.ask("alice.1"))
    await ticks()
    house.purge(**selected)
    after = asyncio.create_task(house.ask("alice.1"))
    await ticks()
    house.keycloak.gate.set()
    old, new = (await before).result, (await after).result
    assert isinstance(old, Facts)
    assert isinstance(new, Facts)
    assert (old.claims["serial"], new.claims["serial"]) == (1, 2)
    cached = house.cached("alice.1")
    assert cached is not None
    assert cached.result is new
    assert house.shared is not None
    assert [held.result for held in house.shared.held.values()] == [new]


async def test_who_asks_after_the_token_was_purged_does_not_wait_for_the_answer_from_before(house: House) -> None:
    old = house.keycloak.gate = asyncio.Event()
    before = asyncio.create_task(house.ask("alice.1"))
    await ticks()
    house.purge(token="alice.1")
    house.keycloak.gate = None
    assert isinstance((await house.ask("alice.1")).result, Facts)
    old.set()
    assert isinstance((await before).result, Facts)


async def test_an_answer_about_somebody_else_settles_across_a_purge(house: House) -> None:
    house.keycloak.gate = asyncio.Event()
    asking = asyncio.create_task(house.ask("bob.1"))
    await ticks()
    house.purge(sub="alice")
    house.keycloak.gate.set()
    await asking
    assert house.cached("bob.1") is not None


async def test_close_waits_for_what_is_under_way(house: House) -> None:
    house.keycloak.gate = asyncio.Event()
    asking = asyncio.create_task(house.ask("alice.1"))
    await ticks()
    asyncio.get_running_loop().call_later(0.02, house.keycloak.gate.set)
    await house.authenticator.close(5)
    assert isinstance((await asking).result, Facts)


async def test_close_ends_what_does_not_end_by_itself(house: House) -> None:
    house.keycloak.gate = asyncio.Event()
    asking = asyncio.create_task(house.ask("alice.1"))
    await ticks()
    await house.authenticator.close(0.01)
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_nothing_shows_a_token(house: House) -> None:
    await house.ask("alice.secret")
    question = Question("keycloak", Token("alice.secret"))
    assert "alice.secret" not in repr(question)
    assert "alice.secret" not in repr(house.authenticator.purge_of(token=Token("alice.secret")))


# The last known facts, while the provider cannot tell.


@pytest.fixture
async def tolerant() -> AsyncIterator[House]:
    """Answers are fresh for a minute; what is tolerated is five more."""
    house = House(FakeShared(), tolerated_s=300)
    yield house
    await house.authenticator.close(5)


def unshare(house: House) -> None:
    assert house.shared is not None
    house.shared.held.clear()


async def test_facts_that_are_not_fresh_stand_in_when_the_provider_cannot_tell(tolerant: House) -> None:
    await tolerant.ask("alice.1")
    unshare(tolerant)
    tolerant.keycloak.result = UNCLEAR
    tolerant.advance(61)
    assert tolerant.cached("alice.1") is None  # never as fresh
    found = await tolerant.ask("alice.1", stale_s=300)
    assert isinstance(found.result, Facts)
    assert found.stale_s == pytest.approx(61)
    assert len(tolerant.keycloak.asked) == 2  # it was asked first
    tolerant.advance(298.9)
    assert isinstance((await tolerant.ask("alice.1", stale_s=300)).result, Facts)
    tolerant.advance(0.2)
    assert (await tolerant.ask("alice.1", stale_s=300)).result is UNCLEAR


async def test_they_do_not_where_nothing_is_tolerated_or_less(tolerant: House) -> None:
    await tolerant.ask("alice.1")
    unshare(tolerant)
    tolerant.keycloak.result = UNCLEAR
    tolerant.advance(100)
    assert (await tolerant.ask("alice.1")).result is UNCLEAR
    assert (await tolerant.ask("alice.1", stale_s=40)).result is UNCLEAR
    assert isinstance((await tolerant.ask("alice.1", stale_s=41)).result, Facts)


async def test_they_do_not_when_the_provider_can_tell(tolerant: House) -> None:
    await tolerant.ask("alice.1")
    unshare(tolerant)
    tolerant.advance(61)
    found = await tolerant.ask("alice.1", stale_s=300)
    assert (found.tier, found.stale_s) == ("provider", None)


async def test_nor_past_exp(tolerant: House) -> None:
    tolerant.keycloak.exp_in_s = 90
    await tolerant.ask("alice.1")
    tolerant.keycloak.result = UNCLEAR
    tolerant.advance(89)
    assert isinstance((await tolerant.ask("alice.1", stale_s=300)).result, Facts)
    tolerant.advance(1)
    assert (await tolerant.ask("alice.1", stale_s=300)).result is UNCLEAR


async def test_nor_when_the_wall_clock_alone_has_passed_exp(tolerant: House) -> None:
    tolerant.keycloak.exp_in_s = 90
    await tolerant.ask("alice.1")
    unshare(tolerant)
    tolerant.keycloak.result = UNCLEAR
    tolerant.monotonic.advance(61)
    tolerant.clock.advance(91)
    assert (await tolerant.ask("alice.1", stale_s=300)).result is UNCLEAR


@pytest.mark.parametrize("by", [{"token": "alice.1"}, {"sub": "alice"}, {}])
async def test_nor_after_a_purge(tolerant: House, by: dict[str, str]) -> None:
    await tolerant.ask("alice.1")
    unshare(tolerant)
    tolerant.advance(61)
    tolerant.purge(**by)
    tolerant.keycloak.result = UNCLEAR
    assert (await tolerant.ask("alice.1", stale_s=300)).result is UNCLEAR


@pytest.mark.parametrize("by", [{"token": "alice.1"}, {"sub": "alice"}, {}])
@pytest.mark.parametrize("known_to", ["process", "fleet"])
async def test_nor_after_a_purge_while_it_was_asked(tolerant: House, by: dict[str, str], known_to: str) -> None:
    await tolerant.ask("alice.1")
    assert tolerant.shared is not None
    [held] = tolerant.shared.held.values()
    key = next(iter(tolerant.shared.held))
    if known_to == "fleet":
        tolerant.local.drop_tagged(tolerant.authenticator.purge_of(), 0)
        tolerant.shared.held[key] = Recalled(held.result, 61, 0, kept_s=200)
    else:
        unshare(tolerant)
        tolerant.advance(61)
    tolerant.keycloak.result = UNCLEAR
    tolerant.keycloak.gate = asyncio.Event()
    asking = asyncio.create_task(tolerant.ask("alice.1", stale_s=300))
    await ticks()
    tolerant.purge(**by)
    tolerant.keycloak.gate.set()
    assert (await asking).result is UNCLEAR
    assert not tolerant.was_recently_active("alice.1")


async def test_nor_after_a_no(tolerant: House) -> None:
    await tolerant.ask("alice.1")
    unshare(tolerant)
    tolerant.advance(61)
    tolerant.keycloak.result = Inactive(tolerant.clock())
    assert isinstance((await tolerant.ask("alice.1", stale_s=300)).result, Inactive)
    await ticks()
    tolerant.advance(11)  # the no itself is not remembered any more
    unshare(tolerant)
    tolerant.keycloak.result = UNCLEAR
    assert (await tolerant.ask("alice.1", stale_s=300)).result is UNCLEAR


async def test_nor_after_a_no_that_is_not_remembered_at_all() -> None:
    house = House(inactive_ttl_s=0, tolerated_s=300)
    await house.ask("alice.1")
    house.advance(61)
    house.keycloak.result = Inactive(house.clock())
    await house.ask("alice.1")
    house.keycloak.result = UNCLEAR
    assert (await house.ask("alice.1", stale_s=300)).result is UNCLEAR
    assert not house.was_recently_active("alice.1")


async def test_a_no_to_a_known_token_is_told_to_the_fleet_as_a_purge_and_takes_its_place(tolerant: House) -> None:
    assert tolerant.shared is not None
    await tolerant.ask("alice.1")
    key = next(iter(tolerant.shared.held))
    unshare(tolerant)
    tolerant.advance(61)
    tolerant.keycloak.result = Inactive(tolerant.clock())
    await tolerant.ask("alice.1")
    await ticks()
    [purge] = tolerant.shared.published
    assert tolerant.revoked == []
    assert purge.tags == {key}
    assert tolerant.shared.forgotten == [purge]
    assert tolerant.shared.held == {key: Recalled(Inactive(tolerant.clock()), 0.0, 10.0, is_announced=True)}
    # Told back by the fleet's log, it takes nothing away here: the no is still remembered.
    assert tolerant.authenticator.forget(purge) == 0
    assert tolerant.cached("alice.1") is not None


async def test_a_no_takes_no_place_when_something_else_was_purged_meanwhile(tolerant: House) -> None:
    """The token may have been given back to its user: what was asked for before the order is not used after it."""
    assert tolerant.shared is not None
    await tolerant.ask("alice.1")
    unshare(tolerant)
    tolerant.advance(61)
    tolerant.keycloak.result = Inactive(tolerant.clock())
    publish, order = tolerant.shared.publish_revocation, tolerant.authenticator.purge_of(token=Token("alice.1"))

    async def with_another(purge: TagPurge) -> bytes | None:
        tolerant.authenticator.forget(order)
        return await publish(purge)

    tolerant.shared.publish_revocation = with_another  # type: ignore[method-assign]  # this test's own fake
    await tolerant.ask("alice.1")
    await ticks()
    assert tolerant.shared.held == {}


async def test_a_no_of_which_the_fleet_has_been_told_is_not_told_again(tolerant: House) -> None:
    assert tolerant.shared is not None
    await tolerant.ask("alice.1")
    [key] = tolerant.shared.held
    tolerant.advance(61)
    for is_announced, told in ((True, 0), (False, 1)):
        tolerant.shared.held[key] = Recalled(Inactive(tolerant.clock()), 0.0, 10.0, is_announced=is_announced)
        assert isinstance((await tolerant.ask("alice.1", max_age_s=5)).result, Inactive)
        await ticks()
        assert len(tolerant.shared.published) == told
        assert len(tolerant.keycloak.asked) == 1
        if is_announced:  # as if it had been kept all the same
            tolerant.local.put(key, CacheEntry(Facts({}, 0), (), 0, 0, kept_until_s=tolerant.monotonic() + 100), 0)


async def test_so_is_one_to_a_token_that_only_the_fleet_knew(tolerant: House) -> None:
    assert tolerant.shared is not None
    await tolerant.ask("alice.1")
    [key], [held] = tolerant.shared.held, tolerant.shared.held.values()
    tolerant.local.drop_tagged(tolerant.authenticator.purge_of(), 0)
    tolerant.shared.held[key] = Recalled(held.result, 61, 0, kept_s=200)
    tolerant.keycloak.result = Inactive(tolerant.clock())
    await tolerant.ask("alice.1")
    await ticks()
    assert [purge.tags for purge in tolerant.shared.published] == [{key}]


async def test_a_no_to_junk_is_not(tolerant: House) -> None:
    assert tolerant.shared is not None
    for number in range(5):
        await tolerant.ask(f"junk.{number}")
    await ticks()
    assert (tolerant.shared.published, tolerant.revoked) == ([], [])
    assert len(tolerant.shared.held) == 5


async def test_workers_tell_each_other_of_a_no_where_no_fleet_does() -> None:
    """Also of one to a token that is new to the worker that is told: the other one may have known it."""
    one, other = (House(tolerated_s=300, names=("keycloak",)) for _ in range(2))
    await other.ask("alice.1")
    one.keycloak.result = Inactive(one.clock())
    await one.ask("alice.1")
    assert one.revoked == ["alice.1"]
    order = revoked_elsewhere([Token("alice.1")])
    for each in (one, other):
        each.authenticator.forget(each.authenticator.purge_of_invalidation(order))
    other.keycloak.result = UNCLEAR
    assert isinstance((await other.ask("alice.1", stale_s=300)).result, Indeterminate)
    # A no that is remembered stays: else two workers would have each other ask for ever.
    assert one.cached("alice.1") is not None


async def test_not_of_one_to_a_stranger_where_another_provider_may_know_it() -> None:
    house = House(tolerated_s=300)
    house.keycloak.result = Inactive(house.clock())
    await house.ask("alice.1")
    assert house.revoked == []


async def test_workers_tell_each_other_where_the_fleet_can_not_be_told(tolerant: House) -> None:
    assert tolerant.shared is not None
    await tolerant.ask("alice.1")
    unshare(tolerant)
    tolerant.shared.away = True
    tolerant.advance(61)
    tolerant.keycloak.result = Inactive(tolerant.clock())
    await tolerant.ask("alice.1")
    await ticks()
    assert set(tolerant.revoked) == {"alice.1"}
    assert len(tolerant.shared.published) == 1  # to be told later


async def test_what_the_fleet_still_knows_stands_in_and_is_kept(tolerant: House) -> None:
    assert tolerant.shared is not None
    await tolerant.ask("alice.1")
    [key], [held] = tolerant.shared.held, tolerant.shared.held.values()
    assert (held.left_s, held.kept_s) == (60, 360)
    tolerant.local.drop_tagged(tolerant.authenticator.purge_of(), 0)
    tolerant.shared.held[key] = Recalled(held.result, 100, 0, kept_s=260)
    tolerant.keycloak.result = UNCLEAR
    found = await tolerant.ask("alice.1", stale_s=300)
    assert isinstance(found.result, Facts)
    assert found.stale_s == pytest.approx(100)
    tolerant.shared.broken = True
    tolerant.advance(259)
    assert isinstance((await tolerant.ask("alice.1", stale_s=300)).result, Facts)
    tolerant.advance(1)
    assert (await tolerant.ask("alice.1", stale_s=300)).result is UNCLEAR


async def test_what_is_fresh_for_others_stays_so_when_a_stricter_question_fails(tolerant: House) -> None:
    assert tolerant.shared is not None
    await tolerant.ask("alice.1")
    [key], [held] = tolerant.shared.held, tolerant.shared.held.values()
    tolerant.advance(20)
    tolerant.keycloak.result = UNCLEAR
    for age_s in (19.9, 20.0):  # the same answer, younger by what it took to the fleet, and as old
        tolerant.shared.held[key] = Recalled(held.result, age_s, 60 - age_s, kept_s=360 - age_s)
        assert (await tolerant.ask("alice.1", max_age_s=10)).result is UNCLEAR
        assert tolerant.cached("alice.1") is not None
    tolerant.local.drop_tagged(tolerant.authenticator.purge_of(), 0)
    assert (await tolerant.ask("alice.1", max_age_s=10)).result is UNCLEAR
    tolerant.advance(39)
    assert tolerant.cached("alice.1") is not None
    tolerant.advance(1.1)
    assert tolerant.cached("alice.1") is None


async def test_a_stricter_route_has_younger_facts_stand_in(tolerant: House) -> None:
    await tolerant.ask("alice.1")
    unshare(tolerant)
    tolerant.keycloak.result = UNCLEAR
    tolerant.advance(20)
    found = await tolerant.ask("alice.1", max_age_s=5, stale_s=30)
    assert found.stale_s == pytest.approx(20)
    assert tolerant.cached("alice.1") is not None  # for others they are fresh
    tolerant.advance(15)
    assert (await tolerant.ask("alice.1", max_age_s=5, stale_s=30)).result is UNCLEAR


async def test_without_tolerance_nothing_more_is_kept_in_the_fleet(shared_house: House) -> None:
    assert shared_house.shared is not None
    await shared_house.ask("alice.1")
    [held] = shared_house.shared.held.values()
    assert max(held.left_s, held.kept_s) == 60


async def test_a_token_is_known_for_another_window_and_not_after_a_no(house: House) -> None:
    assert not house.was_recently_active("alice.1")
    await house.ask("alice.1")
    house.advance(119)
    assert house.was_recently_active("alice.1")
    house.advance(1)
    assert not house.was_recently_active("alice.1")
    await house.ask("junk.1")
    assert not house.was_recently_active("junk.1")


async def test_a_question_that_was_not_asked_is_no_introspection(house: House) -> None:
    house.keycloak.result = Indeterminate("it is left alone", 5, was_asked=False)
    await house.ask("alice.1")
    assert house.meter.introspections == {}


async def test_without_a_fleet_a_no_to_a_known_token_is_told_all_the_same() -> None:
    house = House(tolerated_s=300)
    await house.ask("alice.1")
    house.advance(61)
    house.keycloak.result = Inactive(house.clock())
    await house.ask("alice.1")
    assert house.revoked == ["alice.1"]
    await house.authenticator.close(5)


async def test_where_nothing_is_tolerated_nobody_need_be_told(house: House) -> None:
    await house.ask("alice.1")
    house.advance(61)
    house.keycloak.result = Inactive(house.clock())
    await house.ask("alice.1")
    assert house.revoked == []


EVE, BOB = "203.0.113.1", "198.51.100.7"


async def in_the_name_of(house: House, address: str, stale_s: float | None = None) -> FactsLookup:
    question = Question("keycloak", Token("alice.1"), stale_s=stale_s, address=address)
    return await house.authenticator.look_up(question)


async def test_who_joined_a_question_that_found_no_place_asks_in_its_own_name(house: House) -> None:
    house.keycloak.crowded_out = frozenset({EVE})
    house.keycloak.gate = asyncio.Event()
    asking = [asyncio.create_task(in_the_name_of(house, address)) for address in (EVE, EVE, BOB, BOB)]
    await ticks()
    house.keycloak.gate.set()
    eves, bobs = (await asyncio.gather(*asking[:2])), (await asyncio.gather(*asking[2:]))
    assert all(isinstance(found.result, Indeterminate) and found.result.is_queue_full for found in eves)
    assert all(isinstance(found.result, Facts) for found in bobs)
    assert house.keycloak.addresses == [EVE, BOB]


async def test_no_old_facts_stand_in_for_want_of_a_place() -> None:
    house = House(ttl_s=1, tolerated_s=300)
    assert isinstance((await in_the_name_of(house, BOB)).result, Facts)
    house.advance(2)
    house.keycloak.crowded_out = frozenset({BOB})
    found = await in_the_name_of(house, BOB, stale_s=300)
    assert isinstance(found.result, Indeterminate)
    house.keycloak.crowded_out, house.keycloak.result = frozenset(), UNCLEAR
    assert (await in_the_name_of(house, BOB, stale_s=300)).stale_s == 2  # that is an outage
    await house.authenticator.close(5)
