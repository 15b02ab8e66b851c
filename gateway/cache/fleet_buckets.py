"""The buckets that the fleet's limits share, in Redis: one key for each identity under a limit, one script for all.

A key is an HMAC, so that Redis does not tell who was counted. It holds the level and the time of that, by the clock of
Redis alone, and ends when the bucket would be full: an absent key is a full bucket. So a caller of a slow limit who
spends little leaves nothing in Redis for long, and looking at a bucket leaves nothing at all.

How many workers share the buckets is how many listen to the fleet's channel (`gateway.cache.notifier`): each does. It
is asked for now and then, but in a cluster, where each node knows of its own clients alone.

A command goes with those of the same iteration of the event loop (`gateway.cache.auto_pipeline`). What Redis fails to
do is told as `None`, and the caller counts for itself.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from redis.asyncio import RedisCluster

from gateway.cache.connect import Client
from gateway.cache.operation_guard import OperationGuard
from gateway.cache.pipelines import Pipelines
from gateway.cache.redis_script import RedisScript
from gateway.cache.resp import ErrorReply, Reply, packed
from gateway.cache.separate_tasks import SeparateTasks
from gateway.limits.allowance import Borrow
from gateway.limits.fleet_size import FleetSize
from gateway.limits.limit import CompiledLimit

Heard = Callable[[tuple[int, float] | None], object]
_UNKNOWN_SCRIPT = "NOSCRIPT"
_FIRST_COUNT_S, _COUNT_S = 1.0, 5.0
_WORKERS_MAX = 1_000_000  # Redis may lie

# KEYS: the bucket. ARGV: its size, what it grows by in a millisecond, what is needed, what would be taken beside that,
# what comes back (below 0: what was spent on credit). Returns what is given and the level after it. A value that is not
# one of ours counts as a full bucket. The time of Redis may be set back, so a key lives a second longer than it needs.
_BORROW = RedisScript("""
local size, growth = tonumber(ARGV[1]), tonumber(ARGV[2])
local needs, extra, change = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local level, there = size, redis.pcall('GET', KEYS[1])
if type(there) == 'string' then
  local before, at = string.match(there, '^(%S+) (%S+)$')
  before, at = tonumber(before), tonumber(at)
  if before and at and before == before and at == at then
    level = math.max(-size, math.min(size, before + math.max(0, now - at) * growth))
  end
end
level = math.max(-size, math.min(size, level + change))
local given = math.max(0, math.min(needs, math.floor(level)))
given = given + math.max(0, math.min(extra, math.floor((level - given) / 4)))
level = level - given
if level < size then
  local life = math.ceil((size - level) / growth) + 1000
  redis.call('SET', KEYS[1], string.format('%.17g %.17g', level, now), 'PX', string.format('%.0f', life))
elseif there then
  redis.call('DEL', KEYS[1])
end
return {given, string.format('%.17g', level)}
""")


class FleetLimits:
    """Borrows from the buckets. `name` gives the key of an identity; `is_healthy` says whether Redis is used now."""

    def __init__(
        self,
        client: Client,
        pipelines: Pipelines,
        guard: OperationGuard,
        *,
        name: Callable[[str, str], str],
        is_healthy: Callable[[], bool],
        channel: str,
    ) -> None:
        self._client = client
        self._pipelines = pipelines
        self._guard = guard
        self._name = name
        self._is_healthy = is_healthy
        self._channel = channel
        self._counting: asyncio.TimerHandle | None = None
        self.size = FleetSize()
        self._separate = SeparateTasks()

    @property
    def healthy(self) -> bool:
        return self._is_healthy()

    def start(self) -> None:
        """Begin to count the workers that share the buckets, until `close`."""
        self._count_after(_FIRST_COUNT_S)

    def ask(self, limit: CompiledLimit, identity: str, borrow: Borrow, heard: Heard) -> None:
        """Call `heard` once, within the time of an operation: with what is given and the level, or with `None`."""
        if not self._guard.may_try():
            heard(None)
            return
        name = self._name(limit.name, identity)
        pipeline = self._pipelines.of(name)
        arguments = _arguments(limit, borrow)
        if pipeline is None:
            self._ask_separately(name, borrow, arguments, heard)
            return
        wire = packed(b"EVALSHA", _BORROW.sha1.encode(), b"1", name.encode(), *arguments)
        pipeline.ask(wire, 1, partial(self._heard, name, borrow, arguments, heard))

    async def close(self) -> None:
        if self._counting is not None:
            self._counting.cancel()
        await self._separate.close()

    def _count_after(self, pause_s: float) -> None:
        if not isinstance(self._client, RedisCluster):
            self._counting = asyncio.get_running_loop().call_later(pause_s, self._count)

    def _count(self) -> None:
        self._count_after(_COUNT_S)
        pipeline = self._pipelines.of(self._channel)
        if pipeline is not None and self.healthy:
            pipeline.ask(packed(b"PUBSUB", b"NUMSUB", self._channel.encode()), 1, self._counted)

    def _counted(self, outcome: list[Reply] | Exception) -> None:
        match outcome:
            case [[bytes(), int(listening)]] if 0 < listening <= _WORKERS_MAX:
                self.size.learned(listening)

    def _heard(
        self,
        name: str,
        borrow: Borrow,
        arguments: tuple[bytes, ...],
        heard: Heard,
        outcome: list[Reply] | Exception,
    ) -> None:
        match outcome:
            case [[int(), bytes()] as reply] if (lent := _lent(reply, borrow)) is not None:
                self._guard.succeeded()
                heard(lent)
                return
            case [ErrorReply(code)] if code == _UNKNOWN_SCRIPT or isinstance(self._client, RedisCluster):
                # Redis has been restarted, or this is another node: it knows the script from now on.
                self._ask_separately(name, borrow, arguments, heard)
                return
        self._guard.unwanted(outcome)
        heard(None)

    def _ask_separately(self, name: str, borrow: Borrow, arguments: tuple[bytes, ...], heard: Heard) -> None:
        async def ask() -> None:
            reply: object = None
            try:
                reply = await self._guard.run(partial(self._evaluated, name, arguments))
            finally:
                heard(_lent(reply, borrow))

        self._separate.start(ask(), "a separate look at a limit in Redis")

    async def _evaluated(self, name: str, arguments: tuple[bytes, ...]) -> Any:
        reply: Any = self._client.eval(_BORROW.text, 1, name, *arguments)
        return await reply


def _lent(reply: object, borrow: Borrow) -> tuple[int, float] | None:
    """What is given and the level after it. Redis may lie, but nothing is given that was not asked for."""
    match reply:
        case [int(given), bytes(level)] if 0 <= given <= borrow.needs + borrow.extra:
            with suppress(ValueError):
                left = float(level)
                return (given, left) if math.isfinite(left) else None
    return None


def _arguments(limit: CompiledLimit, borrow: Borrow) -> tuple[bytes, ...]:
    numbers = (limit.burst, limit.rate_per_s / 1000, borrow.needs, borrow.extra, borrow.change)
    return tuple(repr(number).encode() for number in numbers)
