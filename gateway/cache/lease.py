"""Leases in Redis: one process of the fleet asks about a token, by `SET NX PX` with a fencing value.

    free ── acquire ──> held by a fence ── settle (writes the entry) | release | its time is over ──> free

A lease lies beside its entry, in the same slot of a cluster, and every step is one script on both: acquiring looks at
the entry, settling writes it. So nobody asks for a result that was written a moment ago, and a result whose lease was
taken over cannot overwrite a newer one. A lease always ends. One byte behind the fence says whether anybody waits; only
then a message is published, which names the key by its digest and says nothing else.

A lease that could not be released because Redis is slow is released a little later, by one task that `close` cancels:
its holder has gone on without it, and others would wait for nothing. Somebody who can write to Redis can take leases
and never release them. Waiting is bounded elsewhere (`gateway.introspection.fleet_lease`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from gateway.cache.entry_names import lease_name
from gateway.cache.notifier import Notifier
from gateway.cache.pipelined_scripts import PipelinedScripts
from gateway.cache.redis_script import RedisScript
from gateway.introspection.lease_port import LeaseSignal, LeaseState
from gateway.introspection.ports import Absent, Recalled

# KEYS: entry, lease. ARGV: fence, the lease's life in ms, the most bytes of an entry.
# Returns the holder's fence, its ms left, the entry's ms left, the entry.
_ACQUIRE = RedisScript("""
local holder, left = ARGV[1], tonumber(ARGV[2])
if not redis.call('SET', KEYS[2], holder .. '-', 'PX', left, 'NX') then
  local there = redis.pcall('GETRANGE', KEYS[2], 0, #holder - 1)
  local ends = redis.call('PTTL', KEYS[2])
  if type(there) == 'string' and #there == #holder and ends >= 0 then
    redis.call('SETRANGE', KEYS[2], #holder, '+')
    holder, left = there, ends
  else
    redis.call('SET', KEYS[2], holder .. '-', 'PX', left)
  end
end
local entry = redis.pcall('GETRANGE', KEYS[1], 0, tonumber(ARGV[3]))
if type(entry) ~= 'string' then entry = '' end
return {holder, left, redis.call('PTTL', KEYS[1]), entry}
""")

# KEYS: entry, lease. ARGV: fence, what to write or nothing, its life in ms, channel, digest, the lease's ms left.
# Returns 1 when the entry was written or, with nothing to write, the lease was still ours. Where neither the lease nor
# an entry is left, nothing newer can be overwritten. Returns 2 when the entry could not be written (Redis is too full);
# then the lease has ended, too. The lease shows how long this command was on its way, for instance in the socket of a
# Redis that stood still: the entry has grown older by that time. Where the lease should be there and is not, nobody can
# tell, and nothing is written.
_SETTLE = RedisScript("""
local mine = redis.pcall('GETRANGE', KEYS[2], 0, #ARGV[1] - 1) == ARGV[1]
local done, life, left = mine, tonumber(ARGV[3]), tonumber(ARGV[6])
if ARGV[2] ~= '' and (mine or left <= 0 and redis.call('EXISTS', KEYS[1], KEYS[2]) == 0) then
  if mine then life = life - math.max(0, left - redis.call('PTTL', KEYS[2])) end
  done = life > 0 and not redis.pcall('SET', KEYS[1], ARGV[2], 'PX', life)['err']
end
if mine then
  local awaited = redis.call('GETRANGE', KEYS[2], #ARGV[1], -1)
  redis.call('DEL', KEYS[2])
  if awaited == '+' then redis.call('PUBLISH', ARGV[4], ARGV[5]) end
end
return done and 1 or mine and 2 or 0
""")

_DIGEST_BYTES = 16
# Longer than the pause after a failure of Redis.
_LATER_S = 1.2
_TRIES = 3
_OWED_MAX = 1_000


def digest(key: bytes) -> bytes:
    """The digest of a key on the channel: a part of the HMAC."""
    return key[:_DIGEST_BYTES]


class RedisLeases:
    """Acquires, settles and releases leases. Satisfies `gateway.introspection.ports.Leases`.

    `name` names an entry, `open_entry` and `seal_entry` open and seal it. `close` ends the `scripts` as well.
    """

    def __init__(
        self,
        notifier: Notifier,
        *,
        scripts: PipelinedScripts,
        name: Callable[[bytes], bytes],
        open_entry: Callable[[bytes, str, int, bytes], Recalled | Absent],
        seal_entry: Callable[[bytes, Recalled, bytes, bytes], tuple[bytes, int] | None],
        entry_limit_bytes: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notifier = notifier
        self._channel = notifier.channel.encode()
        self._scripts = scripts
        self._name = name
        self._open_entry = open_entry
        self._seal_entry = seal_entry
        self._entry_limit_bytes = entry_limit_bytes
        self._monotonic = monotonic
        self._ends_s: dict[bytes, float] = {}  # fence -> when its lease is over, at the earliest
        self._unreleased: dict[bytes, tuple[bytes, int]] = {}  # fence -> key, tries left
        self._releasing: asyncio.Task[None] | None = None

    async def close(self) -> None:
        if self._releasing is not None:
            self._releasing.cancel()
            await asyncio.wait([self._releasing])
        await self._scripts.close()

    async def acquire(self, key: bytes, realm: str, fence: bytes, length_s: float) -> LeaseState | None:
        length_ms, asked_at_s = max(1, int(length_s * 1000)), self._monotonic()
        reply = await self._run(_ACQUIRE, key, fence, length_ms, self._entry_limit_bytes)
        match reply:
            case [bytes(holder), int(left_ms), int(entry_left_ms), bytes(sealed)] if left_ms >= 0:
                if holder == fence:
                    self._ends_s[fence] = asked_at_s + length_s
                return LeaseState(holder, left_ms / 1000, self._open_entry(key, realm, entry_left_ms, sealed))
        return None

    async def settle(self, key: bytes, recalled: Recalled, log_position: bytes, fence: bytes) -> bool | None:
        entry = self._seal_entry(key, recalled, log_position, fence)
        if entry is None:
            await self.release(key, fence)
            return None
        done = await self._settle(key, fence, *entry)
        if done is None:
            self._release_later(key, fence)
        return {0: False, 1: True}.get(done)

    async def release(self, key: bytes, fence: bytes) -> None:
        if await self._settle(key, fence) is None:
            self._release_later(key, fence)

    def signal(self, key: bytes) -> AbstractContextManager[LeaseSignal]:
        return self._notifier.signal(digest(key))

    async def _settle(self, key: bytes, fence: bytes, sealed: bytes = b"", left_ms: int = 0) -> Any:
        now_s = self._monotonic()
        lease_ms = int((self._ends_s.pop(fence, now_s) - now_s) * 1000)
        return await self._run(_SETTLE, key, fence, sealed, left_ms, self._channel, digest(key), lease_ms)

    def _release_later(self, key: bytes, fence: bytes) -> None:
        if len(self._unreleased) < _OWED_MAX:
            self._unreleased[fence] = (key, _TRIES)
        if self._releasing is None or self._releasing.done():
            self._releasing = asyncio.get_running_loop().create_task(self._release_late(), name="leases released late")

    async def _release_late(self) -> None:
        while self._unreleased:
            await asyncio.sleep(_LATER_S)
            for fence, (key, tries) in list(self._unreleased.items()):
                if await self._settle(key, fence) is not None or tries == 1:
                    del self._unreleased[fence]
                else:
                    self._unreleased[fence] = (key, tries - 1)

    async def _run(self, script: RedisScript, key: bytes, *arguments: bytes | int) -> Any:
        name = self._name(key)
        told = tuple([each if isinstance(each, bytes) else b"%d" % each for each in arguments])
        return await self._scripts.run(script, (name, lease_name(name)), told)
