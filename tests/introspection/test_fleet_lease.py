"""Acquiring a lease or waiting for it, on leases that answer by script and a clock that is set by hand."""

import asyncio
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from support.introspecting import Clock, CountingMeter, ScriptedIntrospector

from gateway.authn.facts import Facts
from gateway.authn.question import FactsLookup
from gateway.introspection.fleet_lease import FleetLease, seen_under_way
from gateway.introspection.inflight import FlightResult, LeaseGrant
from gateway.introspection.lease_port import LeaseState
from gateway.introspection.ports import Absent, Recalled
from gateway.introspection.tag_purge import TagPurge

KEY = b"key"
OURS = b"ours"
THEIRS = b"theirs"
FACTS = Facts({"sub": "alice"}, 0.0)
THERE = Recalled(FACTS, 1.0, 50.0, THEIRS)


@dataclass
class ScriptedLeases:
    """`states` are what acquiring returns, one after the other, the last one for ever; `OURS` stands for who asks."""

    states: list[LeaseState | BaseException | None]
    clock: Clock
    looks: list[Recalled | Absent] = field(default_factory=list)  # what the shared tier has, in between
    timeout_s: float = 0.05
    taken: list[float] = field(default_factory=list)
    given_back: list[bytes] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    bells: int = 0

    async def acquire(self, _key: bytes, _realm: str, fence: bytes, length_s: float) -> LeaseState | None:
        self.taken.append(length_s)
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, BaseException):
            raise state
        if state is not None and state.holder == OURS:
            return LeaseState(fence, state.left_s, state.recalled)
        return state

    async def settle(self, key: bytes, recalled: Recalled, log_position: bytes, fence: bytes) -> bool | None:
        raise AssertionError("a lease settles nothing")

    async def release(self, _key: bytes, fence: bytes) -> None:
        self.given_back.append(fence)

    @contextmanager
    def signal(self, _key: bytes) -> Iterator["ScriptedLeases"]:
        self.bells += 1
        yield self
        self.bells -= 1

    async def wait(self, at_most_s: float) -> None:
        assert self.bells == 1
        self.waits.append(at_most_s)
        self.clock.advance(at_most_s)

    def log_position(self) -> bytes:
        return b""

    async def get(self, _key: bytes, _realm: str) -> Recalled | Absent:
        return self.looks.pop(0) if self.looks else Absent.MISS

    async def put(self, key: bytes, recalled: Recalled, log_position: bytes) -> None:
        raise AssertionError("a lease puts nothing")

    def hide(self, purge: TagPurge) -> None:
        raise AssertionError("a lease forgets nothing")


def read(recalled: Recalled | Absent, seen: Mapping[bytes, float]) -> FlightResult | None:
    if isinstance(recalled, Absent):
        return None
    return FlightResult(FactsLookup(recalled.result, "redis"), under_way_s=seen_under_way(recalled, seen))


def fleet_lease_by(leases: ScriptedLeases, meter: CountingMeter) -> FleetLease:
    return FleetLease(leases, leases, meter, leases.clock)


async def acquire(leases: ScriptedLeases, meter: CountingMeter) -> FlightResult | LeaseGrant:
    return await fleet_lease_by(leases, meter).acquire_or_wait(
        KEY, ScriptedIntrospector(Clock(), max_duration_s=2.0), read
    )


def taken_by(holder: bytes, recalled: Recalled | Absent = Absent.MISS, left_s: float = 10.0) -> LeaseState:
    return LeaseState(holder, left_s, recalled)


async def test_a_free_lease_is_held_for_a_call_and_what_goes_with_it() -> None:
    leases, meter = ScriptedLeases([taken_by(OURS)], Clock(1000.0)), CountingMeter()
    grant = await acquire(leases, meter)
    assert isinstance(grant, LeaseGrant)
    assert grant.held
    assert leases.taken == [pytest.approx(2.0 + 2 * 0.05 + 0.5)]
    assert (leases.given_back, meter.leases) == ([], {"held": 1})


async def test_each_lease_has_a_fence_of_its_own() -> None:
    grants = [await acquire(ScriptedLeases([taken_by(OURS)], Clock()), CountingMeter()) for _ in range(10)]
    assert len({grant.fence for grant in grants if isinstance(grant, LeaseGrant)}) == 10


async def test_what_was_settled_between_looking_and_taking_is_used_and_the_lease_given_back() -> None:
    leases, meter = ScriptedLeases([taken_by(OURS, THERE)], Clock()), CountingMeter()
    outcome = await acquire(leases, meter)
    assert isinstance(outcome, FlightResult)
    assert outcome.found.result is FACTS
    assert len(leases.given_back) == 1
    assert meter.leases == {"waited": 1}


async def test_who_waits_takes_what_the_other_learnt_and_knows_when_it_was_still_asking() -> None:
    leases = ScriptedLeases([taken_by(THEIRS)], Clock(1000.0), looks=[Absent.MISS, Absent.ERROR, THERE])
    meter = CountingMeter()
    outcome = await acquire(leases, meter)
    assert isinstance(outcome, FlightResult)
    assert len(leases.taken) == 3
    assert outcome.under_way_s == 1000.0 + sum(leases.waits[:2])
    assert (leases.given_back, meter.leases, leases.bells) == ([], {"waited": 1}, 0)


async def test_what_another_call_brought_than_the_one_that_was_seen_was_not_seen_under_way() -> None:
    leases = ScriptedLeases([taken_by(b"a third")], Clock(1000.0), looks=[THERE])
    outcome = await acquire(leases, CountingMeter())
    assert isinstance(outcome, FlightResult)
    assert outcome.under_way_s == -math.inf
    assert seen_under_way(Recalled(FACTS, 0.0, 1.0), {b"": 1000.0}) == -math.inf


async def test_nobody_waits_longer_than_the_lease_has_left() -> None:
    leases = ScriptedLeases([taken_by(THEIRS, left_s=0.07), taken_by(OURS)], Clock())
    assert isinstance(await acquire(leases, CountingMeter()), LeaseGrant)
    assert leases.waits == [0.07]


async def test_where_it_cannot_be_said_this_process_asks_without_holding_anything() -> None:
    for before in ([], [taken_by(THEIRS)]):
        leases, meter = ScriptedLeases([*before, None], Clock()), CountingMeter()
        grant = await acquire(leases, meter)
        assert isinstance(grant, LeaseGrant)
        assert not grant.held
        assert meter.leases == {"unavailable": 1}


async def test_waiting_for_others_ends_after_two_leases() -> None:
    leases, meter = ScriptedLeases([taken_by(THEIRS)], Clock(1000.0)), CountingMeter()
    grant = await acquire(leases, meter)
    assert isinstance(grant, LeaseGrant)
    assert not grant.held
    assert 2 * 2.6 <= leases.clock() - 1000.0 < 2 * 2.6 + 0.5
    assert meter.leases == {"unavailable": 1}


async def test_what_was_cancelled_in_the_taking_is_given_back() -> None:
    leases = ScriptedLeases([asyncio.CancelledError()], Clock())
    with pytest.raises(asyncio.CancelledError):
        await acquire(leases, CountingMeter())
    assert len(leases.given_back) == 1


class Lying(ScriptedLeases):
    """Wakes who waits at once, whatever for."""

    async def wait(self, at_most_s: float) -> None:
        self.waits.append(at_most_s)


@pytest.mark.parametrize("left_s", [-1.0, 0.0, 10.0])
async def test_whoever_waits_looks_now_and_then_whatever_the_shared_tier_says(left_s: float) -> None:
    leases = Lying([taken_by(THEIRS, left_s=left_s)] * 20 + [taken_by(OURS)], Clock())
    began_s = time.monotonic()
    fleet_lease = FleetLease(leases, leases, CountingMeter(), time.monotonic)
    assert isinstance(
        await fleet_lease.acquire_or_wait(KEY, ScriptedIntrospector(Clock(), max_duration_s=20.0), read), LeaseGrant
    )
    assert time.monotonic() - began_s > 20 * 0.015
