"""Leases in Redis: one process of the fleet asks about a token, by `SET NX PX` with a fencing value.

A lease lies beside the entry it is for, in the same slot of a cluster, and every step is one script on both: taking it
looks at the entry, settling it writes the entry. So nobody asks for what was written a moment ago, and an answer whose
lease was taken over cannot overwrite a newer one. A lease always ends by itself. One byte behind the fence says
whether anybody waits; only then is a message published, which names the key by its digest and says nothing else.

Whoever can write to Redis can take leases and never give them back: waiting has its bound elsewhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from gateway.authn.tiers import Absent, Bell, Recalled, Turn
from gateway.cache.connect import Client
from gateway.cache.wakeups import Wakeups

Tried = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]

# KEYS: entry, lease. ARGV: fence, the lease's life in ms, the most bytes of an entry.
# Returns the holder's fence, its ms left, the entry's ms left, the entry.
_TAKE = """
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
"""

# KEYS: entry, lease. ARGV: fence, what to write or nothing, its life in ms, channel, digest.
# Returns 1 when it was written or, with nothing to write, the lease was still ours. Where the lease has gone and there
# is no entry either, nothing newer can be overwritten. The lease ends even where Redis is too full to write.
_SETTLE = """
local mine = redis.pcall('GETRANGE', KEYS[2], 0, #ARGV[1] - 1) == ARGV[1]
local done = mine
if ARGV[2] ~= '' and (mine or redis.call('EXISTS', KEYS[1], KEYS[2]) == 0) then
  local set = redis.pcall('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  done = not set['err']
end
if mine then
  local awaited = redis.call('GETRANGE', KEYS[2], #ARGV[1], -1)
  redis.call('DEL', KEYS[2])
  if awaited == '+' then redis.call('PUBLISH', ARGV[4], ARGV[5]) end
end
return done and 1 or 0
"""

_DIGEST_BYTES = 16


def digest(key: bytes) -> bytes:
    """What stands for a key on the channel; a part of an HMAC."""
    return key[:_DIGEST_BYTES]


class RedisLeases:
    """Satisfies `gateway.authn.tiers.Leases`.

    `tried` is the tier's: it bounds an operation and gives `None` for one that failed. `name` names an entry, `opened`
    and `closed` read and make what lies there.
    """

    def __init__(
        self,
        client: Client,
        wakeups: Wakeups,
        *,
        tried: Tried,
        name: Callable[[bytes], str],
        opened: Callable[[bytes, int, bytes], Recalled | Absent],
        closed: Callable[[bytes, Recalled, bytes, bytes], tuple[bytes, int] | None],
        entry_limit_bytes: int,
    ) -> None:
        self._client = client
        self._wakeups = wakeups
        self._tried = tried
        self._name = name
        self._opened = opened
        self._closed = closed
        self._entry_limit_bytes = entry_limit_bytes

    async def take(self, key: bytes, fence: bytes, length_s: float) -> Turn | None:
        length_ms = max(1, int(length_s * 1000))
        reply = await self._run(_TAKE, key, fence, length_ms, self._entry_limit_bytes)
        match reply:
            case [bytes(holder), int(left_ms), int(entry_left_ms), bytes(sealed)]:
                return Turn(holder, left_ms / 1000, self._opened(key, entry_left_ms, sealed))
        return None

    async def settle(self, key: bytes, recalled: Recalled, standing: bytes, fence: bytes) -> bool | None:
        closed = self._closed(key, recalled, standing, fence)
        if closed is None:
            await self.give_back(key, fence)
            return None
        done = await self._run(_SETTLE, key, fence, *closed, self._wakeups.channel, digest(key))
        return None if done is None else done == 1

    async def give_back(self, key: bytes, fence: bytes) -> None:
        await self._run(_SETTLE, key, fence, b"", 0, self._wakeups.channel, digest(key))

    def bell(self, key: bytes) -> AbstractContextManager[Bell]:
        return self._wakeups.bell(digest(key))

    async def _run(self, script: str, key: bytes, *arguments: bytes | str | int) -> Any:
        name = self._name(key)
        return await self._tried(partial(self._eval, script, name, f"{name}:lease", *arguments))

    async def _eval(self, script: str, *keys_and_arguments: bytes | str | int) -> Any:
        # The whole script each time: a few hundred bytes, and no round trip when Redis has forgotten it.
        reply: Any = self._client.eval(script, 2, *keys_and_arguments)
        return await reply
