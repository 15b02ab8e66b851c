"""What becomes of a script whatever Redis does with it: a reply or nothing, within one deadline, and never a hang."""

import asyncio
import time
from typing import Any

import pytest
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

from gateway.cache.auto_pipeline import NotSentError
from gateway.cache.operation_guard import OperationGuard
from gateway.cache.pipelined_scripts import PipelinedScripts
from gateway.cache.redis_failure import redis_failure
from gateway.cache.redis_script import RedisScript
from gateway.cache.reply_queue import Heard
from gateway.cache.resp import ErrorReply, ReplyParser, packed

SCRIPT = RedisScript("return KEYS[1]")
TIMEOUT_S = 0.2


class Redis:
    """Stands in for the pipeline, the pipelines and the library's client at once."""

    def __init__(self, outcome: Any = None) -> None:
        self.outcome = outcome
        self.wires: list[bytes] = []
        self.evaluated: list[tuple[object, ...]] = []
        self.left = 0
        self.eval_s, self.reply_s = 0.0, 0.001
        self.has_layout = True

    def of(self, _: bytes) -> "Redis | None":
        return self if self.has_layout else None

    def ask(self, wire: bytes, replies: int, heard: Heard) -> None:
        assert replies == 1
        self.wires.append(wire)
        if self.outcome is not None:
            asyncio.get_running_loop().call_later(self.reply_s, heard, self.outcome)

    def leave(self) -> None:
        self.left += 1

    async def eval(self, *command: object) -> object:
        self.evaluated.append(command)
        await asyncio.sleep(self.eval_s)
        return "by EVAL"


def scripts_on(redis: Redis, *, may_use: bool = True) -> tuple[PipelinedScripts, OperationGuard, list[BaseException]]:
    told: list[BaseException] = []
    guard = OperationGuard(
        lambda: may_use,
        time.monotonic,
        timeout_s=TIMEOUT_S,
        at_a_time=4,
        on_failure=lambda error, _: told.append(error),
    )
    stub: Any = redis
    return PipelinedScripts(stub, stub, guard), guard, told


@pytest.mark.parametrize("reply", [1, b"text", [b"holder", 5, -2, b""]])
async def test_it_is_sent_by_its_name_with_the_lookups_and_its_reply_comes_back(reply: object) -> None:
    redis = Redis([reply])
    scripts, guard, told = scripts_on(redis)
    assert await scripts.run(SCRIPT, (b"entry", b"lease"), (b"fence", b"7")) == reply
    assert redis.wires == [packed(b"EVALSHA", SCRIPT.sha1.encode(), b"2", b"entry", b"lease", b"fence", b"7")]
    assert (redis.evaluated, guard.is_backing_off, told) == ([], False, [])


@pytest.mark.parametrize(
    ("outcome", "is_away", "kind"),
    [
        ([ErrorReply("READONLY")], False, ReadOnlyError),
        ([ErrorReply("OOM")], False, OutOfMemoryError),
        ([ErrorReply("ERR")], False, ResponseError),
        ([ErrorReply("LOADING")], True, ResponseError),
        (TimeoutError(), True, TimeoutError),
        (ConnectionError("lost"), True, ConnectionError),
        (NotSentError(), False, None),
    ],
)
async def test_a_failure_is_nothing_and_is_told_by_its_kind(outcome, is_away, kind) -> None:
    redis = Redis(outcome)
    scripts, guard, told = scripts_on(redis)
    assert await scripts.run(SCRIPT, (b"entry",), ()) is None
    assert (guard.is_backing_off, [type(error) for error in told]) == (is_away, [kind] if kind else [])
    assert redis.left == (kind is ReadOnlyError)


async def test_the_operator_hears_redis_own_words() -> None:
    """Of a right that is missing for a command within a script they are all that tells."""
    said = "The user executing the script can't run this command or subcommand"
    [refusal] = ReplyParser(100).feed(b"-ERR %b\r\n" % said.encode())
    scripts, _, told = scripts_on(Redis([refusal]))
    assert await scripts.run(SCRIPT, (b"entry",), ()) is None
    assert [redis_failure(error) for error in told] == [
        f"it refuses the command ({said}); give the user the rights of deploy/redis/users.acl"
    ]


async def test_a_script_that_redis_has_forgotten_is_sent_whole() -> None:
    redis = Redis([ErrorReply("NOSCRIPT")])
    scripts, guard, told = scripts_on(redis)
    assert await scripts.run(SCRIPT, (b"entry",), (b"x",)) == "by EVAL"
    assert redis.evaluated == [(SCRIPT.text, 1, b"entry", b"x")]
    assert (guard.is_backing_off, told) == (False, [])


async def test_both_ways_together_have_one_deadline() -> None:
    redis = Redis([ErrorReply("NOSCRIPT")])
    redis.eval_s, redis.reply_s = 60, TIMEOUT_S * 0.8
    scripts, _, _ = scripts_on(redis)
    began_s = time.monotonic()
    assert await scripts.run(SCRIPT, (b"entry",), ()) is None
    assert redis.evaluated
    assert time.monotonic() - began_s < TIMEOUT_S * 1.7


async def test_without_a_pipeline_it_goes_through_the_library() -> None:
    redis = Redis()
    redis.has_layout = False
    scripts, _, _ = scripts_on(redis)
    assert await scripts.run(SCRIPT, (b"entry",), ()) == "by EVAL"


async def test_it_is_not_tried_where_redis_is_not_used() -> None:
    redis = Redis([1])
    scripts, _, _ = scripts_on(redis, may_use=False)
    assert await scripts.run(SCRIPT, (b"entry",), ()) is None
    assert redis.wires == []


async def test_a_caller_that_leaves_disturbs_nothing() -> None:
    for outcome in ([1], [ErrorReply("NOSCRIPT")], TimeoutError()):
        scripts, _, _ = scripts_on(Redis(outcome))
        scripts.run(SCRIPT, (b"entry",), ()).cancel()
        await asyncio.sleep(0.02)
        await scripts.close()


async def test_closing_ends_those_that_run_separately() -> None:
    redis = Redis([ErrorReply("NOSCRIPT")])
    redis.eval_s = 60
    scripts, _, _ = scripts_on(redis)
    running = scripts.run(SCRIPT, (b"entry",), ())
    await asyncio.sleep(0.02)
    assert redis.evaluated
    await scripts.close()
    assert await running is None
