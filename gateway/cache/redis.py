"""The tier that the fleet shares: sealed results in Redis, and the purges that void them.

    get    -> in sync and not backing off? -> lookup (one round trip per turn of the loop) -> open -> still valid?
    purge  -> Follower: the log -> every process -> PurgeIndex
    tasks  -> Follower (the log), Notifier (the leases' signals), Lookups and Pipelines; `close` ends them all

Nothing that Redis does, or fails to do, stops a request. Each operation has one deadline for everything, waiting for a
connection included. An operation that fails, is slow or gets a lie counts as a miss. After a failure Redis gets no
calls for a moment.

Only a process that follows the fleet's purges uses shared results: one that is out of sync does not know what has been
revoked.

Somebody who writes to Redis may put old entries back. An entry's age by the wall clock counts as well as its age by
Redis (`gateway.cache.entry`), so an entry lives for its ttl and `clock_skew_s` at the most.
"""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from gateway.cache.codec import ENTRY_LIMIT_BYTES, EntryCodec
from gateway.cache.connect import FAILURES, Link, connect, connect_subscriber, nodes_of
from gateway.cache.entry_names import EntryNames, lease_name
from gateway.cache.fleet_buckets import FleetLimits
from gateway.cache.follow import Follower
from gateway.cache.key import HmacKeys
from gateway.cache.key_ring import KeyRing
from gateway.cache.lease import RedisLeases
from gateway.cache.lookups import Lookups
from gateway.cache.not_before_store import NotBeforeStore
from gateway.cache.notifier import Notifier
from gateway.cache.operation_guard import OperationGuard
from gateway.cache.pipelined_scripts import PipelinedScripts
from gateway.cache.pipelines import Pipelines
from gateway.cache.purge_index import PurgeIndex
from gateway.cache.purge_log import PurgeLog
from gateway.cache.redis_trouble import RedisTrouble
from gateway.cache.seal import Seal
from gateway.config.redis_url import RedisAddress, passwords_of
from gateway.introspection.not_before import NotBefore
from gateway.introspection.ports import Absent, Recalled
from gateway.introspection.tag_purge import TagPurge

_MESSAGE_LIMIT_BYTES = 64 * 2**10
# More make nothing faster: one process puts together no more commands than these carry, and to open one takes it longer
# than several lookups do. Of a burst at a process that has just started, 64 had a quarter miss their deadline.
_CONNECTIONS_MAX = 16
_CONNECT_S = 2.0  # at most; within an operation its own deadline comes first
_FIRST_SYNC_S = 1.0


class RedisTier:
    """`timeout_s` bounds each operation, `life_max_s` the life of a result (the longer ttl; `extend_life` adds to it).

    `clock` is the wall clock, `monotonic` measures; both in seconds. To be made in the running loop that uses it. Of
    several secrets in `keys` the tier is that of the one numbered `which`, and takes its part of every key; it looks
    entries up by way of the tier `beside` it, where there is one for the same Redis.
    """

    def __init__(
        self,
        address: RedisAddress,
        keys: HmacKeys | KeyRing,
        *,
        timeout_s: float,
        life_max_s: float,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        clock_skew_s: float = 2.0,
        which: int = 0,
        not_before: NotBefore | None = None,
        beside: RedisTier | None = None,
    ) -> None:
        self.timeout_s = timeout_s
        self._clock_skew_s = clock_skew_s
        self._life_max_s = life_max_s + clock_skew_s
        self._monotonic = monotonic
        own = keys.members[which]
        self._is_first = which == 0
        self._prefix = f"gateway:{own.fleet}:"
        self._purge_index = PurgeIndex()
        self._codec = EntryCodec(
            keys, self._purge_index, clock=clock, monotonic=monotonic, clock_skew_s=clock_skew_s, which=which
        )
        self._trouble = RedisTrouble(passwords_of(address), is_silent=which > 0)
        self._guard = self._new_guard()
        self._link = connect(address, connect_timeout_s=_CONNECT_S, max_connections=_CONNECTIONS_MAX)
        self.pipelines: Pipelines = self._new_pipelines() if beside is None else beside.pipelines
        self._names = EntryNames(self._prefix)
        self._lookups = Lookups(self._link.client, self.pipelines, self._codec, self._names, self._guard)
        # Apart from the other: a blocking read must not hold up requests, nor a burst of them the purges.
        self._log_link = connect(address, connect_timeout_s=_CONNECT_S, max_connections=_CONNECTIONS_MAX)
        self._log = self._new_log(Seal(own.sealing, _MESSAGE_LIMIT_BYTES), clock)
        self._not_before_store = NotBeforeStore(self._log_link.client, self._prefix, own, not_before or NotBefore())
        self._realms: frozenset[str] = frozenset()
        self._follower = Follower(self._log, self._warm_up, monotonic, self._agree, self._trouble)
        self._notifier = Notifier(lambda: self._subscriber(address), f"{self._prefix}settled", self._refused)
        self.leases = self._leases(PipelinedScripts(self._link.client, self.pipelines, self._guard))
        self.limits = self._limits(own)

    def _new_pipelines(self) -> Pipelines:
        return Pipelines(self._link.client, timeout_s=self.timeout_s, bulk_bytes_max=ENTRY_LIMIT_BYTES + 1)

    def _new_log(self, seal: Seal, clock: Callable[[], float]) -> PurgeLog:
        return PurgeLog(self._log_link.client, f"{self._prefix}purges", seal, self._purge_index, clock)

    def _new_guard(self) -> OperationGuard:
        return OperationGuard(
            lambda: self._follower.in_sync,
            self._monotonic,
            timeout_s=self.timeout_s,
            at_a_time=_CONNECTIONS_MAX,
            on_failure=self._trouble.operation_failed,
        )

    def _subscriber(self, address: RedisAddress) -> Link:
        return connect_subscriber(address, nodes_of(self._link.client), connect_timeout_s=_CONNECT_S)

    def _leases(self, scripts: PipelinedScripts) -> RedisLeases:
        return RedisLeases(
            self._notifier,
            scripts=scripts,
            name=self._name,
            open_entry=self._codec.open,
            seal_entry=self._codec.seal,
            entry_limit_bytes=ENTRY_LIMIT_BYTES,
            monotonic=self._monotonic,
        )

    def _limits(self, own: HmacKeys) -> FleetLimits:
        return FleetLimits(
            self._link.client,
            self.pipelines,
            self._guard,
            name=lambda limit, identity: self._name_of_limit(own.limit_key(limit, identity)),
            is_healthy=lambda: self.healthy,
            channel=self._notifier.channel,
        )

    @property
    def healthy(self) -> bool:
        """Whether results are shared at present."""
        return self._follower.in_sync and not self._guard.is_backing_off

    def _refused(self, error: BaseException) -> None:
        self._trouble.operation_failed(error, self._monotonic())

    @property
    def trouble(self) -> str:
        """Why results are not shared at present."""
        return "" if self.healthy else self._trouble.reason

    async def start(self, on_purge: Callable[[TagPurge], object]) -> None:
        """Begins to follow the fleet, and calls `on_purge` with purges of other instances.

        Returns when Redis can be used, or after a second. Redis is used when it comes.
        """
        if self._is_first:
            self._notifier.start()  # leases are taken under the first secret only, and limits counted
            self.limits.start()
        await self._follower.start(on_purge, _FIRST_SYNC_S)

    def on_order(self, heard: Callable[[TagPurge], object]) -> None:
        """Calls `heard` from now on with each order that the fleet's log holds."""
        self._log.on_order = heard

    async def close(self) -> None:
        await self.leases.close()
        await self._notifier.close()
        await self._follower.close()
        await self._lookups.close()
        await self.limits.close()
        await self.pipelines.close()
        for link in (self._link, self._log_link):
            with suppress(*FAILURES):
                await link.close()

    def follow_realms(self, realms: frozenset[str]) -> None:
        """Sets the realms whose not-before times this process agrees on with the fleet."""
        if not realms <= self._realms:
            self._realms = realms
            self._follower.renew_soon()

    def extend_life(self, life_max_s: float) -> None:
        """Let results live for `life_max_s` from now on. Purges are remembered for at least as long."""
        self._life_max_s = max(self._life_max_s, life_max_s + self._clock_skew_s)

    def log_position(self) -> bytes:
        return self._purge_index.log_position() if self._follower.in_sync else b""

    def get(self, key: bytes, realm: str) -> asyncio.Future[Recalled | Absent]:
        return self._lookups.get(key, realm)

    async def put(self, key: bytes, recalled: Recalled, log_position: bytes) -> None:
        entry = self._codec.seal(key, recalled, log_position)
        if entry is not None:
            sealed, left_ms = entry
            await self._guard.tried(partial(self._link.client.set, self._name(key), sealed, px=left_ms))

    def hide(self, purge: TagPurge) -> None:
        self._purge_index.expect(purge, self._monotonic(), self._life_max_s)

    async def publish_purge(self, purge: TagPurge) -> bool:
        """Tells the fleet, which follows within a second. Returns False when Redis could not be told yet.

        It is then tried again as long as any result lives that was to be forgotten.
        """
        told = await self._follower.publish(purge, self._monotonic() + self._life_max_s)
        if purge.not_before is not None:
            # If that fails now, the next look at the log does it.
            self._follower.renew_soon()
            await self._guard.tried(self._agree)
        await self._unlink(purge)
        return told

    async def publish_revocation(self, purge: TagPurge) -> bytes | None:
        told = await self._follower.publish(purge, self._monotonic() + self._life_max_s)
        if told and await self._follower.reads_back(purge.id):
            return self.log_position()
        await self._unlink(purge)
        return b"" if told else None

    async def _unlink(self, purge: TagPurge) -> None:
        """Deletes entries and leases of the key. They are void already; nobody should wait for a call that is
        void too.
        """
        for tag in purge.tags or ():
            name = self._names.of(tag)
            await self._guard.tried(partial(self._link.client.unlink, name, lease_name(name)))

    def _name(self, key: bytes) -> bytes:
        return self._names.of(self._codec.part(key))

    async def has_seen(self, tag: bytes) -> bool:
        """Whether the fleet has acted on the event with this key, as far as can be told."""
        return bool(await self._guard.tried(partial(self._link.client.exists, self._seen(tag))))

    async def remember_seen(self, tag: bytes, life_s: float) -> None:
        await self._guard.tried(partial(self._link.client.set, self._seen(tag), b"", px=int(life_s * 1000)))

    async def claim_seen(self, tag: bytes, life_s: float) -> bool | None:
        """Remember something that counts once: whether nobody did before; `None` where Redis cannot tell."""
        return await self._guard.tried(partial(self._set_once, self._seen(tag), int(life_s * 1000)))

    async def _set_once(self, name: str, life_ms: int) -> bool:
        return bool(await self._link.client.set(name, b"", px=life_ms, nx=True))

    def _seen(self, tag: bytes) -> str:
        return f"{self._prefix}seen:{urlsafe_b64encode(self._codec.part(tag)).rstrip(b'=').decode()}"

    def _name_of_limit(self, key: bytes) -> str:
        return f"{self._prefix}limit:{urlsafe_b64encode(key).rstrip(b'=').decode()}"

    async def _agree(self) -> None:
        await self._not_before_store.agree(self._realms)

    async def _warm_up(self) -> None:
        """Connects outside of any request's deadline, and learns a cluster's layout and the fleet's
        not-before times.
        """
        await self._link.client.exists(self._prefix + "purges")
        await self.pipelines.warm_up()
        await self._agree()
        self._guard.succeeded()
