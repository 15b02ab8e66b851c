import asyncio
import json
import socket

import pytest
from support.running_gateway import eventually

from gateway.workers import control
from gateway.workers.control import (
    Channel,
    ChannelClosedError,
    ControlError,
    FailedError,
    RefusedError,
    UnansweredError,
)


async def answer(name, body):
    match name:
        case "echo":
            return body
        case "refuse":
            raise ValueError("not like this")
        case "fail":
            raise FailedError("could not")
        case "bug":
            raise RuntimeError("s3cret")
        case "never":
            await asyncio.Event().wait()
        case "no json":
            return {1, 2}
        case "wait":
            await asyncio.sleep(0.05)
            return body
    return None


@pytest.fixture
async def pair():
    """The end that asks, and the end that answers, both being read."""
    left, right = socket.socketpair()
    ends = (await Channel.over(left), await Channel.over(right, answer))
    runs = [asyncio.create_task(end.run()) for end in ends]
    yield ends
    for end in ends:
        end.close()
    await asyncio.wait_for(asyncio.gather(*runs), 10)


@pytest.fixture
async def raw():
    """A channel, and the naked socket at its other end."""
    left, right = socket.socketpair()
    right.setblocking(False)
    channel = await Channel.over(left, answer)
    run = asyncio.create_task(channel.run())
    yield channel, right, run
    channel.close()
    await asyncio.wait_for(run, 10)
    right.close()


async def received(sock):
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 65536), 10)


async def test_a_question_gets_its_answer(pair):
    assert await pair[0].ask("echo", {"a": [1, None, "ü\n"]}, timeout_s=10) == {"a": [1, None, "ü\n"]}


async def test_questions_overtake_each_other_and_answers_find_their_asker(pair):
    answers = await asyncio.gather(*(pair[0].ask("wait" if n % 2 else "echo", n, timeout_s=10) for n in range(50)))
    assert answers == list(range(50))


async def test_the_last_notice_is_handled_although_the_end_comes_with_it():
    """Some event loops hand over both in one turn."""
    heard = []

    async def hear(name, body):
        heard.append((name, body))

    left, right = socket.socketpair()
    channel = await Channel.over(left, hear)
    right.sendall(b'{"tell":"something","body":1}\n{"tell":"goodbye","body":2}\n')
    right.close()
    await eventually(lambda: channel._reader._eof)  # both are there before anything is looked at
    await asyncio.wait_for(channel.run(), 10)
    assert heard == [("something", 1), ("goodbye", 2)]


async def test_a_refusal_and_a_failure_come_back_in_their_words(pair):
    with pytest.raises(RefusedError, match=r"^not like this$"):
        await pair[0].ask("refuse", timeout_s=10)
    with pytest.raises(FailedError, match=r"^could not$"):
        await pair[0].ask("fail", timeout_s=10)


async def test_what_a_bug_says_stays_in_the_log(pair, caplog):
    with pytest.raises(FailedError, match=r"^internal error: RuntimeError$"):
        await pair[0].ask("bug", timeout_s=10)
    assert "s3cret" in caplog.text
    assert await pair[0].ask("echo", 1, timeout_s=10) == 1


async def test_an_answer_that_is_no_json_is_a_failure_and_not_a_silence(pair):
    with pytest.raises(FailedError, match="JSON"):
        await pair[0].ask("no json", timeout_s=10)


async def test_an_end_that_answers_nothing_says_so(pair):
    with pytest.raises(FailedError, match="echo is not answered here"):
        await pair[1].ask("echo", timeout_s=10)


async def test_a_question_has_a_deadline_and_a_late_answer_is_nobodys(raw):
    channel, peer, _ = raw
    with pytest.raises(UnansweredError, match=r"no answer to snapshot within 0\.05 s"):
        await channel.ask("snapshot", timeout_s=0.05)
    asked = json.loads(await received(peer))
    peer.send(json.dumps({"id": asked["id"], "answer": "late"}).encode() + b"\n")
    asking = asyncio.create_task(channel.ask("again", timeout_s=10))
    second = json.loads(await received(peer))
    peer.send(json.dumps({"id": second["id"], "answer": "in time"}).encode() + b"\n")
    assert await asking == "in time"


async def test_the_end_of_the_other_process_fails_all_that_waits(raw):
    channel, peer, run = raw
    asking = [asyncio.create_task(channel.ask("never", timeout_s=60)) for _ in range(3)]
    await received(peer)
    peer.close()
    for result in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(result, ChannelClosedError)
    await asyncio.wait_for(asyncio.shield(run), 10)
    with pytest.raises(ChannelClosedError):
        await channel.ask("echo", timeout_s=10)
    channel.tell("anything")  # lost, and no error


async def test_what_the_other_end_asked_is_given_up_when_it_is_gone(raw):
    _, peer, run = raw
    peer.send(b'{"ask": "never", "id": 1}\n')
    peer.close()
    await asyncio.wait_for(asyncio.shield(run), 10)


@pytest.mark.parametrize(
    "line",
    [b"no json\n", b"[]\n", b"3\n", b'{"id": [1], "answer": 2}\n', b'{"nothing": 1}\n', b"\xff\n", b'{"ask": "ec'],
)
async def test_another_language_ends_the_channel_and_nothing_else(raw, line):
    _, peer, run = raw
    peer.send(line)
    peer.shutdown(socket.SHUT_WR)
    await asyncio.wait_for(asyncio.shield(run), 10)


async def test_a_line_without_end_is_cut_at_the_bound(raw, monkeypatch):
    left, right = socket.socketpair()
    right.setblocking(False)
    monkeypatch.setattr(control, "LINE_MAX_BYTES", 1000)
    channel = await Channel.over(left)
    run = asyncio.create_task(channel.run())
    await asyncio.get_running_loop().sock_sendall(right, b"x" * 5000)
    await asyncio.wait_for(run, 10)
    right.close()


async def test_a_line_beyond_the_bound_is_not_sent(pair, monkeypatch):
    monkeypatch.setattr(control, "LINE_MAX_BYTES", 1000)
    with pytest.raises(FailedError, match="1000"):
        await pair[0].ask("echo", "x" * 1000, timeout_s=10)
    assert await pair[0].ask("echo", "short", timeout_s=10) == "short"


async def test_a_large_line_goes_through(pair):
    text = "routes:\n" * 500_000
    assert await pair[0].ask("echo", text, timeout_s=60) == text


async def test_an_end_that_has_stopped_reading_costs_bounded_memory(raw, monkeypatch):
    channel, _, _ = raw
    monkeypatch.setattr(control, "LINE_MAX_BYTES", 1_000_000)
    with pytest.raises(ControlError):  # noqa: PT012 - it is the repetition that ends in the error
        for _ in range(10):
            with pytest.raises(UnansweredError):
                await channel.ask("echo", "x" * 900_000, timeout_s=0.01)
    with pytest.raises(ChannelClosedError):
        await channel.ask("echo", timeout_s=10)


async def test_too_many_questions_at_once_are_refused_and_reading_goes_on(pair, monkeypatch):
    monkeypatch.setattr(control, "_QUESTIONS_MAX", 5)
    stuck = [asyncio.create_task(pair[0].ask("never", timeout_s=60)) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(FailedError, match="busy"):
        await pair[0].ask("echo", timeout_s=10)
    for one in stuck:
        one.cancel()
    await asyncio.gather(*stuck, return_exceptions=True)


async def test_a_caller_that_gives_up_leaves_nothing_behind(pair):
    asking = asyncio.create_task(pair[0].ask("never", timeout_s=60))
    await asyncio.sleep(0.01)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not pair[0]._waiting


async def test_a_notice_needs_no_answer():
    left, right = socket.socketpair()
    told = asyncio.Queue()

    async def listen(name, body):
        await told.put((name, body))

    teller, listener = await Channel.over(left), await Channel.over(right, listen)
    run = asyncio.create_task(listener.run())
    teller.tell("goodbye", {"n": 1})
    teller.close()
    assert await asyncio.wait_for(told.get(), 10) == ("goodbye", {"n": 1})
    await asyncio.wait_for(run, 10)
