"""One process that serves: the listener, the generation of the configuration in force, and all that happens to both.

How this works:

- `start` assembles the first generation, builds the pools, the lanes and the listener, and begins to accept.
- `apply` assembles a new generation, adjusts the listener, the sweep and the pools, and puts the new one in force. A
  task retires the old one once its last exchange has ended. Open streams are judged by the new one.
- `purge` comes from an operator, `apply_locally` from another worker of the instance, `_on_purge` from the fleet. All
  three reach every generation that still has requests.
- `lame_duck`, then `drain`, end it: no more accepting, exchanges end, tasks end, everything is released.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from gateway.authn.bearer import Token
from gateway.authn.seen_proofs import SeenProofs
from gateway.config.model import Config
from gateway.events.event_receiver import EventMeter
from gateway.events.replay import Replays
from gateway.introspection.invalidation import TOKEN_CLAIMS, Invalidation
from gateway.introspection.tag_purge import TagPurge
from gateway.proxy.access_record import AccessRecord
from gateway.proxy.downstream.sweep import Sweep
from gateway.proxy.generation import Generation
from gateway.proxy.limiter import LimitTally
from gateway.proxy.relay import Relay
from gateway.proxy.request_context import Recorder, RequestContextFactory
from gateway.proxy.request_id import RequestIds
from gateway.proxy.streams.open_streams import Streams
from gateway.proxy.upstream.backend_state import BackendTally
from gateway.proxy.upstream.pools import UpstreamPools
from gateway.proxy.upstream.tls_contexts import tls_contexts
from gateway.runtime.assembly import assemble, release, retire
from gateway.runtime.event_endpoint import event_endpoint_of
from gateway.runtime.explain import explain
from gateway.runtime.health_checks import HealthChecks, Leads, take_over
from gateway.runtime.invalidation_broadcaster import Broadcast, DelayedInvalidations, InvalidationBroadcaster
from gateway.runtime.listener_settings import listener_context
from gateway.runtime.listeners import Listeners
from gateway.runtime.obtaining_assembly import AssemblyMeter
from gateway.runtime.proof_replays import ClaimAtInstance, settle_proofs
from gateway.runtime.readiness import readiness_of
from gateway.runtime.token_type_sharing import note_token_types
from gateway.workers.instance import Readiness

_logger = logging.getLogger(__name__)
_CLOSE_S = 1.0


class Observer(AssemblyMeter, Recorder, EventMeter, Protocol):
    """Counts and logs what this process does."""

    def finished(self, record: AccessRecord) -> None: ...

    def backend_tally(self, route: str, backend: str) -> BackendTally: ...

    def limit_tally(self, limit: str) -> LimitTally: ...


class WorkerServer:
    """Serves requests on `sockets`, as `Listeners` takes them. `start` comes first, `drain` last."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        observer: Observer,
        tell_siblings: Broadcast | None = None,
        leads: Leads | None = None,
        claim: ClaimAtInstance | None = None,
    ) -> None:
        self._sockets = sockets
        self._observer = observer
        self._broadcaster = InvalidationBroadcaster(lambda: self.generation, self._on_purge, tell_siblings)
        self._delayed = DelayedInvalidations(self._broadcaster)
        self._replays = Replays(time.monotonic)
        self._proof_uses = (SeenProofs(), claim)
        self._streams = Streams(lambda: self.generation, self._relays)
        self._generation: Generation | None = None
        self._contexts: RequestContextFactory | None = None
        self._retiring: dict[asyncio.Task[None], Generation] = {}
        self._listeners: Listeners | None = None
        self._pools: UpstreamPools | None = None
        self._health: HealthChecks | None = None
        self._siblings = (leads, tell_siblings)
        self._sweep: Sweep | None = None
        self._is_draining = False
        self._was_ready = False

    @property
    def generation(self) -> Generation:
        if self._generation is None:
            raise RuntimeError("the server has not been started")
        return self._generation

    @property
    def has_started(self) -> bool:
        return self._generation is not None

    async def start(self, config: Config) -> None:
        """Accept requests under `config`. Raises `ValueError`, with the reason, where it cannot be served.

        Nothing is left of a start that fails: a listener that is open already ends its connections in order.
        """
        try:
            await self._start(config)
        except BaseException:
            await self.drain(_CLOSE_S)
            self._generation = None
            raise

    async def _start(self, config: Config) -> None:
        server = config.server
        tls, backend_tls = listener_context(server), tls_contexts(config.routes)
        self._generation = await self._assembled(config)
        self._show(self._generation)
        self._pools = UpstreamPools(lambda: self.generation.config.server.max_connections)
        self._pools.adjust(config.routes, backend_tls)
        contexts = self._contexts = RequestContextFactory(self._generation, self._observer, RequestIds().new)
        self._listeners = Listeners(self._sockets, contexts, self._pools, self._observer, server)
        self._sweep = Sweep([self._listeners.sweep, self._pools.sweep], config)
        self._streams.start()
        self._health = HealthChecks(self._pools, *self._siblings)
        self._health.follow(self._generation.backends.values())
        await self._listeners.start(server, tls)

    async def apply(self, config: Config) -> None:
        """Serve the next request under `config`, and judge the open streams by it.

        Raises `ValueError` where it cannot be served; the configuration before it stays in force then.
        """
        before = self.generation
        if (before.config.server.tls is None) != (config.server.tls is None):
            raise ValueError("server.tls cannot be switched by a reload; restart to serve with or without TLS")
        if before.config.server.proxy_protocol != config.server.proxy_protocol:
            raise ValueError("server.proxy_protocol cannot be switched by a reload; restart to serve with or without")
        tls, backend_tls = listener_context(config.server), tls_contexts(config.routes)  # fail before any change
        new = await self._assembled(config, before)
        if self._listeners is not None:
            self._listeners.adjust(config.server, tls)
        if self._sweep is not None:
            self._sweep.adjust(config)
        if self._pools is not None:
            self._pools.adjust(config.routes, backend_tls)
        self._generation = new
        if self._contexts is not None:
            self._contexts.running = new
        self._show(new)
        if self._health is not None:
            self._health.follow(new.backends.values())
        self._streams.judge_all()
        task = asyncio.create_task(retire(before, new), name="retire a configuration")
        self._retiring[task] = before
        task.add_done_callback(self._retired)

    async def purge(self, selector: Mapping[str, str]) -> int:
        """Forget `{"token": …}`, `{"sub": …}` or another claim of `TOKEN_CLAIMS`, or everything.

        `id` identifies the purge where other workers got it as well. Returns how many entries this process dropped.
        The fleet is told, later where Redis cannot be reached now.
        """
        generation = self.generation
        token = selector.get("token")
        claims = {kind: selector.get(kind) for kind in TOKEN_CLAIMS}
        purge = generation.authenticator.purge_of(token=Token(token) if token else None, **claims)
        if "id" in selector:
            purge = replace(purge, id=bytes.fromhex(selector["id"]))
        evicted = self._on_purge(purge)
        shared = generation.cache.shared
        if shared is not None:
            await shared.publish_purge(purge)  # what cannot be told yet is in the log, and tried again
        return evicted

    def apply_locally(self, invalidation: Invalidation) -> None:
        """Apply an invalidation that another worker of this instance has received."""
        if self._generation is not None:
            self._broadcaster.apply_locally(invalidation)
            if invalidation.typed is not None:
                self._streams.judge_all()

    def health_told(self, found: Mapping[str, Sequence[bool]]) -> None:
        """Believe what the worker that asks the backends has found."""
        if self._generation is not None:
            take_over(self._generation.backends, found)

    async def explain(self, question: Mapping[str, str]) -> dict[str, Any]:
        generation = self.generation
        return await explain(
            generation.compiled,
            generation.authenticator,
            question["method"],
            question["url"],
            question.get("token"),
            generation.conditions,
        )

    def ready(self) -> Readiness:
        """Ready once every provider has been discovered. A reload that adds a provider does not undo that."""
        if self._generation is None:
            return Readiness(ready=False, reasons=("starting",))
        self._was_ready = self._was_ready or not self._generation.waiting
        return readiness_of(self._generation, was_ready=self._was_ready, is_draining=self._is_draining)

    def lame_duck(self) -> None:
        """Stop being ready and make each response the last on its connection, but serve requests as before."""
        self._is_draining = True
        if self._listeners is not None:
            self._listeners.lame_duck()

    async def drain(self, timeout_s: float | None = None) -> None:
        """Stop accepting, let exchanges end within `timeout_s` (by default as configured), release everything."""
        self._is_draining = True
        if self._generation is None:
            return
        generation = self._generation
        if self._listeners is not None:
            await self._listeners.drain(generation.config.server.shutdown_timeout if timeout_s is None else timeout_s)
        await self._delayed.close()
        await self._broadcaster.close(_CLOSE_S)
        retiring = list(self._retiring.items())
        for task, _ in retiring:
            task.cancel()
        await asyncio.gather(*(task for task, _ in retiring), return_exceptions=True)
        for _, old in retiring:
            await release(old, generation)
        await release(generation, None)
        await self._streams.close()
        if self._health is not None:
            await self._health.close()
        if self._sweep is not None:
            self._sweep.stop()
        if self._pools is not None:
            self._pools.close()

    def _show(self, generation: Generation) -> None:
        """Have the metrics show what this is in, in the place of the one before."""
        generation.show_breakers(self._observer)
        for backends in generation.backends.values():
            backends.settle()

    async def _assembled(self, config: Config, before: Generation | None = None) -> Generation:
        generation = await assemble(
            config,
            self._observer,
            self._on_purge,
            before,
            on_revoked=self._broadcaster.tell_workers_of,
            on_token_type=self._learned_token_type,
            on_inactive=self._streams.revoked_elsewhere,
            in_force=lambda: self._generation,
            tally_of=self._observer.backend_tally,
            limit_tally_of=self._observer.limit_tally,
        )
        generation.receiver = event_endpoint_of(
            generation, self._broadcaster, self._delayed, self._replays, self._observer
        )
        settle_proofs(generation, *self._proof_uses)
        return generation

    def _on_purge(self, purge: TagPurge) -> int:
        if self._generation is None:
            return 0
        self._streams.purged(purge)
        generations = [self._generation, *self._retiring.values()]
        news = [note_token_types(purge, one.providers.values(), one.cache.keys) for one in generations]
        if any(news):
            self._streams.judge_all()
        for one in generations:
            if one.obtaining is not None:
                one.obtaining.forget(purge)
        # Several generations may share one cache: the next one no longer finds what the first one dropped.
        return sum(one.authenticator.forget(purge) for one in generations)

    def _learned_token_type(self, identity: bytes) -> None:
        self._broadcaster.tell_of_token_type(identity)
        self._streams.judge_all()

    def _relays(self) -> list[Relay]:
        return [] if self._listeners is None else self._listeners.relays()

    def _retired(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        self._retiring.pop(task, None)
        if (error := task.exception()) is not None:
            fields = {"event": "configuration_not_closed"}
            _logger.error("an old configuration could not be closed", exc_info=error, extra=fields)
