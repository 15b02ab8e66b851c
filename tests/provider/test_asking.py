"""Calls are plain coroutines here, so that what is counted is exact."""

import asyncio
from dataclasses import dataclass, field

import pytest

from gateway.provider.asking import Asking
from gateway.provider.breaker import Breaker, Thresholds
from gateway.provider.errors import (
    ConnectionLostError,
    DeadlineError,
    FailingError,
    NotAskedError,
    OverloadedError,
    ProviderError,
    RejectedError,
    UnreachableError,
    UntrustedError,
    UnusableAnswerError,
)

GOOD = "good"


@dataclass
class Scripted:
    """Raises or returns what is next; the last one for ever."""

    script: list[object]
    calls: int = 0
    gate: asyncio.Event | None = None
    under_way: int = 0
    under_way_max: int = 0
    times: list[float] = field(default_factory=list)

    async def __call__(self) -> object:
        self.calls += 1
        self.times.append(asyncio.get_running_loop().time())
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)
        try:
            if self.gate is not None:
                await self.gate.wait()
            next_ = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            if isinstance(next_, Exception):
                raise next_
            return next_
        finally:
            self.under_way -= 1


def breaker(failures: int = 5, interval_s: float = 60.0) -> Breaker:
    return Breaker(Thresholds(failures, 1.0, 10, 1_000, interval_s))


def asking(given: Breaker | None = None, *, at_a_time: int = 8, waiting: int = 8) -> Asking:
    return Asking(max_concurrency=at_a_time, max_waiting=waiting, breaker=given)


def within(seconds: float = 20.0) -> float:
    return asyncio.get_running_loop().time() + seconds


@pytest.mark.parametrize("error", [UnreachableError("x"), ConnectionLostError("x"), OverloadedError("x")])
async def test_what_may_pass_is_tried_once_more_a_little_later(error):
    call = Scripted([error, GOOD])
    assert await asking(breaker()).ask(call, within()) == GOOD
    assert call.calls == 2
    assert 0.04 < call.times[1] - call.times[0] < 10


async def test_and_no_more_than_once():
    call = Scripted([UnreachableError("x")])
    with pytest.raises(UnreachableError):
        await asking(breaker()).ask(call, within())
    assert call.calls == 2


@pytest.mark.parametrize(
    "error",
    [
        UntrustedError("x"),
        DeadlineError("x"),
        UnusableAnswerError("x"),
        FailingError("x"),
        RejectedError("x"),
        OverloadedError("it said when", 3.0),
        ProviderError("x"),
    ],
)
async def test_what_will_not_pass_is_not_tried_again(error):
    call = Scripted([error, GOOD])
    with pytest.raises(ProviderError) as raised:
        await asking(breaker()).ask(call, within())
    assert raised.value is error
    assert call.calls == 1


async def test_nor_is_what_the_provider_says_when_to_try_with_or_without_a_breaker():
    call = Scripted([OverloadedError("it said when", 3.0), GOOD])
    with pytest.raises(OverloadedError):
        await asking(None).ask(call, within())
    assert call.calls == 1


async def test_a_failure_that_opens_the_breaker_is_told_without_a_pause(monkeypatch):
    monkeypatch.setattr("random.uniform", lambda *_: 30.0)
    async with asyncio.timeout(15):
        with pytest.raises(UnreachableError):
            await asking(breaker(failures=1)).ask(Scripted([UnreachableError("x")]), within(100))


async def test_nor_is_anything_when_the_deadline_is_near():
    call = Scripted([UnreachableError("x"), GOOD])
    with pytest.raises(UnreachableError):
        await asking(breaker()).ask(call, within(0.04))
    assert call.calls == 1


async def test_the_second_attempt_ends_at_the_deadline_of_the_first():
    async def call() -> object:
        attempts.append(1)
        if len(attempts) == 1:
            raise UnreachableError("x")
        await asyncio.sleep(60)
        return GOOD

    attempts: list[int] = []
    started = asyncio.get_running_loop().time()
    with pytest.raises(DeadlineError):
        await asking(breaker()).ask(call, within(0.5))
    assert asyncio.get_running_loop().time() - started < 10
    assert len(attempts) == 2


async def test_every_failed_call_counts_and_then_none_is_made():
    given = breaker(failures=5)
    one = asking(given)
    call = Scripted([UnreachableError("no route to it")])
    for _ in range(20):
        with pytest.raises(ProviderError):
            await one.ask(call, within())
    assert call.calls == 5
    assert given.state == "open"
    with pytest.raises(NotAskedError) as raised:
        await one.ask(call, within())
    assert "no route to it" in raised.value.reason
    assert 50 < raised.value.retry_after_s <= 60


async def test_nonsense_about_one_token_counts_once_and_about_many_as_many_times():
    given = breaker(failures=5)
    one = asking(given)

    async def puzzled(about: str, times: int = 1) -> None:
        for _ in range(times):
            with pytest.raises(UnusableAnswerError):
                await one.ask(Scripted([UnusableAnswerError("no JSON")]), within(), about)

    await puzzled("eve", times=20)
    assert given.state == "closed"
    for number in range(3):
        await puzzled(f"eve {number}", times=3)
    assert given.state == "closed"
    await puzzled("eve 3")
    assert given.state == "open"


async def test_what_it_says_of_itself_counts_each_time():
    given = breaker(failures=5)
    one = asking(given)
    for _ in range(5):
        with pytest.raises(FailingError):
            await one.ask(Scripted([FailingError("status 500")]), within(), "eve")
    assert given.state == "open"


async def test_a_rejected_call_says_nothing_of_the_provider():
    given = breaker()
    one = asking(given)
    for _ in range(20):
        with pytest.raises(RejectedError):
            await one.ask(Scripted([RejectedError("x")]), within())
    assert given.state == "closed"


async def test_a_provider_that_says_when_is_not_called_before():
    one = asking(breaker())
    call = Scripted([OverloadedError("x", 7.0), GOOD])
    with pytest.raises(OverloadedError):
        await one.ask(call, within())
    with pytest.raises(NotAskedError) as raised:
        await one.ask(call, within())
    assert 6 < raised.value.retry_after_s <= 7
    assert call.calls == 1


async def test_a_probe_is_one_call():
    given = breaker(failures=1, interval_s=0.2)
    one = asking(given)
    call = Scripted([UnreachableError("x")])
    with pytest.raises(ProviderError):
        await one.ask(call, within())
    assert call.calls == 1
    for expected in (2, 3):
        await asyncio.sleep(0.25)
        with pytest.raises(UnreachableError):
            await one.ask(call, within())
        with pytest.raises(NotAskedError):
            await one.ask(call, within())
        assert call.calls == expected
    await asyncio.sleep(0.25)
    assert await one.ask(Scripted([GOOD]), within()) == GOOD
    assert given.state == "closed"


async def test_while_one_probes_the_others_do_not_wait_for_it():
    given = breaker(failures=1, interval_s=0.1)
    one = asking(given)
    with pytest.raises(ProviderError):
        await one.ask(Scripted([UnusableAnswerError("x")]), within())
    await asyncio.sleep(0.15)
    call = Scripted([GOOD], gate=asyncio.Event())
    probing = asyncio.create_task(one.ask(call, within()))
    await asyncio.sleep(0)
    for _ in range(5):
        with pytest.raises(NotAskedError):
            await one.ask(call, within())
    assert call.gate is not None
    call.gate.set()
    assert await probing == GOOD
    assert call.calls == 1


@pytest.mark.parametrize("how", ["cancelled", "broken"])
async def test_a_probe_that_tells_nothing_does_not_lock_the_breaker(how):
    given = breaker(failures=1, interval_s=0.1)
    one = asking(given)
    with pytest.raises(ProviderError):
        await one.ask(Scripted([UnusableAnswerError("x")]), within())
    await asyncio.sleep(0.15)
    if how == "cancelled":
        probing = asyncio.create_task(one.ask(Scripted([GOOD], gate=asyncio.Event()), within()))
        await asyncio.sleep(0.01)
        assert given.state == "half_open"
        probing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probing
    else:
        with pytest.raises(RuntimeError):
            await one.ask(Scripted([RuntimeError("a defect")]), within())
    assert given.state == "open"
    await asyncio.sleep(0.15)
    assert await one.ask(Scripted([GOOD]), within()) == GOOD


async def test_so_many_at_a_time_so_many_waiting_and_the_rest_is_turned_away_at_once():
    one = asking(at_a_time=3, waiting=4)
    call = Scripted([GOOD], gate=asyncio.Event())
    asked = [asyncio.create_task(one.ask(call, within())) for _ in range(7)]
    await asyncio.sleep(0.01)
    for _ in range(3):
        with pytest.raises(NotAskedError) as raised:
            await one.ask(call, within())
        assert raised.value.retry_after_s >= 1
    assert call.gate is not None
    call.gate.set()
    assert await asyncio.gather(*asked) == [GOOD] * 7
    assert (call.calls, call.under_way_max) == (7, 3)
    assert await one.ask(call, within()) == GOOD


async def test_none_waits_where_none_may():
    one = asking(at_a_time=1, waiting=0)
    call = Scripted([GOOD], gate=asyncio.Event())
    first = asyncio.create_task(one.ask(call, within()))
    await asyncio.sleep(0)
    with pytest.raises(NotAskedError):
        await one.ask(call, within())
    assert call.gate is not None
    call.gate.set()
    assert await first == GOOD


async def test_the_wait_is_part_of_the_deadline_and_no_failure_of_the_provider():
    given = breaker(failures=1)
    one = asking(given, at_a_time=1)
    call = Scripted([GOOD], gate=asyncio.Event())
    first = asyncio.create_task(one.ask(call, within()))
    await asyncio.sleep(0)
    with pytest.raises(NotAskedError):
        await one.ask(call, within(0.05))
    assert given.state == "closed"
    assert call.gate is not None
    call.gate.set()
    assert await first == GOOD


async def test_those_who_wait_when_it_opens_make_no_call():
    given = breaker(failures=1)
    one = asking(given, at_a_time=1, waiting=50)
    call = Scripted([UnusableAnswerError("x")], gate=asyncio.Event())
    asked = [asyncio.create_task(one.ask(call, within())) for _ in range(30)]
    await asyncio.sleep(0.01)
    assert call.gate is not None
    call.gate.set()
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in outcomes] == [UnusableAnswerError] + [NotAskedError] * 29
    assert call.calls == 1


async def test_a_caller_that_leaves_while_it_waits_leaves_its_place():
    one = asking(at_a_time=1, waiting=1)
    call = Scripted([GOOD], gate=asyncio.Event())
    first = asyncio.create_task(one.ask(call, within()))
    await asyncio.sleep(0)
    second = asyncio.create_task(one.ask(call, within()))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    third = asyncio.create_task(one.ask(call, within()))
    await asyncio.sleep(0)
    assert call.gate is not None
    call.gate.set()
    assert await asyncio.gather(first, third) == [GOOD, GOOD]


async def test_without_a_breaker_each_question_is_a_call():
    call = Scripted([UnusableAnswerError("x", 60.0)])
    one = asking(None)
    for _ in range(10):
        with pytest.raises(UnusableAnswerError):
            await one.ask(call, within())
    assert call.calls == 10
