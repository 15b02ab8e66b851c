"""The listeners of one worker: the public one, and where other proxies ask, the one for decisions.

Both share the contexts of requests, and so the configuration in force, the record and the caches.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from dataclasses import replace

from gateway.config.server_model import Server
from gateway.proxy.decision_exchange import DecisionFastLane
from gateway.proxy.decision_lane import DecisionLane
from gateway.proxy.downstream.listener import Listener
from gateway.proxy.downstream.listener_limits import Limits
from gateway.proxy.downstream.shares import ConnectionLimits
from gateway.proxy.fast_lane import FastLane
from gateway.proxy.forwarding import Forwarder
from gateway.proxy.general_lane import GeneralLane
from gateway.proxy.relay import Relay
from gateway.proxy.request_context import Recorder, RequestContextFactory
from gateway.proxy.upstream.pools import UpstreamPools
from gateway.runtime.listener_settings import listener_limits


class Listeners:
    """`sockets` are the public one and, where there is one, that for decisions. `start` comes first, `drain` last."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        contexts: RequestContextFactory,
        pools: UpstreamPools,
        recorder: Recorder,
        server: Server,
    ) -> None:
        self._sockets = sockets
        self._fast = FastLane(contexts, pools)
        self._fast_decisions = DecisionFastLane(contexts)
        limits = listener_limits(server)
        self._public = Listener(
            lambda _: GeneralLane(contexts, Forwarder(pools)),
            contexts,
            recorder,
            limits,
            self._fast if server.fast_path else None,
        )
        self._decisions = (
            None
            if len(sockets) == 1
            else Listener(
                lambda _: DecisionLane(contexts),
                contexts,
                recorder,
                _of_proxies(limits),
                self._fast_decisions if server.fast_path else None,
            )
        )

    async def start(self, server: Server, tls: ssl.SSLContext | None) -> None:
        await self._public.start(self._sockets[0], tls, proxy_protocol=server.proxy_protocol)
        if self._decisions is not None:
            await self._decisions.start(self._sockets[1], None)

    def adjust(self, server: Server, tls: ssl.SSLContext | None) -> None:
        """Hold both to `server` from now on."""
        limits = listener_limits(server)
        self._public.adjust(limits, self._fast if server.fast_path else None, tls)
        if self._decisions is not None:
            self._decisions.adjust(_of_proxies(limits), self._fast_decisions if server.fast_path else None, None)

    def relays(self) -> list[Relay]:
        """The responses under way."""
        return self._public.relays()

    def sweep(self, now_s: float) -> None:
        for listener in self._all:
            listener.sweep(now_s)

    def lame_duck(self) -> None:
        for listener in self._all:
            listener.lame_duck()

    async def drain(self, timeout_s: float) -> None:
        await asyncio.gather(*(listener.drain(timeout_s) for listener in self._all))

    @property
    def _all(self) -> list[Listener]:
        return [self._public] if self._decisions is None else [self._public, self._decisions]


def _of_proxies(limits: Limits) -> Limits:
    """The limits for connections that all come from the same few proxies: one of them may have all places."""
    most = limits.connections.connections_max
    return replace(limits, connections=ConnectionLimits(most, most))
