import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from support.introspecting import UNCLEAR, Clock, CountingMeter, ScriptedIntrospector

from gateway.authn.bearer import Token, bearer_token
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


class Setup:
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
async def setup() -> AsyncIterator[Setup]:
    setup = Setup()
    yield setup
    await setup.authenticator.close(5)


@pytest.fixture
async def shared_setup() -> AsyncIterator[Setup]:
    setup = Setup(FakeShared())
    yield setup
    await setup.authenticator.close(5)


async def ticks(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_an_answer_is_asked_for_once_and_then_remembered(setup: Setup) -> None:
    assert setup.cached("alice.1") is None
    first = await setup.ask("alice.1")
    second = setup.cached("alice.1")
    assert (first.tier, second and second.tier) == ("provider", "local")
    assert second is not None
    assert second.result is first.result
    assert setup.keycloak.asked == ["alice.1"]
    assert setup.meter.lookups == {("local", "miss"): 1, ("local", "hit"): 1}
    assert setup.meter.introspections == {("keycloak", "active"): 1}


@pytest.mark.parametrize(("value", "is_remembered"), [("alice.remembered", True), ("junk.remembered", False)])
async def test_only_a_token_that_is_active_is_remembered(setup: Setup, value: str, is_remembered: bool) -> None:
    """Whoever makes up tokens would else push out those that are good."""
    for _ in range(2):
        token = bearer_token([f"Bearer {value}"])
        assert isinstance(token, Token)
        if setup.authenticator.cached(Question("keycloak", token)) is None:
            await setup.authenticator.look_up(Question("keycloak", token))
    assert (bearer_token([f"Bearer {value}"]) is token) is is_remembered


async def test_an_answer_is_asked_for_again_after_its_ttl(setup: Setup) -> None:
    await setup.ask("alice.1")
    setup.advance(59.9)
    assert setup.cached("alice.1") is not None
    setup.advance(0.1)
    assert setup.cached("alice.1") is None
    assert (await setup.ask("alice.1")).tier == "provider"


async def test_an_inactive_answer_has_its_own_ttl(setup: Setup) -> None:
    assert isinstance((await setup.ask("junk.1")).result, Inactive)
    setup.advance(9.9)
    assert setup.cached("junk.1") is not None
    setup.advance(0.1)
    assert setup.cached("junk.1") is None
    assert setup.meter.introspections == {("keycloak", "inactive"): 1}


async def test_nothing_outlives_exp(setup: Setup) -> None:
    setup.keycloak.exp_in_s = 20
    await setup.ask("alice.1")
    setup.advance(19.9)
    assert setup.cached("alice.1") is not None
    setup.advance(0.2)
    assert setup.cached("alice.1") is None


async def test_nothing_outlives_exp_when_the_wall_clock_is_set_forward(setup: Setup) -> None:
    setup.keycloak.exp_in_s = 20
    await setup.ask("alice.1")
    setup.clock.advance(21)
    assert setup.cached("alice.1") is None


async def test_a_token_called_active_after_its_exp_is_inactive(setup: Setup) -> None:
    setup.keycloak.exp_in_s = 0
    assert isinstance((await setup.ask("alice.1")).result, Inactive)
    assert isinstance((await setup.ask("alice.1")).result, Inactive)
    assert setup.keycloak.asked == ["alice.1"]


async def test_an_unclear_answer_reaches_all_who_wait_and_is_never_kept(shared_setup: Setup) -> None:
    shared_setup.keycloak.result = UNCLEAR
    answers = await asyncio.gather(*(shared_setup.ask("alice.1") for _ in range(5)))
    assert all(found.result is UNCLEAR for found in answers)
    assert len(shared_setup.keycloak.asked) == 1
    assert len(shared_setup.local) == 0
    assert shared_setup.shared is not None
    assert not shared_setup.shared.held
    shared_setup.keycloak.result = None
    assert isinstance((await shared_setup.ask("alice.1")).result, Facts)


async def test_an_unclear_answer_does_not_push_out_what_is_remembered(setup: Setup) -> None:
    await setup.ask("alice.1")
    setup.keycloak.result = UNCLEAR
    setup.advance(5)
    assert isinstance((await setup.ask("alice.1", max_age_s=1)).result, Indeterminate)
    assert setup.cached("alice.1") is not None


async def test_two_hundred_who_ask_at_once_make_one_call(shared_setup: Setup) -> None:
    found = await asyncio.gather(*(shared_setup.ask("alice.1") for _ in range(200)))
    assert len(shared_setup.keycloak.asked) == 1
    assert len({id(each.result) for each in found}) == 1


async def test_the_same_token_at_two_providers_makes_two_calls_also_at_once(setup: Setup) -> None:
    await asyncio.gather(*(setup.ask("alice.1", provider) for provider in ("keycloak", "other") for _ in range(5)))
    assert (len(setup.keycloak.asked), len(setup.other.asked)) == (1, 1)


async def test_a_caller_that_gives_up_does_not_fail_the_others(setup: Setup) -> None:
    setup.keycloak.gate = asyncio.Event()
    first, second = asyncio.create_task(setup.ask("alice.1")), asyncio.create_task(setup.ask("alice.1"))
    await ticks()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    setup.keycloak.gate.set()
    assert isinstance((await second).result, Facts)
    assert len(setup.keycloak.asked) == 1


async def test_when_all_callers_have_left_the_answer_is_still_remembered(setup: Setup) -> None:
    setup.keycloak.gate = asyncio.Event()
    caller = asyncio.create_task(setup.ask("alice.1"))
    await ticks()
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    setup.keycloak.gate.set()
    await ticks()
    assert setup.cached("alice.1") is not None


async def test_without_a_ttl_nothing_is_kept_and_those_at_once_still_share_a_call() -> None:
    setup = Setup(FakeShared(), ttl_s=0, inactive_ttl_s=0)
    for token in ("alice.1", "junk.1"):
        await asyncio.gather(*(setup.ask(token) for _ in range(5)))
        assert setup.cached(token) is None
        await setup.ask(token)
    assert setup.keycloak.asked == ["alice.1", "alice.1", "junk.1", "junk.1"]
    assert setup.shared is not None
    assert not setup.shared.held


async def test_a_stricter_route_refreshes_the_entry_for_all(setup: Setup) -> None:
    await setup.ask("alice.1")
    setup.advance(31)
    assert setup.cached("alice.1", max_age_s=30) is None
    assert (await setup.ask("alice.1", max_age_s=30)).tier == "provider"
    setup.advance(31)
    assert setup.cached("alice.1") is not None  # 62 s after the first answer, 31 after the second


async def test_a_max_age_of_zero_asks_every_time_and_concurrent_ones_share_a_call(
    shared_setup: Setup,
) -> None:
    for _ in range(3):
        await asyncio.gather(*(shared_setup.ask("alice.1", max_age_s=0) for _ in range(5)))
    assert len(shared_setup.keycloak.asked) == 3


async def test_the_fleet_is_asked_before_the_provider(shared_setup: Setup) -> None:
    await shared_setup.ask("alice.1")
    other = Setup(shared_setup.shared)
    found = await other.ask("alice.1")
    assert found.tier == "redis"
    assert other.keycloak.asked == []
    assert other.cached("alice.1") is not None
    assert other.meter.lookups["redis", "hit"] == 1
    assert shared_setup.meter.lookups["redis", "miss"] == 1


async def test_what_the_fleet_remembers_keeps_its_age(shared_setup: Setup) -> None:
    key = HmacKeys(b"secret").key(shared_setup.keycloak.identity, Token("alice.1"))
    assert shared_setup.shared is not None
    facts = Facts({"sub": "alice"}, shared_setup.clock() - 40)
    shared_setup.shared.held[key] = Recalled(facts, age_s=40, left_s=500)
    assert (await shared_setup.ask("alice.1", max_age_s=50)).tier == "redis"
    assert shared_setup.cached("alice.1", max_age_s=40) is None
    shared_setup.advance(19)
    assert shared_setup.cached("alice.1") is not None
    shared_setup.advance(1)
    assert shared_setup.cached("alice.1") is None  # our ttl of 60 s, whatever the writer's was


async def test_what_the_fleet_remembers_is_a_miss_for_a_stricter_route(shared_setup: Setup) -> None:
    key = HmacKeys(b"secret").key(shared_setup.keycloak.identity, Token("alice.1"))
    assert shared_setup.shared is not None
    shared_setup.shared.held[key] = Recalled(Facts({"sub": "alice"}, 0), age_s=40, left_s=20)
    assert (await shared_setup.ask("alice.1", max_age_s=30)).tier == "provider"
    assert shared_setup.meter.lookups["redis", "miss"] == 1
    assert shared_setup.shared.held[key].age_s < 1


async def test_a_strict_caller_does_not_take_what_a_lenient_one_was_given_by_the_fleet(
    shared_setup: Setup,
) -> None:
    key = HmacKeys(b"secret").key(shared_setup.keycloak.identity, Token("alice.1"))
    assert shared_setup.shared is not None
    shared_setup.shared.held[key] = Recalled(Facts({"sub": "alice"}, 0), age_s=40, left_s=20)
    lenient, strict = await asyncio.gather(shared_setup.ask("alice.1"), shared_setup.ask("alice.1", max_age_s=30))
    assert (lenient.tier, strict.tier) == ("redis", "provider")


async def test_a_broken_shared_tier_is_a_counted_error_and_no_obstacle(shared_setup: Setup) -> None:
    assert shared_setup.shared is not None
    shared_setup.shared.broken = True
    assert (await shared_setup.ask("alice.1")).tier == "provider"
    assert shared_setup.meter.lookups["redis", "error"] == 1


async def test_callers_do_not_wait_for_a_slow_write_to_the_fleet(shared_setup: Setup) -> None:
    assert shared_setup.shared is not None
    shared_setup.shared.gate = asyncio.Event()
    async with asyncio.timeout(5):
        assert (await shared_setup.ask("alice.1")).tier == "provider"
    assert not shared_setup.shared.held
    shared_setup.shared.gate.set()
    await ticks()
    assert len(shared_setup.shared.held) == 1


async def test_a_token_is_purged_at_every_provider_and_nothing_else(setup: Setup) -> None:
    for token, provider in (("alice.1", "keycloak"), ("alice.1", "other"), ("alice.2", "keycloak")):
        await setup.ask(token, provider)
    assert setup.purge(token="alice.1") == 2
    assert setup.cached("alice.1") is None
    assert setup.cached("alice.2") is not None


async def test_a_sub_is_purged_with_all_its_tokens_and_nobody_else(setup: Setup) -> None:
    for token in ("alice.1", "alice.2", "bob.1"):
        await setup.ask(token)
    assert setup.purge(sub="alice") == 2
    assert setup.cached("alice.1") is None
    assert setup.cached("bob.1") is not None
    assert setup.purge(sub="nobody") == 0


async def test_everything_is_purged_the_inactive_answers_too(shared_setup: Setup) -> None:
    for token in ("alice.1", "bob.1", "junk.1"):
        await shared_setup.ask(token)
    assert shared_setup.purge() == 3
    assert len(shared_setup.local) == 0
    assert shared_setup.shared is not None
    assert [purge.tags for purge in shared_setup.shared.forgotten] == [None]


async def test_what_has_expired_is_not_counted_as_purged(setup: Setup) -> None:
    await setup.ask("alice.1")
    setup.advance(61)
    assert setup.purge() == 0


async def test_the_same_order_a_second_time_does_nothing(setup: Setup) -> None:
    order = setup.authenticator.purge_of(sub="alice")
    await setup.ask("alice.1")
    assert setup.authenticator.forget(order) == 1
    await setup.ask("alice.1")
    assert setup.authenticator.forget(order) == 0
    assert setup.cached("alice.1") is not None


@pytest.mark.parametrize("selected", [{"token": "alice.1"}, {"sub": "alice"}, {}], ids=["token", "sub", "everything"])
async def test_an_answer_asked_for_before_a_purge_does_not_settle_after_it(
    shared_setup: Setup, selected: dict[str, str]
) -> None:
    setup = shared_setup
    setup.keycloak.gate = asyncio.Event()
    before = asyncio.create_task(setup.ask("alice.1"))
    await ticks()
    setup.purge(**selected)
    after = asyncio.create_task(setup.ask("alice.1"))
    await ticks()
    setup.keycloak.gate.set()
    old, new = (await before).result, (await after).result
    assert isinstance(old, Facts)
    assert isinstance(new, Facts)
    assert (old.claims["serial"], new.claims["serial"]) == (1, 2)
    cached = setup.cached("alice.1")
    assert cached is not None
    assert cached.result is new
    assert setup.shared is not None
    assert [held.result for held in setup.shared.held.values()] == [new]


async def test_who_asks_after_the_token_was_purged_does_not_wait_for_the_answer_from_before(
    setup: Setup,
) -> None:
    old = setup.keycloak.gate = asyncio.Event()
    before = asyncio.create_task(setup.ask("alice.1"))
    await ticks()
    setup.purge(token="alice.1")
    setup.keycloak.gate = None
    assert isinstance((await setup.ask("alice.1")).result, Facts)
    old.set()
    assert isinstance((await before).result, Facts)


async def test_an_answer_about_somebody_else_settles_across_a_purge(setup: Setup) -> None:
    setup.keycloak.gate = asyncio.Event()
    asking = asyncio.create_task(setup.ask("bob.1"))
    await ticks()
    setup.purge(sub="alice")
    setup.keycloak.gate.set()
    await asking
    assert setup.cached("bob.1") is not None


async def test_close_waits_for_what_is_under_way(setup: Setup) -> None:
    setup.keycloak.gate = asyncio.Event()
    asking = asyncio.create_task(setup.ask("alice.1"))
    await ticks()
    asyncio.get_running_loop().call_later(0.02, setup.keycloak.gate.set)
    await setup.authenticator.close(5)
    assert isinstance((await asking).result, Facts)


async def test_close_ends_what_does_not_end_by_itself(setup: Setup) -> None:
    setup.keycloak.gate = asyncio.Event()
    asking = asyncio.create_task(setup.ask("alice.1"))
    await ticks()
    await setup.authenticator.close(0.01)
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_nothing_shows_a_token(setup: Setup) -> None:
    await setup.ask("alice.secret")
    question = Question("keycloak", Token("alice.secret"))
    assert "alice.secret" not in repr(question)
    assert "alice.secret" not in repr(setup.authenticator.purge_of(token=Token("alice.secret")))


# The last known facts, while the provider cannot tell.


@pytest.fixture
async def tolerant() -> AsyncIterator[Setup]:
    """Answers are fresh for a minute; what is tolerated is five more."""
    setup = Setup(FakeShared(), tolerated_s=300)
    yield setup
    await setup.authenticator.close(5)


def unshare(setup: Setup) -> None:
    assert setup.shared is not None
    setup.shared.held.clear()


async def test_facts_that_are_not_fresh_stand_in_when_the_provider_cannot_tell(tolerant: Setup) -> None:
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


async def test_they_do_not_where_nothing_is_tolerated_or_less(tolerant: Setup) -> None:
    await tolerant.ask("alice.1")
    unshare(tolerant)
    tolerant.keycloak.result = UNCLEAR
    tolerant.advance(100)
    assert (await tolerant.ask("alice.1")).result is UNCLEAR
    assert (await tolerant.ask("alice.1", stale_s=40)).result is UNCLEAR
    assert isinstance((await tolerant.ask("alice.1", stale_s=41)).result, Facts)


async def test_they_do_not_when_the_provider_can_tell(tolerant: Setup) -> None:
    await tolerant.ask("alice.1")
    unshare(tolerant)
    tolerant.advance(61)
    found = await tolerant.ask("alice.1", stale_s=300)
    assert (found.tier, found.stale_s) == ("provider", None)


async def test_nor_past_exp(tolerant: Setup) -> None:
    tolerant.keycloak.exp_in_s = 90
    await tolerant.ask("alice.1")
    tolerant.keycloak.result = UNCLEAR
    tolerant.advance(89)
    assert isinstance((await tolerant.ask("alice.1", stale_s=300)).result, Facts)
    tolerant.advance(1)
    assert (await tolerant.ask("alice.1", stale_s=300)).result is UNCLEAR


async def test_nor_when_the_wall_clock_alone_has_passed_exp(tolerant: Setup) -> None:
    tolerant.keycloak.exp_in_s = 90
    await tolerant.ask("alice.1")
    unshare(tolerant)
    tolerant.keycloak.result = UNCLEAR
    tolerant.monotonic.advance(61)
    tolerant.clock.advance(91)
    assert (await tolerant.ask("alice.1", stale_s=300)).result is UNCLEAR


@pytest.mark.parametrize("by", [{"token": "alice.1"}, {"sub": "alice"}, {}])
async def test_nor_after_a_purge(tolerant: Setup, by: dict[str, str]) -> None:
    await tolerant.ask("alice.1")
    unshare(tolerant)
    tolerant.advance(61)
    tolerant.purge(**by)
    tolerant.keycloak.result = UNCLEAR
    assert (await tolerant.ask("alice.1", stale_s=300)).result is UNCLEAR


@pytest.mark.parametrize("by", [{"token": "alice.1"}, {"sub": "alice"}, {}])
@pytest.mark.parametrize("known_to", ["process", "fleet"])
async def test_nor_after_a_purge_while_it_was_asked(tolerant: Setup, by: dict[str, str], known_to: str) -> None:
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


async def test_nor_after_a_no(tolerant: Setup) -> None:
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
    setup = Setup(inactive_ttl_s=0, tolerated_s=300)
    await setup.ask("alice.1")
    setup.advance(61)
    setup.keycloak.result = Inactive(setup.clock())
    await setup.ask("alice.1")
    setup.keycloak.result = UNCLEAR
    assert (await setup.ask("alice.1", stale_s=300)).result is UNCLEAR
    assert not setup.was_recently_active("alice.1")


async def test_a_no_to_a_known_token_is_told_to_the_fleet_as_a_purge_and_takes_its_place(
    tolerant: Setup,
) -> None:
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


async def test_a_no_takes_no_place_when_something_else_was_purged_meanwhile(tolerant: Setup) -> None:
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


async def test_a_no_of_which_the_fleet_has_been_told_is_not_told_again(tolerant: Setup) -> None:
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


async def test_so_is_one_to_a_token_that_only_the_fleet_knew(tolerant: Setup) -> None:
    assert tolerant.shared is not None
    await tolerant.ask("alice.1")
    [key], [held] = tolerant.shared.held, tolerant.shared.held.values()
    tolerant.local.drop_tagged(tolerant.authenticator.purge_of(), 0)
    tolerant.shared.held[key] = Recalled(held.result, 61, 0, kept_s=200)
    tolerant.keycloak.result = Inactive(tolerant.clock())
    await tolerant.ask("alice.1")
    await ticks()
    assert [purge.tags for purge in tolerant.shared.published] == [{key}]


async def test_a_no_to_junk_is_not(tolerant: Setup) -> None:
    assert tolerant.shared is not None
    for number in range(5):
        await tolerant.ask(f"junk.{number}")
    await ticks()
    assert (tolerant.shared.published, tolerant.revoked) == ([], [])
    assert len(tolerant.shared.held) == 5


async def test_workers_tell_each_other_of_a_no_where_no_fleet_does() -> None:
    """Also of one to a token that is new to the worker that is told: the other one may have known it."""
    one, other = (Setup(tolerated_s=300, names=("keycloak",)) for _ in range(2))
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
    setup = Setup(tolerated_s=300)
    setup.keycloak.result = Inactive(setup.clock())
    await setup.ask("alice.1")
    assert setup.revoked == []


async def test_workers_tell_each_other_where_the_fleet_can_not_be_told(tolerant: Setup) -> None:
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


async def test_what_the_fleet_still_knows_stands_in_and_is_kept(tolerant: Setup) -> None:
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


async def test_what_is_fresh_for_others_stays_so_when_a_stricter_question_fails(tolerant: Setup) -> None:
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


async def test_a_stricter_route_has_younger_facts_stand_in(tolerant: Setup) -> None:
    await tolerant.ask("alice.1")
    unshare(tolerant)
    tolerant.keycloak.result = UNCLEAR
    tolerant.advance(20)
    found = await tolerant.ask("alice.1", max_age_s=5, stale_s=30)
    assert found.stale_s == pytest.approx(20)
    assert tolerant.cached("alice.1") is not None  # for others they are fresh
    tolerant.advance(15)
    assert (await tolerant.ask("alice.1", max_age_s=5, stale_s=30)).result is UNCLEAR


async def test_without_tolerance_nothing_more_is_kept_in_the_fleet(shared_setup: Setup) -> None:
    assert shared_setup.shared is not None
    await shared_setup.ask("alice.1")
    [held] = shared_setup.shared.held.values()
    assert max(held.left_s, held.kept_s) == 60


async def test_a_token_is_known_for_another_window_and_not_after_a_no(setup: Setup) -> None:
    assert not setup.was_recently_active("alice.1")
    await setup.ask("alice.1")
    setup.advance(119)
    assert setup.was_recently_active("alice.1")
    setup.advance(1)
    assert not setup.was_recently_active("alice.1")
    await setup.ask("junk.1")
    assert not setup.was_recently_active("junk.1")


async def test_a_question_that_was_not_asked_is_no_introspection(setup: Setup) -> None:
    setup.keycloak.result = Indeterminate("it is left alone", 5, was_asked=False)
    await setup.ask("alice.1")
    assert setup.meter.introspections == {}


async def test_without_a_fleet_a_no_to_a_known_token_is_told_all_the_same() -> None:
    setup = Setup(tolerated_s=300)
    await setup.ask("alice.1")
    setup.advance(61)
    setup.keycloak.result = Inactive(setup.clock())
    await setup.ask("alice.1")
    assert setup.revoked == ["alice.1"]
    await setup.authenticator.close(5)


async def test_where_nothing_is_tolerated_nobody_need_be_told(setup: Setup) -> None:
    await setup.ask("alice.1")
    setup.advance(61)
    setup.keycloak.result = Inactive(setup.clock())
    await setup.ask("alice.1")
    assert setup.revoked == []


EVE, BOB = "203.0.113.1", "198.51.100.7"


async def in_the_name_of(setup: Setup, address: str, stale_s: float | None = None) -> FactsLookup:
    question = Question("keycloak", Token("alice.1"), stale_s=stale_s, address=address)
    return await setup.authenticator.look_up(question)


async def test_who_joined_a_question_that_found_no_place_asks_in_its_own_name(setup: Setup) -> None:
    setup.keycloak.crowded_out = frozenset({EVE})
    setup.keycloak.gate = asyncio.Event()
    asking = [asyncio.create_task(in_the_name_of(setup, address)) for address in (EVE, EVE, BOB, BOB)]
    await ticks()
    setup.keycloak.gate.set()
    eves, bobs = (await asyncio.gather(*asking[:2])), (await asyncio.gather(*asking[2:]))
    assert all(isinstance(found.result, Indeterminate) and found.result.is_queue_full for found in eves)
    assert all(isinstance(found.result, Facts) for found in bobs)
    assert setup.keycloak.addresses == [EVE, BOB]


async def test_no_old_facts_stand_in_for_want_of_a_place() -> None:
    setup = Setup(ttl_s=1, tolerated_s=300)
    assert isinstance((await in_the_name_of(setup, BOB)).result, Facts)
    setup.advance(2)
    setup.keycloak.crowded_out = frozenset({BOB})
    found = await in_the_name_of(setup, BOB, stale_s=300)
    assert isinstance(found.result, Indeterminate)
    setup.keycloak.crowded_out, setup.keycloak.result = frozenset(), UNCLEAR
    assert (await in_the_name_of(setup, BOB, stale_s=300)).stale_s == 2  # that is an outage
    await setup.authenticator.close(5)
