"""Waiting for a slot: nothing is lost, whoever leaves and whenever."""

import asyncio
import random
import time

import pytest

from gateway.http.client_network import ClientNetwork, client_network
from gateway.introspection.joiners import Joiners
from gateway.provider.errors import CrowdedError, NotAskedError
from gateway.provider.slots import Slots

EVE, BOB = client_network("192.0.2.1"), client_network("192.0.2.2")


class Work:
    """Calls that last until `finish`; how many are under way is counted."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.over = asyncio.Event()
        self.under_way = 0

    async def __call__(self, network: ClientNetwork = EVE) -> str:
        async with self.slots.hold(network):
            self.under_way += 1
            try:
                await self.over.wait()
            finally:
                self.under_way -= 1
            return "done"

    async def begun(self, count: int, network: ClientNetwork = EVE) -> list[asyncio.Task[str]]:
        tasks = [asyncio.create_task(self(network)) for _ in range(count)]
        await asyncio.sleep(0)
        return tasks

    async def all_free(self) -> bool:
        """Whether every slot can be had again."""
        self.over.set()
        async with asyncio.timeout(5):
            await asyncio.gather(*await self.begun(20), return_exceptions=True)
        return self.slots.wait_s == 0 and self.under_way == 0


async def test_so_many_at_a_time_so_many_waiting_and_the_rest_is_turned_away():
    work = Work(Slots(3, 4, wait_s=20))
    tasks = await work.begun(9)
    assert work.under_way == 3
    work.over.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[:7] == ["done"] * 7
    assert [type(one) for one in outcomes[7:]] == [CrowdedError] * 2
    assert outcomes[7].retry_after_s >= 1
    assert await work.all_free()


async def test_a_displaced_waiter_fails_at_once():
    work = Work(Slots(1, 2, wait_s=20))
    eves = await work.begun(3)
    bobs = await work.begun(1, BOB)
    with pytest.raises(CrowdedError):
        await eves[2]
    work.over.set()
    assert await asyncio.gather(*eves[:2], *bobs) == ["done"] * 3


async def test_nobody_waits_for_longer_than_the_bound():
    work = Work(Slots(1, 9, wait_s=0.05))
    first, second = await work.begun(2)
    assert work.slots.wait_s == 0.05
    began_s = time.monotonic()
    with pytest.raises(CrowdedError):
        await second
    assert 0.04 < time.monotonic() - began_s < 5
    work.over.set()
    assert await first == "done"
    assert await work.all_free()


async def test_none_waits_where_none_may():
    work = Work(Slots(1, 0, wait_s=20))
    tasks = await work.begun(2)
    with pytest.raises(CrowdedError):
        await tasks[1]
    work.over.set()
    assert await tasks[0] == "done"


async def test_all_waiters_can_be_rejected_at_once():
    work = Work(Slots(1, 9, wait_s=20))
    tasks = await work.begun(4)
    work.slots.reject_waiters(lambda: NotAskedError("left alone"))
    outcomes = await asyncio.gather(*tasks[1:], return_exceptions=True)
    assert [type(one) for one in outcomes] == [NotAskedError] * 3
    assert len({id(one) for one in outcomes}) == 3
    assert await work.all_free()


async def test_from_one_slot_on_each_answer_brings_one_more_and_no_more_than_there_were():
    slots = Slots(4, 50, wait_s=20)
    work = Work(slots)
    slots.restart()
    tasks = await work.begun(9)
    seen = [work.under_way]
    for _ in range(6):
        slots.grow()
        await asyncio.sleep(0)
        seen.append(work.under_way)
    assert seen == [1, 2, 3, 4, 4, 4, 4]
    assert not slots.is_ramping_up
    work.over.set()
    assert await asyncio.gather(*tasks) == ["done"] * 9


async def test_calls_that_are_under_way_when_it_starts_anew_end_first():
    slots = Slots(3, 50, wait_s=20)
    work = Work(slots)
    before = await work.begun(3)
    slots.restart()
    after = await work.begun(2)
    before[0].cancel()
    before[1].cancel()
    await asyncio.sleep(0.01)
    assert work.under_way == 1
    work.over.set()
    assert await asyncio.gather(*after) == ["done"] * 2


async def test_a_slot_that_is_given_at_the_moment_its_waiter_leaves_is_not_lost():
    async def first() -> None:
        async with work.slots.hold(EVE):
            await work.over.wait()
        second.cancel()  # it has the slot by now, and has not run yet

    work = Work(Slots(1, 9, wait_s=20))
    holding = asyncio.create_task(first())
    await asyncio.sleep(0)
    second, third = await work.begun(2)
    work.over.set()
    await holding
    with pytest.raises(asyncio.CancelledError):
        await second
    assert await third == "done"
    assert await work.all_free()


async def test_a_waiter_that_has_just_left_is_passed_over():
    async def first() -> None:
        async with work.slots.hold(EVE):
            await work.over.wait()
            second.cancel()  # it still has its place when the slot comes free

    work = Work(Slots(1, 9, wait_s=20))
    holding = asyncio.create_task(first())
    await asyncio.sleep(0)
    second, third = await work.begun(2)
    work.over.set()
    await holding
    assert await third == "done"
    with pytest.raises(asyncio.CancelledError):
        await second
    assert await work.all_free()


@pytest.mark.parametrize("seed", range(5))
async def test_no_slot_is_lost_whenever_a_waiter_leaves(seed):
    dice = random.Random(seed)
    work = Work(Slots(3, 10, wait_s=0.02))
    tasks: list[asyncio.Task[str]] = []
    for _ in range(200):
        match dice.choice(["come", "come", "leave", "finish", "pass"]):
            case "come":
                tasks.append(asyncio.create_task(work(dice.choice((EVE, BOB)))))
            case "leave" if tasks:
                dice.choice(tasks).cancel()
            case "finish":
                work.over.set()
                await asyncio.sleep(0)
                work.over.clear()
            case "pass":
                await asyncio.sleep(dice.choice((0, 0, 0.005)))
    work.over.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await work.all_free()


class Asked(Work):
    """Calls of Eve's that others may join; which slot was given to whom is told by `slots`."""

    async def by(self, joiners: Joiners, network: ClientNetwork = EVE) -> str:
        async with self.slots.hold(network, joiners):
            return "done"


async def test_a_question_that_another_network_joins_takes_the_first_slot_that_either_gets():
    work = Asked(Slots(2, 50, wait_s=20))
    eves = await work.begun(30)
    joiners = Joiners(EVE)
    shared = asyncio.create_task(work.by(joiners))
    await asyncio.sleep(0)
    joiners.join(BOB)
    eves[0].cancel()  # one slot comes free; 28 of Eve's came before
    assert await asyncio.wait_for(shared, 5) == "done"
    assert sum(one.done() for one in eves) == 1
    assert await work.all_free()


async def test_also_one_that_was_joined_before_it_came_to_wait():
    work = Asked(Slots(2, 50, wait_s=20))
    eves = await work.begun(30)
    joiners = Joiners(EVE)
    joiners.join(BOB)
    shared = asyncio.create_task(work.by(joiners))
    await asyncio.sleep(0)
    eves[0].cancel()
    assert await asyncio.wait_for(shared, 5) == "done"
    assert await work.all_free()


async def test_one_that_loses_its_place_in_one_queue_keeps_the_other():
    work = Asked(Slots(2, 3, wait_s=20))
    eves = await work.begun(4)
    joiners = Joiners(EVE)
    shared = asyncio.create_task(work.by(joiners))
    await asyncio.sleep(0)
    joiners.join(BOB)  # all three places are taken: the newest of Eve's gives way, which is the question's own
    assert not shared.done()
    eves[0].cancel()
    assert await asyncio.wait_for(shared, 5) == "done"
    work.over.set()
    assert await asyncio.gather(*eves[1:]) == ["done"] * 3
    assert await work.all_free()


async def test_a_waiter_in_several_queues_that_leaves_leaves_all_of_them():
    work = Asked(Slots(1, 50, wait_s=0.05))
    holding = await work.begun(1)
    joiners = Joiners(EVE)
    gone, late = asyncio.create_task(work.by(joiners)), asyncio.create_task(work.by(joiners_of_both()))
    await asyncio.sleep(0)
    joiners.join(BOB)
    gone.cancel()
    with pytest.raises(CrowdedError):
        await late
    await asyncio.gather(gone, return_exceptions=True)
    assert work.slots._queue.waiting == 0
    joiners.join(client_network("192.0.2.3"))  # nobody waits for it any more
    assert work.slots._queue.waiting == 0
    work.over.set()
    assert await asyncio.gather(*holding) == ["done"]
    assert await work.all_free()


def joiners_of_both() -> Joiners:
    joiners = Joiners(EVE)
    joiners.join(BOB)
    return joiners


async def test_whatever_networks_join_and_leave_no_slot_is_lost():
    generator = random.Random(7)
    networks = [client_network(f"192.0.2.{number}") for number in range(5)]
    work = Asked(Slots(3, 10, wait_s=0.02))
    for _ in range(200):
        asked = []
        for _ in range(8):
            joiners = Joiners(generator.choice(networks))
            asked.append((joiners, asyncio.create_task(work.by(joiners, next(iter(joiners.networks))))))
        held = await work.begun(generator.randrange(4), generator.choice(networks))
        for joiners, task in asked:
            joiners.join(generator.choice(networks))
            if generator.random() < 0.3:
                task.cancel()
        for task in held:
            task.cancel()
        await asyncio.gather(*held, *(task for _, task in asked), return_exceptions=True)
        assert (work.slots._queue.waiting, work.slots._queue.taken) == (0, 0)
    assert await work.all_free()
