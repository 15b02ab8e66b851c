"""What is evicted again, when, and in how many orders; and that what was begun is finished."""

import asyncio

import pytest
from support.running_gateway import eventually

from gateway.authn.bearer import Token
from gateway.events.event_receiver import NotEverywhereError
from gateway.introspection.invalidation import ClaimSelector, invalidation_from_json, new_invalidation
from gateway.introspection.tag_purge import TagPurge
from gateway.runtime import invalidation_broadcaster
from gateway.runtime.invalidation_broadcaster import DelayedInvalidations, InvalidationBroadcaster
from gateway.workers.control import UnansweredError


class FakeGeneration:
    """The part of a generation that `InvalidationBroadcaster` uses. `told` holds what the fleet was told."""

    def __init__(self):
        self.authenticator = self.cache = self.shared = self
        self.told = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    def purge_of_invalidation(self, invalidation):
        return TagPurge(invalidation.id, frozenset(named.value.encode() for named in invalidation.selectors))

    async def publish_purge(self, purge):
        await self.go_on.wait()
        self.told.append(purge)
        return True


class Process:
    def __init__(self, tell_siblings=None):
        self.generation = FakeGeneration()
        self.forgotten = []
        self.siblings_told = []
        self.failure = None
        self.broadcaster = InvalidationBroadcaster(
            lambda: self.generation, self.forgotten.append, tell_siblings or self.tell_siblings
        )
        self.delayed = DelayedInvalidations(self.broadcaster)

    async def tell_siblings(self, invalidation):
        self.siblings_told.append(invalidation)
        if self.failure is not None:
            raise self.failure


@pytest.fixture
async def process():
    made = Process()
    yield made
    await made.delayed.close()
    await made.broadcaster.close(0)


def named(*values):
    return [ClaimSelector("r", "sub", value) for value in values]


async def test_it_is_forgotten_here_by_the_other_workers_and_by_the_fleet_under_one_id(process):
    invalidation = new_invalidation(named("alice"))
    await process.broadcaster.broadcast(invalidation)
    assert [one.id for one in (*process.forgotten, *process.generation.told)] == [invalidation.id] * 2
    assert process.siblings_told[0]["id"] == invalidation.id.hex()


async def test_a_worker_that_does_not_answer_makes_it_uncertain(process):
    process.failure = UnansweredError("no answer")
    with pytest.raises(NotEverywhereError, match="no answer"):
        await process.broadcaster.broadcast(new_invalidation(named("alice")))
    assert len(process.forgotten) == len(process.generation.told) == 1  # the others have it nevertheless


async def test_a_caller_that_leaves_does_not_end_it(process):
    process.generation.go_on.clear()
    leaving = asyncio.create_task(process.broadcaster.broadcast(new_invalidation(named("alice"))))
    await eventually(lambda: process.siblings_told)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    process.generation.go_on.set()
    await eventually(lambda: process.generation.told)


async def test_an_invalidation_is_repeated_under_another_id(process, monkeypatch):
    monkeypatch.setattr(invalidation_broadcaster, "_SLOT_S", 0.01)
    process.delayed.after((0.02, 0.05), named("alice"))
    await eventually(lambda: len(process.forgotten) == 2)
    assert len({one.id for one in process.forgotten}) == 2
    assert process.delayed._pending == 0


async def test_many_that_fall_due_together_make_few_messages(process, monkeypatch):
    monkeypatch.setattr(invalidation_broadcaster, "_SLOT_S", 0.2)
    for number in range(1000):
        process.delayed.after((0.01,), named(f"u{number}"))
    await eventually(lambda: sum(len(one.tags or ()) for one in process.forgotten) == 1000)
    assert len(process.forgotten) <= 10
    assert all(len(one.tags or ()) <= 200 for one in process.forgotten)


async def test_the_number_of_waiting_invalidations_is_bounded(process):
    for number in range(25_000):
        process.delayed.after((60,), named(f"u{number}"))
    assert process.delayed._pending == 20_000


async def test_waiting_invalidations_go_out_when_it_closes(process):
    process.delayed.after((60, 90), named("alice", "bob"))
    await process.delayed.close()
    await process.broadcaster.close(1)
    assert [one.tags for one in process.forgotten] == [{b"alice", b"bob"}]
    assert len(process.generation.told) == 1


async def test_an_earlier_invalidation_does_not_wait_for_a_later_one(process, monkeypatch):
    monkeypatch.setattr(invalidation_broadcaster, "_SLOT_S", 0.02)
    process.delayed.after((60,), named("later"))
    await asyncio.sleep(0)
    process.delayed.after((0.02,), named("sooner"))
    await eventually(lambda: process.forgotten)
    assert process.forgotten[0].tags == {b"sooner"}


async def test_inactive_tokens_are_told_to_the_other_workers_in_few_messages(process):
    for number in range(300):
        process.broadcaster.tell_workers_of(Token(f"alice.{number % 250}"))
    await eventually(lambda: len(process.siblings_told) == 2)
    orders = [invalidation_from_json(order) for order in process.siblings_told]
    assert [token.value for order in orders for token in order.tokens] == [f"alice.{number}" for number in range(250)]
    assert all(order.is_revocation for order in orders)
    assert process.forgotten == process.generation.told == []  # the process that found it out need not forget


async def test_workers_that_do_not_answer_change_nothing_and_fill_no_memory(process, monkeypatch, caplog):
    monkeypatch.setattr(invalidation_broadcaster, "_GATHERED_MAX", 10)
    process.failure = UnansweredError("no answer")
    for number in range(100):
        process.broadcaster.tell_workers_of(Token(f"alice.{number}"))
    assert len(process.broadcaster._gathered) == 10
    assert len([line for line in caplog.records if "too many wait" in line.message]) == 1
    await eventually(lambda: process.siblings_told and not process.broadcaster._gathered)
    process.broadcaster.tell_workers_of(Token("bob"))
    await eventually(lambda: process.siblings_told[-1]["tokens"] == ["bob"])
