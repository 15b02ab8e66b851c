"""Calls are plain coroutines here, so that what is counted is exact."""

import asyncio
from dataclasses import dataclass, field

import pytest

from gateway.provider.breaker import Breaker, Thresholds
from gateway.provider.errors import (
    ConnectionLostError,
    CrowdedError,
    DeadlineError,
    FailingError,
    NotAskedError,
    OverloadedError,
    ProviderError,
    RejectedError,
    UnreachableError,
    UntrustedError,
    UnusableResponseError,
)
from gateway.provider.introspection_guard import IntrospectionGuard

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


def asking(
    given: Breaker | None = None,
    probe: Scripted | None = None,
    *,
    at_a_time: int = 8,
    waiting: int = 8,
    timeout_s: float = 20.0,
    wait_max_s: float = 20.0,
    cleared_s: float = 60.0,
) -> IntrospectionGuard:
    """Without a `probe` the gateway's own question is never answered."""
    return IntrospectionGuard(
        max_concurrency=at_a_time,
        max_waiting=waiting,
        timeout_s=timeout_s,
        breaker=given,
        probe=probe or Scripted([UnreachableError("no route to it")]),
        wait_max_s=wait_max_s,
        cleared_s=cleared_s,
    )


async def failing(one: IntrospectionGuard, error: ProviderError, about: str = "", address: str = "") -> ProviderError:
    """Asks once, of a provider that fails with `error`; what came of it."""
    with pytest.raises(ProviderError) as raised:
        await one.run(Scripted([error]), about, address)
    return raised.value


@pytest.mark.parametrize("error", [UnreachableError("x"), ConnectionLostError("x"), OverloadedError("x")])
async def test_what_may_pass_is_tried_once_more_a_little_later(error):
    call = Scripted([error, GOOD])
    assert await asking(breaker()).run(call) == GOOD
    assert call.calls == 2
    assert 0.04 < call.times[1] - call.times[0] < 10


async def test_and_no_more_than_once():
    call = Scripted([UnreachableError("x")])
    with pytest.raises(UnreachableError):
        await asking(breaker()).run(call)
    assert call.calls == 2


@pytest.mark.parametrize(
    "error",
    [
        UntrustedError("x"),
        DeadlineError("x"),
        UnusableResponseError("x"),
        FailingError("x"),
        RejectedError("x"),
        OverloadedError("it said when", 3.0),
        ProviderError("x"),
    ],
)
async def test_a_lasting_failure_is_not_retried(error):
    call = Scripted([error, GOOD])
    with pytest.raises(ProviderError) as raised:
        await asking(breaker()).run(call)
    assert raised.value is error
    assert call.calls == 1


async def test_nor_is_what_the_provider_says_when_to_try_with_or_without_a_breaker():
    call = Scripted([OverloadedError("it said when", 3.0), GOOD])
    with pytest.raises(OverloadedError):
        await asking(None).run(call)
    assert call.calls == 1


async def test_a_failure_that_opens_the_breaker_is_told_without_a_pause(monkeypatch):
    monkeypatch.setattr("random.uniform", lambda *_: 30.0)
    async with asyncio.timeout(15):
        with pytest.raises(UnreachableError):
            await asking(breaker(failures=1), timeout_s=100).run(Scripted([UnreachableError("x")]))


async def test_nor_is_anything_when_the_deadline_is_near():
    call = Scripted([UnreachableError("x"), GOOD])
    with pytest.raises(UnreachableError):
        await asking(breaker(), timeout_s=0.04).run(call)
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
        await asking(breaker(), timeout_s=0.5).run(call)
    assert asyncio.get_running_loop().time() - started < 10
    assert len(attempts) == 2


async def test_when_calls_and_its_own_question_fail_none_is_made():
    given, probe = breaker(failures=5), Scripted([UnreachableError("the probe found no route")])
    one = asking(given, probe)
    call = Scripted([UnreachableError("no route to it")])
    for _ in range(20):
        with pytest.raises(ProviderError):
            await one.run(call)
    assert (call.calls, probe.calls) == (5, 1)
    assert given.state == "open"
    with pytest.raises(NotAskedError) as raised:
        await one.run(call)
    assert "the probe found no route" in raised.value.reason
    assert 50 < raised.value.retry_after_s <= 60


ABOUT_A_TOKEN = [
    FailingError("status 403"),
    FailingError("status 429", 60.0),
    FailingError("status 500"),
    OverloadedError("status 503", 60.0),
    UnusableResponseError("no JSON"),
    ConnectionLostError("reset"),
    DeadlineError("too slow"),
]


@pytest.mark.parametrize("error", ABOUT_A_TOKEN)
async def test_whatever_is_said_of_tokens_a_provider_that_answers_the_gateway_stays_in_use(error, monkeypatch):
    monkeypatch.setattr("random.uniform", lambda *_: 0.0)
    given, probe = breaker(failures=5), Scripted([GOOD])
    one = asking(given, probe)
    for number in range(30):
        assert await failing(one, error, f"eve-{number}", "192.0.2.1") is error
        assert await one.run(Scripted([GOOD]), "bob", "192.0.2.2") == GOOD
    for number in range(30):
        assert await failing(one, error, f"mallory-{number}", "192.0.2.1") is error
    assert given.state == "closed"
    assert probe.calls == 1  # for at most one an interval


@pytest.mark.parametrize("error", ABOUT_A_TOKEN)
async def test_a_sound_probe_blames_the_token_and_its_sender(error, monkeypatch):
    monkeypatch.setattr("random.uniform", lambda *_: 0.0)
    one = asking(breaker(failures=2), Scripted([GOOD]), cleared_s=0)
    assert not one.is_to_blame("eve-1", "192.0.2.1")
    await failing(one, error, "eve-1", "192.0.2.1")
    await failing(one, error, "eve-2", "192.0.2.1")
    assert one.is_to_blame("eve-1", "192.0.2.1")
    assert not one.is_to_blame("eve-1", "192.0.2.2")
    assert not one.is_to_blame("bob", "192.0.2.1")


async def test_a_blamed_sender_does_not_make_the_provider_suspect_again():
    given, probe = breaker(failures=1, interval_s=0.01), Scripted([GOOD])
    one = asking(given, probe, cleared_s=0)
    for _ in range(20):
        await failing(one, FailingError("status 403"), "eve", "192.0.2.1")
        await asyncio.sleep(0.011)
    assert probe.calls == 1
    await failing(one, FailingError("status 403"), "eve", "192.0.2.2")
    assert probe.calls == 2


async def test_a_failure_that_no_token_has_to_do_with_counts_each_time():
    given, probe = breaker(failures=1, interval_s=0.01), Scripted([GOOD])
    one = asking(given, probe, cleared_s=0)
    for _ in range(5):
        await failing(one, UntrustedError("another certificate"), "eve", "192.0.2.1")
        await asyncio.sleep(0.011)
    assert probe.calls == 5
    assert not one.is_to_blame("eve", "192.0.2.1")


async def test_nonsense_about_one_token_counts_once_and_about_many_as_many_times():
    given = breaker(failures=5)
    one = asking(given)

    async def puzzled(about: str, times: int = 1) -> None:
        for _ in range(times):
            await failing(one, UnusableResponseError("no JSON"), about)

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
        await failing(one, FailingError("status 500"), "eve")
    assert given.state == "open"


async def test_a_rejected_call_says_nothing_of_the_provider():
    given, probe = breaker(), Scripted([GOOD])
    one = asking(given, probe)
    for _ in range(20):
        await failing(one, RejectedError("x"))
    assert (given.state, probe.calls) == ("closed", 0)


async def test_a_rejected_probe_shows_that_it_answers():
    given, probe = breaker(failures=1), Scripted([RejectedError("x")])
    await failing(asking(given, probe), FailingError("status 500"))
    assert (given.state, probe.calls) == ("closed", 1)


async def test_retry_after_brings_a_probe_and_then_an_open_breaker():
    given, probe = breaker(), Scripted([OverloadedError("x", 70.0)])
    one = asking(given, probe)
    await failing(one, OverloadedError("x", 7.0))
    error = await failing(one, OverloadedError("x", 7.0))
    assert isinstance(error, NotAskedError)
    assert 59 < error.retry_after_s <= 60  # what it said to the probe, up to a bound
    assert probe.calls == 1


async def test_while_its_own_question_is_under_way_calls_go_on():
    given, probe = breaker(failures=1), Scripted([GOOD], gate=asyncio.Event())
    one = asking(given, probe)
    first = asyncio.create_task(failing(one, FailingError("status 500"), "eve"))
    await asyncio.sleep(0.01)
    for number in range(5):
        assert await one.run(Scripted([GOOD])) == GOOD
        await failing(one, FailingError("status 500"), f"eve-{number}")
    assert not first.done()  # it tells how the provider is by the time it is answered
    assert probe.gate is not None
    probe.gate.set()
    await first
    assert probe.calls == 1


async def test_a_probe_that_takes_too_long_convicts():
    given, probe = breaker(failures=1), Scripted([GOOD], gate=asyncio.Event())
    await failing(asking(given, probe, timeout_s=0.05), FailingError("status 500"))
    assert given.state == "open"


async def test_no_callers_token_is_a_probe():
    given, probe = breaker(failures=1, interval_s=0.1), Scripted([FailingError("status 500")])
    one = asking(given, probe)
    await failing(one, FailingError("status 500"))
    call = Scripted([GOOD])
    for expected in (2, 3):
        await asyncio.sleep(0.15)
        for _ in range(3):
            with pytest.raises(NotAskedError):
                await one.run(call)
        assert (call.calls, probe.calls) == (0, expected)
    probe.script = [GOOD]
    await asyncio.sleep(0.15)
    assert await one.run(call) == GOOD  # whoever made the probe due is served, where it is answered
    assert (given.state, probe.calls) == ("closed", 4)


async def test_while_one_probes_the_others_do_not_wait_for_it():
    given, probe = breaker(failures=1, interval_s=0.1), Scripted([FailingError("status 500")])
    one = asking(given, probe)
    await failing(one, FailingError("status 500"))
    await asyncio.sleep(0.15)
    probe.script, probe.gate = [GOOD], asyncio.Event()
    probing = asyncio.create_task(one.run(Scripted([GOOD])))
    await asyncio.sleep(0)
    for _ in range(5):
        with pytest.raises(NotAskedError):
            await one.run(Scripted([GOOD]))
    probe.gate.set()
    assert await probing == GOOD


async def test_a_caller_that_leaves_does_not_end_the_probe():
    given, probe = breaker(failures=1, interval_s=0.1), Scripted([FailingError("status 500")])
    one = asking(given, probe)
    await failing(one, FailingError("status 500"))
    await asyncio.sleep(0.15)
    probe.script, probe.gate = [GOOD], asyncio.Event()
    probing = asyncio.create_task(one.run(Scripted([GOOD])))
    await asyncio.sleep(0.01)
    assert given.state == "half_open"
    probing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probing
    probe.gate.set()
    await asyncio.sleep(0.01)
    assert given.state == "closed"
    assert await one.run(Scripted([GOOD])) == GOOD


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_probe_that_is_given_up_tells_nothing_and_cancels_no_caller(is_open):
    given, probe = breaker(failures=1, interval_s=0.1), Scripted([FailingError("status 500")])
    one = asking(given, probe)
    if is_open:
        await failing(one, FailingError("status 500"))
        await asyncio.sleep(0.15)
    probe.gate = asyncio.Event()
    asked = asyncio.create_task(failing(one, FailingError("status 500")))
    await asyncio.sleep(0.01)
    await one.close()
    assert isinstance(await asked, NotAskedError) == is_open
    assert given.state == ("open" if is_open else "closed")
    probe.script, probe.gate = [GOOD], None
    await asyncio.sleep(0.15)
    assert await one.run(Scripted([GOOD])) == GOOD


async def test_after_an_outage_calls_begin_one_at_a_time_and_grow_in_number():
    given, probe = breaker(failures=1, interval_s=0.1), Scripted([FailingError("status 500")])
    one = asking(given, probe, at_a_time=16, waiting=200)
    await failing(one, FailingError("status 500"))
    await asyncio.sleep(0.15)
    probe.script = [GOOD]
    assert await one.run(Scripted([GOOD])) == GOOD
    under_way: list[int] = []

    async def call() -> object:
        under_way.append(1)
        began, count = len(rounds), len(under_way)
        assert count <= 16
        await rounds_over[began].wait()
        under_way.pop()
        return GOOD

    rounds: list[int] = []
    rounds_over = [asyncio.Event() for _ in range(20)]
    asked = [asyncio.create_task(one.run(call, f"user-{number}")) for number in range(100)]
    while not all(task.done() for task in asked):
        await asyncio.sleep(0.01)
        now = len(under_way)
        over = rounds_over[len(rounds)]
        rounds.append(now)
        over.set()
    assert rounds[:5] == [2, 4, 8, 16, 16]


async def test_a_failure_on_the_way_is_looked_into_at_once():
    given, probe = breaker(failures=5, interval_s=0.1), Scripted([FailingError("status 500")])
    one = asking(given, probe)
    for _ in range(5):
        await failing(one, FailingError("status 500"))
    probe.script = [GOOD]
    await asyncio.sleep(0.15)
    assert await one.run(Scripted([GOOD])) == GOOD
    probe.script = [FailingError("status 500")]
    await asyncio.sleep(0.15)
    await failing(one, FailingError("status 500"), "bob")
    assert given.state == "open"


async def test_so_many_at_a_time_so_many_waiting_and_the_rest_is_turned_away_at_once():
    one = asking(at_a_time=3, waiting=4)
    call = Scripted([GOOD], gate=asyncio.Event())
    asked = [asyncio.create_task(one.run(call)) for _ in range(7)]
    await asyncio.sleep(0.01)
    for _ in range(3):
        with pytest.raises(NotAskedError) as raised:
            await one.run(call)
        assert raised.value.retry_after_s >= 1
    assert call.gate is not None
    call.gate.set()
    assert await asyncio.gather(*asked) == [GOOD] * 7
    assert (call.calls, call.under_way_max) == (7, 3)
    assert await one.run(call) == GOOD


async def test_none_waits_where_none_may():
    one = asking(at_a_time=1, waiting=0)
    call = Scripted([GOOD], gate=asyncio.Event())
    first = asyncio.create_task(one.run(call))
    await asyncio.sleep(0)
    with pytest.raises(NotAskedError):
        await one.run(call)
    assert call.gate is not None
    call.gate.set()
    assert await first == GOOD


async def test_time_in_our_own_queue_is_not_a_failure_of_the_provider():
    given, probe = breaker(failures=1), Scripted([GOOD])
    one = asking(given, probe, at_a_time=1, wait_max_s=0.05)
    call = Scripted([GOOD], gate=asyncio.Event())
    first = asyncio.create_task(one.run(call))
    await asyncio.sleep(0)
    assert isinstance(await failing(one, FailingError("x")), CrowdedError)
    assert (given.state, probe.calls) == ("closed", 0)
    assert call.gate is not None
    call.gate.set()
    assert await first == GOOD


async def test_a_call_has_its_whole_timeout_however_long_it_waited():
    async def call() -> object:
        await asyncio.sleep(0.25)
        return GOOD

    given = breaker(failures=1)
    one = asking(given, at_a_time=1, timeout_s=0.4)
    assert one.max_duration_s == 0.4
    asked = [asyncio.create_task(one.run(call, f"user-{number}")) for number in range(5)]
    await asyncio.sleep(0.01)
    assert one.max_duration_s == 20.4
    assert await asyncio.gather(*asked) == [GOOD] * 5
    assert given.state == "closed"


async def test_a_retry_that_ran_out_of_time_is_not_a_failure():
    async def call() -> object:
        attempts.append(1)
        if len(attempts) % 2:
            raise ConnectionLostError("x")
        await asyncio.sleep(60)
        return GOOD

    attempts: list[int] = []
    given = breaker(failures=2)
    one = asking(given, timeout_s=0.3)
    with pytest.raises(DeadlineError):
        await one.run(call)
    assert given.state == "closed"


async def test_waiters_fail_at_once_when_the_breaker_opens():
    one = asking(breaker(failures=1), at_a_time=2, waiting=50)
    slow, call = Scripted([GOOD], gate=asyncio.Event()), Scripted([UnusableResponseError("x")], gate=asyncio.Event())
    first = asyncio.create_task(one.run(slow))
    asked = [asyncio.create_task(one.run(call)) for _ in range(30)]
    await asyncio.sleep(0.01)
    assert call.gate is not None
    assert slow.gate is not None
    call.gate.set()
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in outcomes] == [UnusableResponseError] + [NotAskedError] * 29
    assert call.calls == 1
    slow.gate.set()
    assert await first == GOOD


async def test_a_caller_that_leaves_while_it_waits_leaves_its_place():
    one = asking(at_a_time=1, waiting=1)
    call = Scripted([GOOD], gate=asyncio.Event())
    first = asyncio.create_task(one.run(call))
    await asyncio.sleep(0)
    second = asyncio.create_task(one.run(call))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    third = asyncio.create_task(one.run(call))
    await asyncio.sleep(0)
    assert call.gate is not None
    call.gate.set()
    assert await asyncio.gather(first, third) == [GOOD, GOOD]


async def test_without_a_breaker_each_question_is_a_call():
    call = Scripted([UnusableResponseError("x", 60.0)])
    one = asking(None)
    for _ in range(10):
        with pytest.raises(UnusableResponseError):
            await one.run(call)
    assert call.calls == 10
