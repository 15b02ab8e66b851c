"""Lookups in Redis. Those of one iteration of the event loop share a round trip, and none has a task of its own.

A lookup takes these steps: `get` joins the batch of its node (`gateway.cache.auto_pipeline`) and returns a future. When
the replies come, the batch calls `_heard`, which opens the entry and sets the future's result. A lookup that fails
gives `Absent.ERROR`. It has no effect on other lookups, whatever lies in Redis for its key and even if its caller
leaves.

In a cluster a lookup may go separately, through Redis' own library: where the layout is not known, or where a node says
that the slot is elsewhere. The library then learns the layout.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from redis.asyncio import RedisCluster

from gateway.cache.codec import ENTRY_LIMIT_BYTES, EntryCodec
from gateway.cache.connect import Client
from gateway.cache.entry_names import EntryNames
from gateway.cache.operation_guard import OperationGuard
from gateway.cache.pipelines import Pipelines
from gateway.cache.resp import ErrorReply, Reply
from gateway.cache.separate_lookup import separate_lookup
from gateway.cache.separate_tasks import SeparateTasks
from gateway.introspection.ports import Absent, Recalled

# The two commands of a lookup but for the key, as `packed` makes them.
_PTTL: Final = b"*2\r\n$4\r\nPTTL\r\n"
_GETRANGE: Final = b"*4\r\n$8\r\nGETRANGE\r\n"
_WHOLE: Final = b"$1\r\n0\r\n$%d\r\n%d\r\n" % (len(str(ENTRY_LIMIT_BYTES)), ENTRY_LIMIT_BYTES)
# Error codes of a cluster's node for a slot that it does not hold, or not now.
_ELSEWHERE = frozenset({"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"})

_Found = asyncio.Future[Recalled | Absent]


class Lookups:
    """Looks entries up through `pipelines`, or through `client` where there is none.

    `names` names the entries, `codec` opens them.
    """

    def __init__(
        self, client: Client, pipelines: Pipelines, codec: EntryCodec, names: EntryNames, guard: OperationGuard
    ) -> None:
        self._client = client
        self._codec = codec
        self._names = names
        self._guard = guard
        self._pipelines = pipelines
        self._separate = SeparateTasks()

    def get(self, key: bytes, realm: str) -> _Found:
        """Look up the entry of `key`, of a provider of `realm`. The lookup begins at once, awaited or not."""
        found: _Found = asyncio.get_running_loop().create_future()
        if not self._guard.may_try():
            found.set_result(Absent.ERROR)
            return found
        name = self._names.of(self._codec.part(key))
        if (pipeline := self._pipelines.of(name)) is None:
            self._look_up_separately(found, name, key, realm)
        else:
            pipeline.ask(_lookup(name), 2, partial(self._heard, found, name, key, realm))
        return found

    async def close(self) -> None:
        """End the separate lookups; the others end with the pipelines."""
        await self._separate.close()

    def _heard(self, found: _Found, name: bytes, key: bytes, realm: str, outcome: list[Reply] | Exception) -> None:
        match outcome:
            case [int(left_ms), bytes(sealed)]:
                self._guard.succeeded()
                self._open(found, key, realm, left_ms, sealed)
                return
            case [ErrorReply(code), _] | [_, ErrorReply(code)] if self._is_elsewhere(code):
                self._look_up_separately(found, name, key, realm)
                return
        self._guard.unwanted(outcome)
        if not found.done():
            found.set_result(Absent.ERROR)

    def _is_elsewhere(self, code: str) -> bool:
        return code in _ELSEWHERE and isinstance(self._client, RedisCluster)

    def _open(self, found: _Found, key: bytes, realm: str, left_ms: int, sealed: bytes) -> None:
        if found.done():
            return  # nobody waits for it any more
        try:
            found.set_result(self._codec.open(key, realm, left_ms, sealed))
        except Exception as error:  # noqa: BLE001 - only the caller of this lookup gets it, not the whole batch
            found.set_exception(error)

    def _look_up_separately(self, found: _Found, name: bytes, key: bytes, realm: str) -> None:
        async def look() -> None:
            reply = await self._guard.run(partial(separate_lookup, self._client, name, ENTRY_LIMIT_BYTES))
            if reply is not None:
                self._open(found, key, realm, *reply)
            elif not found.done():
                found.set_result(Absent.ERROR)

        self._separate.start(look(), "a separate lookup in Redis").add_done_callback(partial(_told, found))


def _told(found: _Found, task: asyncio.Task[None]) -> None:
    """Set a result if the lookup's task has ended without one: otherwise the caller would wait for ever."""
    if not found.done():
        error = None if task.cancelled() else task.exception()
        found.set_exception(error) if error is not None else found.set_result(Absent.ERROR)


def _lookup(name: bytes) -> bytes:
    """Commands for the time that the value has left, and for the value as far as it can be one of ours.

    The time comes first: if the value is replaced in between, its age comes out too high and never too low.
    """
    key = b"$%d\r\n%b\r\n" % (len(name), name)
    return b"".join((_PTTL, key, _GETRANGE, key, _WHOLE))
