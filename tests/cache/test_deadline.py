"""A deadline on loops that come late: asyncio's looks at the sockets before its timers, uvloop after them."""

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine

import pytest
import uvloop
from support.redis_server import RedisServer

from gateway.cache.key import HmacKeys
from gateway.cache.redis import RedisTier
from gateway.cache.within import within
from gateway.config.redis_url import parse_redis_url
from gateway.introspection.ports import Absent

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
BRIEF_S = 0.05
LATE_S = 0.2

Run = Callable[[Coroutine[None, None, None]], None]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    def on_loop(main: Coroutine[None, None, None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(main)

    return on_loop


async def _never() -> None:
    await asyncio.Event().wait()


def test_what_does_not_come_is_given_up(run: Run) -> None:
    async def main() -> None:
        began_s = time.monotonic()
        with pytest.raises(TimeoutError):
            async with within(BRIEF_S):
                await _never()
        assert BRIEF_S * 0.9 < time.monotonic() - began_s < 1

    run(main())


def test_what_came_while_the_loop_was_late_is_taken(run: Run) -> None:
    async def main() -> None:
        here, there = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=here)
        asyncio.get_running_loop().call_soon(_late_with, lambda: there.sendall(b"an answer\n"))
        async with within(BRIEF_S):
            assert await reader.readline() == b"an answer\n"
        writer.close()
        there.close()

    run(main())


def test_what_went_out_late_has_its_time(run: Run) -> None:
    async def main() -> None:
        answered = asyncio.Event()
        asyncio.get_running_loop().call_soon(_late_with, lambda: None)
        asyncio.get_running_loop().call_later(LATE_S + BRIEF_S / 2, answered.set)
        async with within(BRIEF_S):
            await answered.wait()

    run(main())


def test_no_lateness_makes_it_more_than_twice_as_long(run: Run) -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(_late_with, lambda: None, 1.0)
        began_s = time.monotonic()
        with pytest.raises(TimeoutError):
            async with within(BRIEF_S):
                await _never()
        assert time.monotonic() - began_s < 1.5

    run(main())


def test_a_caller_that_leaves_is_not_told_of_a_deadline(run: Run) -> None:
    async def main() -> None:
        async def wait() -> None:
            async with within(BRIEF_S):
                await _never()

        task = asyncio.get_running_loop().create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(2 * BRIEF_S)  # nothing is left that could go off

    run(main())


def test_a_redis_that_answered_a_late_process_goes_on_being_used(run: Run, redis_server: RedisServer) -> None:
    async def main() -> None:
        tier = RedisTier(
            parse_redis_url(redis_server.url),
            HmacKeys(b"secret"),
            timeout_s=BRIEF_S,
            life_max_s=60,
            clock=time.time,
            monotonic=time.monotonic,
        )
        await tier.start(lambda _: None)
        try:
            for _ in range(5):
                asking = asyncio.ensure_future(tier.get(b"k" * 32, "realm"))
                await asyncio.sleep(0)  # on a connection that is there already it goes out at once
                _late_with(lambda: None)
                assert await asking is Absent.MISS
                assert tier.healthy
        finally:
            await tier.close()

    run(main())


def _late_with(work: Callable[[], object], late_s: float = LATE_S) -> None:
    work()
    time.sleep(late_s)
