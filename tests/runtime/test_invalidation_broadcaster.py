"""What is evicted again, when, and in how many orders; and that what was begun is finished."""

import asyncio

import pytest
from support.running_gateway import eventually

from gateway.authn.bearer import Token
from gateway.events.event_receiver import NotEverywhereError
from gateway.introspection.invalidation import ClaimSelector, evict, invalidation_from_json
from gateway.introspection.tag_purge import TagPurge
from gateway.runtime import invalidation_broadcaster
from gateway.runtime.invalidation_broadcaster import DelayedInvalidations, InvalidationBroadcaster
from gateway.workers.control import UnansweredError


class Running:
    """What `InvalidationBroadcaster` uses of one; `told` is what the fleet was told."""

    def __init__(self):
        self.authenticator = self.cache = self.shared = self
        self.told = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    def purge_for(self, eviction):
        return TagPurge(eviction.id, frozenset(named.value.encode() for named in eviction.named))

    async def publish_purge(self, purge):
        await self.go_on.wait()
        self.told.append(purge)
        return True


class Here:
    def __init__(self, spread=None):
        self.running = Running()
        self.forgotten = []
        self.spread_to = []
        self.failure = None
        self.evicting = InvalidationBroadcaster(lambda: self.running, self.forgotten.append, spread or self.spread)
        self.repeats = DelayedInvalidations(self.evicting)

    async def spread(self, eviction):
        self.spread_to.append(eviction)
        if self.failure is not None:
            raise self.failure


@pytest.fixture
async def here():
    made = Here()
    yield made
    await made.repeats.close()
    await made.evicting.close(0)


def named(*values):
    return [ClaimSelector("r", "sub", value) for value in values]


async def test_it_is_forgotten_here_by_the_other_workers_and_by_the_fleet_under_one_id(here):
    eviction = evict(named("alice"))
    await here.evicting.evict(eviction)
    assert [one.id for one in (*here.forgotten, *here.running.told)] == [eviction.id] * 2
    assert here.spread_to[0]["id"] == eviction.id.hex()


async def test_a_worker_that_does_not_answer_makes_it_uncertain(here):
    here.failure = UnansweredError("no answer")
    with pytest.raises(NotEverywhereError, match="no answer"):
        await here.evicting.evict(evict(named("alice")))
    assert len(here.forgotten) == len(here.running.told) == 1  # the others have it all the same


async def test_who_leaves_does_not_end_it(here):
    here.running.go_on.clear()
    leaving = asyncio.create_task(here.evicting.evict(evict(named("alice"))))
    await eventually(lambda: here.spread_to)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    here.running.go_on.set()
    await eventually(lambda: here.running.told)


async def test_an_eviction_is_repeated_under_another_id(here, monkeypatch):
    monkeypatch.setattr(invalidation_broadcaster, "_TURN_S", 0.01)
    here.repeats.after((0.02, 0.05), named("alice"))
    await eventually(lambda: len(here.forgotten) == 2)
    assert len({one.id for one in here.forgotten}) == 2
    assert here.repeats._pending == 0


async def test_many_that_fall_due_together_are_few_orders(here, monkeypatch):
    monkeypatch.setattr(invalidation_broadcaster, "_TURN_S", 0.2)
    for number in range(1000):
        here.repeats.after((0.01,), named(f"u{number}"))
    await eventually(lambda: sum(len(one.marks or ()) for one in here.forgotten) == 1000)
    assert len(here.forgotten) <= 10
    assert all(len(one.marks or ()) <= 200 for one in here.forgotten)


async def test_what_waits_is_bounded(here):
    for number in range(25_000):
        here.repeats.after((60,), named(f"u{number}"))
    assert here.repeats._pending == 20_000


async def test_what_waits_when_it_ends_is_evicted_then(here):
    here.repeats.after((60, 90), named("alice", "bob"))
    await here.repeats.close()
    await here.evicting.close(1)
    assert [one.marks for one in here.forgotten] == [{b"alice", b"bob"}]
    assert len(here.running.told) == 1


async def test_what_comes_sooner_does_not_wait_for_what_comes_later(here, monkeypatch):
    monkeypatch.setattr(invalidation_broadcaster, "_TURN_S", 0.02)
    here.repeats.after((60,), named("later"))
    await asyncio.sleep(0)
    here.repeats.after((0.02,), named("sooner"))
    await eventually(lambda: here.forgotten)
    assert here.forgotten[0].marks == {b"sooner"}


async def test_what_was_found_out_of_tokens_is_told_to_the_other_workers_in_few_orders(here):
    for number in range(300):
        here.evicting.tell_workers_of(Token(f"alice.{number % 250}"))
    await eventually(lambda: len(here.spread_to) == 2)
    orders = [invalidation_from_json(order) for order in here.spread_to]
    assert [token.value for order in orders for token in order.tokens] == [f"alice.{number}" for number in range(250)]
    assert all(order.is_no for order in orders)
    assert here.forgotten == here.running.told == []  # who found it out knows better than nothing


async def test_workers_that_do_not_answer_change_nothing_and_fill_no_memory(here, monkeypatch, caplog):
    monkeypatch.setattr(invalidation_broadcaster, "_GATHERED_MAX", 10)
    here.failure = UnansweredError("no answer")
    for number in range(100):
        here.evicting.tell_workers_of(Token(f"alice.{number}"))
    assert len(here.evicting._gathered) == 10
    assert len([line for line in caplog.records if "too many wait" in line.message]) == 1
    await eventually(lambda: here.spread_to and not here.evicting._gathered)
    here.evicting.tell_workers_of(Token("bob"))
    await eventually(lambda: here.spread_to[-1]["tokens"] == ["bob"])
