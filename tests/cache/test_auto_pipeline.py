"""Against a server that plays Redis and does with each command what the test wants."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from support.uncollected import ours, uncollected

from gateway.cache import auto_pipeline
from gateway.cache.auto_pipeline import AutoPipeline, NotSentError
from gateway.cache.reply_queue import Heard
from gateway.cache.resp import Reply, packed

TIMEOUT_S = 0.3


class Server:
    """`reply` gets each command's argument and says what to send for it; what came in one read is in `reads`."""

    def __init__(self) -> None:
        self.reads: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.reply: Callable[[bytes], bytes] = lambda name: b"$%d\r\n%b\r\n" % (len(name), name)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while data := await reader.read(2**16):
            self.reads.append(data)
            for command in data.split(b"*2\r\n")[1:]:
                writer.write(self.reply(command.split(b"\r\n")[3]))
        writer.close()

    async def connect(self) -> asyncio.StreamWriter:
        return (await asyncio.open_connection("127.0.0.1", self.port))[1]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    one = Server()
    listener = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = listener.sockets[0].getsockname()[1]
    yield one
    listener.close()


@asynccontextmanager
async def pipeline_to(
    connect: Callable[[], Awaitable[asyncio.StreamWriter]], timeout_s: float = TIMEOUT_S
) -> AsyncIterator[AutoPipeline]:
    made = AutoPipeline(connect, timeout_s=timeout_s, bulk_bytes_max=100)
    yield made
    await made.close()


def ask(pipeline: AutoPipeline, name: str) -> asyncio.Future[list[Reply] | Exception]:
    heard: asyncio.Future[list[Reply] | Exception] = asyncio.get_running_loop().create_future()
    hear: Heard = lambda outcome: None if heard.done() else heard.set_result(outcome)  # noqa: E731
    pipeline.ask(packed(b"GET", name.encode()), 1, hear)
    return heard


async def test_commands_of_one_iteration_of_the_loop_are_one_write(server: Server) -> None:
    async with pipeline_to(server.connect, timeout_s=10) as pipeline:
        await pipeline.warm_up()
        for turn in range(3):
            names = [f"{turn}-{number}" for number in range(32)]
            assert await asyncio.gather(*(ask(pipeline, name) for name in names)) == [[name.encode()] for name in names]
            assert len(server.reads) == turn + 1
    assert server.connections == 1


async def test_a_batch_that_is_over_needs_no_collector(server: Server) -> None:
    async with pipeline_to(server.connect, timeout_s=10) as pipeline:
        await pipeline.warm_up()
        with uncollected() as left:
            for _ in range(10):
                await asyncio.gather(ask(pipeline, "one"), ask(pipeline, "two"))
        assert ours(left) == []


async def test_a_batch_does_not_wait_for_the_one_before(server: Server) -> None:
    held = [b"first"]
    server.reply = lambda name: b"" if name in held else b":1\r\n:2\r\n"
    async with pipeline_to(server.connect, timeout_s=10) as pipeline:
        first = ask(pipeline, "first")
        await asyncio.sleep(0.05)
        assert not first.done()
        second = ask(pipeline, "second")
        assert await first == [1]
        assert await second == [2]


async def test_those_who_get_no_reply_in_time_harm_nobody_else(server: Server) -> None:
    server.reply = lambda name: b"" if name.startswith(b"slow") else b":1\r\n"
    async with pipeline_to(server.connect) as pipeline:
        await pipeline.warm_up()
        began_s = time.monotonic()
        good = [ask(pipeline, f"good{number}") for number in range(5)]
        slow = [ask(pipeline, f"slow{number}") for number in range(5)]
        assert await asyncio.gather(*good) == [[1]] * 5
        assert time.monotonic() - began_s < TIMEOUT_S
        heard = await asyncio.gather(*slow)
        assert {type(each) for each in heard} == {TimeoutError}
        assert time.monotonic() - began_s < 3 * TIMEOUT_S
        # On a connection where replies are missing nobody could tell whose the next one is.
        assert await ask(pipeline, "good") == [1]
        assert server.connections == 2


async def test_a_batch_that_is_late_ends_no_other_one_before_its_time(server: Server) -> None:
    server.reply = lambda name: b":1\r\n" if name == b"third" else b""
    async with pipeline_to(server.connect) as pipeline:
        await pipeline.warm_up()
        first = ask(pipeline, "lost")
        await asyncio.sleep(TIMEOUT_S * 0.8)
        second = ask(pipeline, "second")
        assert isinstance(await first, TimeoutError)
        assert not second.done()
        assert await ask(pipeline, "third") == [1]  # on a new connection
        assert server.connections == 2
        assert len(pipeline._retired) == 1  # for the second one
        assert isinstance(await second, TimeoutError)
        assert not pipeline._retired


async def test_whoever_leaves_takes_nothing_from_the_others(server: Server) -> None:
    async with pipeline_to(server.connect, timeout_s=10) as pipeline:
        asked = [ask(pipeline, str(number)) for number in range(20)]
        for each in asked[::2]:
            each.cancel()
        assert await asyncio.gather(*asked[1::2]) == [[str(number).encode()] for number in range(1, 20, 2)]


@pytest.mark.parametrize(
    "lie", [b"$101\r\n", b"*2147483647\r\n", b"HTTP/1.1 400 no\r\n\r\n", b":1\r\n" * 50, b"$3\r\nabcd\r\n"]
)
async def test_a_server_that_lies_fails_the_batch_and_the_next_one_has_another_connection(
    server: Server, lie: bytes
) -> None:
    async with pipeline_to(server.connect, timeout_s=10) as pipeline:
        sound = server.reply
        server.reply = lambda _: lie
        heard = await asyncio.gather(*(ask(pipeline, str(number)) for number in range(3)))
        assert all(isinstance(each, Exception) or each == [1] for each in heard)
        server.reply = sound
        await asyncio.sleep(0.05)
        assert await ask(pipeline, "x") == [b"x"]
        assert server.connections == 2


async def test_a_connection_that_is_lost_fails_who_waits_and_is_made_again(server: Server) -> None:
    server.reply = lambda _: b""
    async with pipeline_to(server.connect, timeout_s=10) as pipeline:
        asked = [ask(pipeline, str(number)) for number in range(3)]
        await asyncio.sleep(0.05)
        assert pipeline._line is not None
        pipeline._line._transport.abort()
        assert all(isinstance(each, ConnectionError) for each in await asyncio.gather(*asked))
        server.reply = lambda _: b":1\r\n"
        assert await ask(pipeline, "x") == [1]


async def test_where_nothing_listens_everybody_hears_of_it_and_one_has_tried() -> None:
    tried = 0

    async def refused() -> asyncio.StreamWriter:
        nonlocal tried
        tried += 1
        await asyncio.sleep(0)
        raise ConnectionRefusedError

    async with pipeline_to(refused) as pipeline:
        heard = await asyncio.gather(*(ask(pipeline, str(number)) for number in range(10)))
        assert {type(each) for each in heard} == {ConnectionRefusedError}
        assert tried == 1
        await pipeline.warm_up()


async def test_who_waits_for_a_connection_waits_no_longer_than_for_a_reply() -> None:
    async def never() -> asyncio.StreamWriter:
        await asyncio.Event().wait()
        raise AssertionError

    async with pipeline_to(never) as pipeline:
        began_s = time.monotonic()
        assert isinstance(await ask(pipeline, "x"), TimeoutError)
        assert time.monotonic() - began_s < 3 * TIMEOUT_S


async def test_only_so_many_are_under_way_at_a_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto_pipeline, "_UNDER_WAY_MAX", 4)
    async with pipeline_to(server.connect, timeout_s=10) as pipeline:
        await pipeline.warm_up()
        asked = [ask(pipeline, str(number)) for number in range(20)]
        assert await asyncio.gather(*asked) == [[str(number).encode()] for number in range(20)]
        assert max(read.count(b"GET") for read in server.reads) <= 4
    server.reply = lambda _: b""
    async with pipeline_to(server.connect) as pipeline:
        await pipeline.warm_up()
        heard = await asyncio.gather(*(ask(pipeline, str(number)) for number in range(6)))
        assert [type(each) for each in heard] == [TimeoutError] * 4 + [NotSentError] * 2


async def test_whoever_waits_when_it_is_closed_hears_of_it(server: Server) -> None:
    server.reply = lambda _: b""
    async with pipeline_to(server.connect, timeout_s=10) as pipeline:
        await pipeline.warm_up()
        sent = ask(pipeline, "sent")
        await asyncio.sleep(0.05)
        just_asked = ask(pipeline, "just asked")
        await pipeline.close()
        assert isinstance(await sent, ConnectionError)
        assert isinstance(await just_asked, ConnectionError)
        assert isinstance(await ask(pipeline, "too late"), ConnectionError)


async def test_a_pipeline_that_leaves_its_server_connects_again_and_loses_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto_pipeline, "_LINE_AGE_MIN_S", 0.0)
    async with pipeline_to(server.connect, timeout_s=10) as pipeline:
        await pipeline.warm_up()
        under_way = ask(pipeline, "under way")
        await asyncio.sleep(0)  # the batch is written
        pipeline.leave()
        assert await asyncio.gather(under_way, ask(pipeline, "later")) == [[b"under way"], [b"later"]]
        assert server.connections == 2


async def test_it_does_so_once_a_second_at_most(server: Server) -> None:
    """A Redis that takes no writes for good is not connected to for each of them."""
    async with pipeline_to(server.connect, timeout_s=10) as pipeline:
        for _ in range(20):
            await ask(pipeline, "name")
            pipeline.leave()
        assert server.connections == 1
