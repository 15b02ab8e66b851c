"""A listener for requests: aiohttp's application with one catch-all handler, on a socket that was bound before."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp import web

from gateway.proxy.downstream.accepting import Door
from gateway.proxy.downstream.aiohttp_connection import AiohttpConnection
from gateway.proxy.downstream.client_connection import ClientConnection
from gateway.proxy.downstream.draining import drain_connections, empty_accept_queue
from gateway.proxy.downstream.head_budget import HeadBudget
from gateway.proxy.downstream.listener_limits import Limits
from gateway.proxy.downstream.listener_state import FastLanePort, ListenerState
from gateway.proxy.downstream.shares import Shares
from gateway.proxy.guarded_lane import GuardedLane
from gateway.proxy.relay import Relay
from gateway.proxy.request_context import Recorder, RequestContextFactory

_BACKLOG = 2048
# For an exchange that is cut to end; aiohttp takes 0 for no limit at all.
_CUT_S = 0.1


class Listener:
    """Serves on one socket. `start`, then `drain`, before which may come `lame_duck`; not to be started again."""

    def __init__(
        self,
        general: Callable[[web.Application], GuardedLane],
        contexts: RequestContextFactory,
        recorder: Recorder,
        limits: Limits,
        fast: FastLanePort | None,
    ) -> None:
        app = web.Application()
        self._contexts = contexts
        # The argument for it is deprecated without another way to have one.
        app._router = _OneRoute(general(app).handle)  # noqa: SLF001
        self._runner = web.AppRunner(app, handler_cancellation=True)
        shares: Shares[ClientConnection] = Shares(limits.connections)
        heads: HeadBudget[AiohttpConnection | ClientConnection] = HeadBudget(_network_of)
        loop = asyncio.get_running_loop()
        self._state = ListenerState(loop, recorder, limits, self._general, fast, shares, heads)
        self._server: asyncio.Server | None = None
        self._door: Door | None = None
        self._sock: socket.socket | None = None

    async def start(self, sock: socket.socket, tls: ssl.SSLContext | None, *, proxy_protocol: bool = False) -> None:
        await self._runner.setup()
        self._sock = sock
        if tls is not None or proxy_protocol:
            is_balancer = self._is_trusted if proxy_protocol else None
            timeout_s = self._state.limits.header_timeout_s
            self._door = Door(sock, tls, lambda: ClientConnection(self._state), timeout_s, is_balancer)
            self._door.open()
            return
        # For Unix sockets too: create_unix_server would remove the file, which a worker's successor still needs.
        self._server = await self._state.loop.create_server(
            lambda: cast("asyncio.Protocol", ClientConnection(self._state)), sock=sock, backlog=_BACKLOG
        )

    def adjust(self, limits: Limits, fast: FastLanePort | None, tls: ssl.SSLContext | None) -> None:
        """Hold connections to `limits` and `tls` from now on, and offer what they send to `fast` first.

        Whether there is TLS at all, and the PROXY protocol, stays as it was at `start`.
        """
        self._state.limits = limits
        self._state.shares.adjust(limits.connections)
        self._state.fast = fast
        if self._door is not None:
            self._door.context = tls
            self._door.header_timeout_s = limits.header_timeout_s

    def _is_trusted(self, peer: str) -> bool:
        return self._contexts.running.compiled.trusted_proxies.has_peer(peer)

    def relays(self) -> list[Relay]:
        """The answers under way."""
        return [client.relay for client in self._state.shares.holders if client.relay is not None]

    def sweep(self, now_s: float) -> None:
        """End the connections that are idle or stuck."""
        for client in list(self._state.shares.holders):
            client.sweep(now_s)

    def lame_duck(self) -> None:
        """Say in each response from now on that it is the last on its connection; go on accepting."""
        self._state.is_draining = True

    async def drain(self, timeout_s: float) -> None:
        """Accept nothing more, let connections end for `timeout_s` (`draining`), then cut what is left."""
        self.lame_duck()
        await self._stop_accepting()
        # aiohttp's own way to shut down stops reading first, and so loses the uploads that are under way.
        await drain_connections(self._state.shares.holders, timeout_s)
        if self._runner.server is not None:
            await self._runner.server.shutdown(_CUT_S)
        for client in list(self._state.shares.holders):
            client.cut()
        if self._door is not None:
            await self._door.wait_closed()
        await self._runner.cleanup()

    async def _stop_accepting(self) -> None:
        if self._sock is not None:
            await empty_accept_queue(self._sock.fileno())
        if self._server is not None:
            self._server.close()
        if self._door is not None:
            self._door.close()

    def _general(self, client: ClientConnection) -> AiohttpConnection:
        manager = self._runner.server
        assert manager is not None  # setup has made it
        state = self._state
        return AiohttpConnection(
            manager,
            loop=state.loop,
            limits=lambda: state.limits,
            client=client,
            hold_head=state.hold_head,
            refused=self._contexts.refused,
        )


def _network_of(holder: AiohttpConnection | ClientConnection) -> str:
    """The widest network that its client counts for; those without one are counted together."""
    client = holder.client if isinstance(holder, AiohttpConnection) else holder
    return next(reversed(client.networks), "")


class _OneRoute(web.UrlDispatcher):
    """Every request goes to one handler; the pipeline has the word on its target.

    aiohttp's own search goes up a path segment by segment and copies what is left each time, which is quadratic in
    what a client sends, and turns away targets that are no path (`*`, `host:port`) before they are looked at.
    """

    def __init__(self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
        super().__init__()
        self._only = self.add_route("*", "/", handler, expect_handler=_expect_nothing)

    async def resolve(self, request: web.Request) -> web.UrlMappingMatchInfo:
        _ = request
        return web.UrlMappingMatchInfo({}, self._only)


async def _expect_nothing(_request: web.Request) -> None:
    """`100 Continue` is sent when the body is wanted, not before (aiohttp would send it at once)."""
