"""Runs Lua scripts in Redis in the same round trips as lookups (`gateway.cache.auto_pipeline`).

    run -> EVALSHA with the batch of its node -> what the script returns
              └── the script is not known there, or a cluster's slot is elsewhere -> EVAL through Redis' own library

Both have one deadline. What fails, is too late or is not tried comes back as `None`. A server that takes no writes has
become a replica: the pipeline then connects again, which with Sentinel finds the new primary.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any

from redis.asyncio import RedisCluster

from gateway.cache.auto_pipeline import AutoPipeline
from gateway.cache.connect import Client
from gateway.cache.operation_guard import OperationGuard
from gateway.cache.pipelines import Pipelines
from gateway.cache.redis_script import RedisScript
from gateway.cache.resp import ErrorReply, Reply, packed
from gateway.cache.separate_tasks import SeparateTasks

_UNKNOWN_SCRIPT, _REPLICA = "NOSCRIPT", "READONLY"


@dataclass(slots=True, eq=False)
class _ScriptCall:
    """Holds one run of a script: its first key decides on the node. `began_s` is on the event loop's clock."""

    script: RedisScript
    keys: tuple[bytes, ...]
    arguments: tuple[bytes, ...]
    began_s: float
    reply: asyncio.Future[Any]

    def end(self, reply: object) -> None:
        if not self.reply.done():  # its caller may have left
            self.reply.set_result(reply)


class PipelinedScripts:
    """Runs scripts through `pipelines`, and through `client` those that cannot go there. `guard` is the tier's."""

    def __init__(self, client: Client, pipelines: Pipelines, guard: OperationGuard) -> None:
        self._client = client
        self._pipelines = pipelines
        self._guard = guard
        self._separate = SeparateTasks()

    def run(self, script: RedisScript, keys: tuple[bytes, ...], arguments: tuple[bytes, ...]) -> asyncio.Future[Any]:
        """What the script returns; `None` if that cannot be told in time. It begins at once, awaited or not."""
        loop = asyncio.get_running_loop()
        call = _ScriptCall(script, keys, arguments, loop.time(), loop.create_future())
        if not self._guard.may_try():
            call.end(None)
        elif (pipeline := self._pipelines.of(keys[0])) is None:
            self._run_separately(call)
        else:
            wire = packed(b"EVALSHA", script.sha1.encode(), b"%d" % len(keys), *keys, *arguments)
            pipeline.ask(wire, 1, partial(self._heard, call, pipeline))
        return call.reply

    async def close(self) -> None:
        await self._separate.close()

    def _heard(self, call: _ScriptCall, pipeline: AutoPipeline, outcome: list[Reply] | Exception) -> None:
        match outcome:
            case [ErrorReply(code)]:
                if code == _UNKNOWN_SCRIPT or isinstance(self._client, RedisCluster):
                    # Redis has been restarted, or this is another node: it knows the script from now on.
                    self._run_separately(call)
                    return
                if code == _REPLICA:
                    pipeline.leave()
            case [reply]:
                self._guard.succeeded()
                call.end(reply)
                return
        self._guard.unwanted(outcome)
        call.end(None)

    def _run_separately(self, call: _ScriptCall) -> None:
        async def run() -> None:
            reply: object = None
            try:
                spent_s = asyncio.get_running_loop().time() - call.began_s
                reply = await self._guard.run(partial(self._evaluated, call), spent_s)
            finally:
                call.end(reply)

        self._separate.start(run(), "a script in Redis, separately")

    async def _evaluated(self, call: _ScriptCall) -> Any:
        names: Any = call.keys
        reply: Any = self._client.eval(call.script.text, len(names), *names, *call.arguments)
        return await reply
