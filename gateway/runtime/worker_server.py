"""One process that serves: a listener, the configuration in force, and how it is swapped, purged, asked and drained."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from gateway.authn.bearer import Token
from gateway.config.model import Config
from gateway.config.server_model import Server
from gateway.events.event_receiver import EventMeter
from gateway.events.replay import Replays
from gateway.http.unfinished import HeadLimits
from gateway.introspection.invalidation import KINDS, Invalidation
from gateway.introspection.tag_purge import TagPurge
from gateway.proxy.access_record import AccessRecord
from gateway.proxy.downstream.listener import Listener
from gateway.proxy.downstream.listener_limits import Limits
from gateway.proxy.downstream.listener_state import Gauge
from gateway.proxy.downstream.shares import ConnectionLimits, default_share
from gateway.proxy.downstream.sweep import Sweep
from gateway.proxy.downstream.tls import server_context
from gateway.proxy.fast_lane import FastLane
from gateway.proxy.generation import Generation, Watch
from gateway.proxy.relay import Relay
from gateway.proxy.request_context import Recorder, RequestContextFactory
from gateway.proxy.request_id import RequestIds
from gateway.proxy.streams.open_streams import Streams
from gateway.proxy.upstream.pools import UpstreamPools
from gateway.runtime.assembly import assemble, release, retire
from gateway.runtime.descriptors import allow_descriptors
from gateway.runtime.event_endpoint import receiver_of
from gateway.runtime.explain import explain
from gateway.runtime.invalidation_broadcaster import DelayedInvalidations, InvalidationBroadcaster, Spread
from gateway.runtime.token_type_sharing import note_token_types
from gateway.workers.instance import Readiness

_logger = logging.getLogger(__name__)
_LANDING_S = 1.0


class Observer(Watch, Recorder, Gauge, EventMeter, Protocol):
    """Who counts and logs what this process does."""

    def finished(self, exchange: AccessRecord) -> None: ...


class WorkerServer:
    """`start` first, `drain` last. `sock` is bound already."""

    def __init__(self, sock: socket.socket, observer: Observer, spread: Spread | None = None) -> None:
        self._sock = sock
        self._observer = observer
        self._evicting = InvalidationBroadcaster(lambda: self.running, self._on_purge, spread)
        self._repeats = DelayedInvalidations(self._evicting)
        self._replays = Replays(time.monotonic)
        self._streams = Streams(lambda: self.running, self._relays)
        self._running: Generation | None = None
        self._retiring: dict[asyncio.Task[None], Generation] = {}
        self._listener: Listener | None = None
        self._backends: UpstreamPools | None = None
        self._sweep: Sweep | None = None
        self._fast_lane: FastLane | None = None
        self._is_draining = False
        self._was_ready = False

    @property
    def running(self) -> Generation:
        if self._running is None:
            raise RuntimeError("the engine has not been started")
        return self._running

    async def start(self, config: Config) -> None:
        """Accept requests under `config`. Raises `ValueError`, in words, where it can not be served."""
        server = config.server
        tls = _context(server)
        self._running = await self._assembled(config)
        self._running.show_breakers(self._observer)
        self._backends = UpstreamPools(lambda: self.running.config.server.max_connections)
        self._backends.adjust(config.routes)
        turns = RequestContextFactory(lambda: self.running, self._observer, RequestIds().new)
        self._fast_lane = FastLane(turns, self._backends)
        self._listener = Listener(turns, self._backends, self._observer, _limits(server), self._fast(server))
        self._sweep = Sweep([self._listener.sweep, self._backends.sweep], config)
        self._streams.start()
        await self._listener.start(self._sock, tls, proxy_protocol=server.proxy_protocol)

    async def apply(self, config: Config) -> None:
        """Serve the next request under `config`; of those under way, what stays open is judged by it as well.

        Raises `ValueError`.
        """
        before = self.running
        if (before.config.server.tls is None) != (config.server.tls is None):
            raise ValueError("server.tls can not be switched by a reload; restart to serve with or without TLS")
        if before.config.server.proxy_protocol != config.server.proxy_protocol:
            raise ValueError(
                "server.proxy_protocol can not be switched by a reload; restart to serve with or without it"
            )
        tls = _context(config.server)  # fails before anything is changed
        new = await self._assembled(config, before)
        if self._listener is not None:
            self._listener.adjust(_limits(config.server), self._fast(config.server), tls)
        if self._sweep is not None:
            self._sweep.adjust(config)
        if self._backends is not None:
            self._backends.adjust(config.routes)
        self._running = new
        new.show_breakers(self._observer)
        self._streams.judge_all()
        task = asyncio.create_task(retire(before, new), name="retire a configuration")
        self._retiring[task] = before
        task.add_done_callback(self._retired)

    async def purge(self, selector: Mapping[str, str]) -> int:
        """Forget `{"token": …}`, `{"sub": …}` or another `Kind`, or everything.

        `id` names the order where others got it as well.
        Returns how many entries this process dropped. The fleet is told; where Redis can not be reached now, it is
        told later.
        """
        running = self.running
        token = selector.get("token")
        claims = {kind: selector.get(kind) for kind in KINDS}
        purge = running.authenticator.purge_of(token=Token(token) if token else None, **claims)
        if "id" in selector:
            purge = replace(purge, id=bytes.fromhex(selector["id"]))
        evicted = self._on_purge(purge)
        shared = running.cache.shared
        if shared is not None and not await shared.publish_purge(purge):
            _logger.warning("the fleet could not be told of a purge yet", extra={"event": "purge_delayed"})
        return evicted

    def forget(self, eviction: Invalidation) -> None:
        """Forget what another worker of this instance was told of."""
        if self._running is not None:
            self._evicting.here(eviction)
            if eviction.typed is not None:
                self._streams.judge_all()

    async def explain(self, question: Mapping[str, str]) -> dict[str, Any]:
        running = self.running
        return await explain(
            running.gate, running.authenticator, question["method"], question["url"], question.get("token")
        )

    def readiness(self) -> Readiness:
        """Ready once every provider has been found; a reload that adds one does not take the rest away."""
        if self._running is None:
            return Readiness(ready=False, reasons=("starting",))
        waiting = [name for name, provider in self._running.providers.items() if not provider.ready]
        self._was_ready = self._was_ready or not waiting
        shared = self._running.cache.shared
        checks = {
            "providers": {name: "waiting" if name in waiting else "ready" for name in self._running.providers},
            "breakers": {name: provider.breaker for name, provider in self._running.providers.items()},
            "redis": "not configured" if shared is None else "shared" if shared.healthy else "away",
        }
        reasons = ["draining"] if self._is_draining else []
        if not self._was_ready:
            reasons += [f"provider {name}: discovery has not succeeded yet" for name in waiting]
        return Readiness(not reasons, tuple(reasons), checks)

    def lame_duck(self) -> None:
        """No longer ready, and each response is the last on its connection; requests are served as before."""
        self._is_draining = True
        if self._listener is not None:
            self._listener.lame_duck()

    async def drain(self, timeout_s: float | None = None) -> None:
        """Stop accepting, let exchanges end for `timeout_s` (else as configured), release everything."""
        self._is_draining = True
        if self._running is None:
            return
        running = self._running
        if self._listener is not None:
            await self._listener.drain(running.config.server.shutdown_timeout if timeout_s is None else timeout_s)
        await self._repeats.close()
        await self._evicting.close(_LANDING_S)
        retiring = list(self._retiring.items())
        for task, _ in retiring:
            task.cancel()
        await asyncio.gather(*(task for task, _ in retiring), return_exceptions=True)
        for _, old in retiring:
            await release(old, running)
        await release(running, None)
        await self._streams.close()
        if self._sweep is not None:
            self._sweep.stop()
        if self._backends is not None:
            self._backends.close()

    def _fast(self, server: Server) -> FastLane | None:
        return self._fast_lane if server.fast_path else None

    async def _assembled(self, config: Config, before: Generation | None = None) -> Generation:
        told = self._evicting.tell_workers_of, self._learned_token_type, self._streams.revoked_elsewhere
        running = await assemble(config, self._observer, self._on_purge, before, *told, lambda: self._running)
        running.receiver = receiver_of(running, self._evicting, self._repeats, self._replays, self._observer)
        return running

    def _on_purge(self, purge: TagPurge) -> int:
        if self._running is None:
            return 0
        self._streams.purged(purge)
        all_running = [self._running, *self._retiring.values()]
        news = [note_token_types(purge, one.providers.values(), one.cache.keys) for one in all_running]
        if any(news):
            self._streams.judge_all()
        # Several configurations may share one memory: what the first one dropped is not there for the next.
        return sum(one.authenticator.purge(purge) for one in all_running)

    def _learned_token_type(self, identity: bytes) -> None:
        self._evicting.tell_of_token_type(identity)
        self._streams.judge_all()

    def _relays(self) -> list[Relay]:
        return [] if self._listener is None else self._listener.relays()

    def _retired(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        self._retiring.pop(task, None)
        if (error := task.exception()) is not None:
            _logger.error("an old configuration could not be closed", exc_info=error)


def _context(server: Server) -> ssl.SSLContext | None:
    try:
        return None if server.tls is None else server_context(server.tls)
    except OSError as error:
        raise ValueError(f"server.tls: the certificate or its key can not be used ({error}); name others") from error


def _limits(server: Server) -> Limits:
    """What its connections are held to, once there are descriptors for them as far as this process may have them."""
    descriptors = allow_descriptors(server.max_connections)
    share = server.max_connections_per_network or default_share(descriptors.connections_max)
    return Limits(
        header_timeout_s=server.header_timeout,
        idle_timeout_s=server.idle_timeout,
        head=HeadLimits(server.max_header_bytes, server.max_headers),
        connections=ConnectionLimits(descriptors.connections_max, share),
        clients_end=descriptors.clients_end,
        trusted_proxies=server.trusted_proxies,
    )
