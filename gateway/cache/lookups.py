"""Lookups in Redis: those of one turn of the event loop share a round trip, and none has a task of its own.

How a lookup goes: `get` joins the batch of its node (`gateway.cache.auto_pipeline`) and returns a future. The replies
come, the batch calls `_heard`, the entry is opened and the future has its result. A lookup that fails is
`Absent.ERROR` and nothing else: neither what lies in Redis for one key nor whoever leaves has any effect on the others.

In a cluster a lookup goes alone, by way of Redis' own library, where the layout is not known or a node says that the
slot is elsewhere: the library then learns it.
"""

from __future__ import annotations

import asyncio
from functools import partial

from redis.asyncio import RedisCluster
from redis.exceptions import ResponseError

from gateway.cache.auto_pipeline import NotSentError
from gateway.cache.codec import ENTRY_LIMIT_BYTES, EntryCodec
from gateway.cache.connect import Client
from gateway.cache.operation_guard import OperationGuard
from gateway.cache.pipelines import Pipelines
from gateway.cache.resp import ErrorReply, Reply, packed
from gateway.introspection.ports import Absent, Recalled

_WHOLE_ENTRY = b"%d" % ENTRY_LIMIT_BYTES
# What a cluster's node says of a slot that it does not hold, or not now.
_ELSEWHERE = frozenset({"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"})
# What Redis says when it can answer nothing. Other errors are about one key: no reason to stay away.
_CANNOT_SERVE = frozenset({"LOADING", "MASTERDOWN", "NOAUTH"})

_Found = asyncio.Future[Recalled | Absent]


class Lookups:
    """Asks by way of `pipelines`, and `client` where there is none. `codec` opens what is found."""

    def __init__(self, client: Client, pipelines: Pipelines, codec: EntryCodec, guard: OperationGuard) -> None:
        self._client = client
        self._codec = codec
        self._guard = guard
        self._pipelines = pipelines
        self._alone: set[asyncio.Task[None]] = set()

    def get(self, name: str, key: bytes, realm: str) -> _Found:
        """What lies under `name` for `key`, of a provider of `realm`. It is asked for at once, awaited or not."""
        found: _Found = asyncio.get_running_loop().create_future()
        if not self._guard.may_try():
            found.set_result(Absent.ERROR)
        elif (pipeline := self._pipelines.of(name)) is None:
            self._look_alone(found, name, key, realm)
        else:
            pipeline.ask(_lookup(name.encode()), 2, partial(self._heard, found, name, key, realm))
        return found

    async def close(self) -> None:
        """Ends the lookups that go alone; the others end with the pipelines."""
        for task in self._alone:
            task.cancel()
        await asyncio.gather(*self._alone, return_exceptions=True)

    def _heard(self, found: _Found, name: str, key: bytes, realm: str, outcome: list[Reply] | Exception) -> None:
        match outcome:
            case [int(left_ms), bytes(sealed)]:
                self._guard.succeeded()
                self._open(found, key, realm, left_ms, sealed)
                return
            case [ErrorReply(code), _] | [_, ErrorReply(code)]:
                if code in _ELSEWHERE and isinstance(self._client, RedisCluster):
                    self._look_alone(found, name, key, realm)
                    return
                if code in _CANNOT_SERVE:
                    self._guard.failed(ResponseError(code))
                else:
                    self._guard.refused(ResponseError(code))
            case NotSentError():
                pass  # that says nothing of Redis
            case Exception() as error:
                self._guard.failed(error)
            case _:
                self._guard.failed()
        if not found.done():
            found.set_result(Absent.ERROR)

    def _open(self, found: _Found, key: bytes, realm: str, left_ms: int, sealed: bytes) -> None:
        if found.done():
            return  # nobody waits for it any more
        try:
            found.set_result(self._codec.opened(key, realm, left_ms, sealed))
        except Exception as error:  # noqa: BLE001 - nobody expected it; whoever waits hears of it, the others do not
            found.set_exception(error)

    def _look_alone(self, found: _Found, name: str, key: bytes, realm: str) -> None:
        async def look() -> None:
            reply = await self._guard.run(partial(self._read, name))
            if reply is not None:
                self._open(found, key, realm, *reply)
            elif not found.done():
                found.set_result(Absent.ERROR)

        task = asyncio.get_running_loop().create_task(look(), name="a lookup in Redis that goes alone")
        self._alone.add(task)
        task.add_done_callback(self._alone.discard)
        task.add_done_callback(partial(_told, found))

    async def _read(self, name: str) -> tuple[int, bytes]:
        async with self._client.pipeline(transaction=False) as pipeline:
            pipeline.pttl(name)
            pipeline.getrange(name, 0, ENTRY_LIMIT_BYTES)
            reply = await pipeline.execute()
        match reply:
            case [int(left_ms), bytes(sealed)]:
                return left_ms, sealed
        raise ValueError("not what PTTL and GETRANGE answer")


def _told(found: _Found, task: asyncio.Task[None]) -> None:
    """Nobody waits for a lookup that has ended without a word."""
    if not found.done():
        error = None if task.cancelled() else task.exception()
        found.set_exception(error) if error is not None else found.set_result(Absent.ERROR)


def _lookup(name: bytes) -> bytes:
    """The value as far as it can be one of ours, and how long it has left.

    In this order: should it be replaced in between, its age comes out too high and never too low.
    """
    return packed(b"PTTL", name) + packed(b"GETRANGE", name, b"0", _WHOLE_ENTRY)
