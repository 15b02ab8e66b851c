"""All backends of a worker: a pool for each, kept across reloads; how a connection to one is opened."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf
from types import MappingProxyType
from typing import Any, cast

from aiohappyeyeballs import AddrInfoType, start_connection

from gateway.config.route_model import Route
from gateway.http.backend import Backend, Place, TlsFiles
from gateway.proxy.upstream.backend_error import NotConnectedError
from gateway.proxy.upstream.connect_reasons import why_not_connected
from gateway.proxy.upstream.connection import BackendConnection, PoolCallbacks
from gateway.proxy.upstream.pool import Pool
from gateway.proxy.upstream.tls_contexts import TlsContext, read_context

# RFC 8305 §8.
_NEXT_ADDRESS_AFTER_S = 0.25
# A backend that moves is followed within seconds.
_ADDRESSES_KEPT_S = 10.0
_NO_CONTEXTS: Mapping[TlsFiles, TlsContext] = MappingProxyType({})


class UpstreamPools:
    """`connections_max` bounds the connections to each backend."""

    def __init__(self, connections_max: Callable[[], int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._connections_max = connections_max
        self._pools: dict[Place, Pool] = {}
        self._empty: set[Place] = set()  # the pools that were, at the last sweep
        self._addresses: dict[Place, tuple[float, Sequence[AddrInfoType]]] = {}
        self._looking_up: dict[Place, asyncio.Task[Sequence[AddrInfoType]]] = {}
        self._max_age_s: dict[Place, float] = {}
        self._contexts: dict[TlsFiles | None, TlsContext] = {}

    def adjust(self, routes: Sequence[Route], contexts: Mapping[TlsFiles, TlsContext] = _NO_CONTEXTS) -> None:
        """Keep connections for no longer than these routes allow, where several share a backend the least of them.

        `contexts` are those of their backends. A connection that was made with other files takes no further request.
        """
        max_age_s: dict[Place, float] = {}
        for route in routes:
            for one in route.backend:
                place = one.backend.place
                max_age_s[place] = min(route.connection_max_age, max_age_s.get(place, inf))
        self._max_age_s = max_age_s
        before = self._contexts
        self._contexts = dict[TlsFiles | None, TlsContext](contexts.items())
        for place, pool in self._pools.items():
            known, now = before.get(place[3]), contexts.get(place[3]) if place[3] is not None else None
            if known is not None and now is not None and known.files != now.files:
                pool.retire()

    def pool(self, backend: Backend) -> Pool:
        place = backend.place
        pool = self._pools.get(place)
        if pool is None:
            pool = self._pools[place] = Pool(partial(self._open, place), self._connections_max, self._loop)
        return pool

    async def open_apart(self, backend: Backend, keeper: PoolCallbacks) -> BackendConnection:
        """A new connection that belongs to no pool. Raises `NotConnectedError`; the caller has the deadline."""
        return await self._open(backend.place, keeper)

    def sweep(self, now_s: float) -> None:
        before, self._empty = self._empty, set()
        for place, pool in list(self._pools.items()):
            pool.sweep(now_s, self._max_age_s.get(place, inf))
            if pool.is_empty and place in before:
                del self._pools[place]
                self._addresses.pop(place, None)
            elif pool.is_empty:
                self._empty.add(place)  # somebody may be about to ask it: its connections must be swept

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        for looking_up in self._looking_up.values():
            looking_up.cancel()

    async def _open(self, place: Place, keeper: PoolCallbacks) -> BackendConnection:
        """Raises `NotConnectedError` and `TimeoutError`; the caller has the deadline."""
        scheme, host, _, tls = place
        # Its methods are a protocol's, which the type checker would have as a base.
        make = cast("Callable[[], Any]", partial(BackendConnection, keeper, self._loop))
        try:
            if scheme == "unix":
                _, connection = await self._loop.create_unix_connection(make, host)
                return cast("BackendConnection", connection)
            addresses = await self._resolve(place)
            sock = await start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS_AFTER_S, loop=self._loop)
            try:
                # A small head behind a small body would else wait for the first to be acknowledged (RFC 9293 §3.7.4).
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if scheme == "https":
                    _, connection = await self._loop.create_connection(
                        make, sock=sock, ssl=self._context(tls), server_hostname=(tls and tls.server_name) or host
                    )
                else:
                    _, connection = await self._loop.create_connection(make, sock=sock)
            except BaseException:
                sock.close()
                raise
        except (OSError, RuntimeError) as error:  # uvloop raises the latter for a connection that was reset meanwhile
            if not isinstance(error, ssl.SSLError):
                self._addresses.pop(place, None)
            raise NotConnectedError(why_not_connected(_where(place), error)) from error
        return cast("BackendConnection", connection)

    async def _resolve(self, place: Place) -> Sequence[AddrInfoType]:
        now_s = self._loop.time()
        known = self._addresses.get(place)
        if known is not None and known[0] > now_s:
            return known[1]
        looking_up = self._looking_up.get(place)
        if looking_up is None:
            looking_up = self._looking_up[place] = self._loop.create_task(self._look_up(place))
            looking_up.add_done_callback(_noted)
        # `wait`: one who has no patience left does not end it for the others.
        await asyncio.wait({looking_up})
        return looking_up.result()

    async def _look_up(self, place: Place) -> Sequence[AddrInfoType]:
        """Look a name up, once at a time for each place. It holds one of few threads until the resolver replies."""
        _, host, port, _ = place
        try:
            found = cast("Sequence[AddrInfoType]", await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        finally:
            del self._looking_up[place]
        if not found:
            raise OSError(f"{host} has no address")
        self._addresses[place] = self._loop.time() + _ADDRESSES_KEPT_S, found
        return found

    def _context(self, files: TlsFiles | None) -> ssl.SSLContext:
        found = self._contexts.get(files)
        if found is None:  # the system's, or of a configuration that is on its way out
            found = self._contexts[files] = read_context(files)
        return found.context


def _noted(looking_up: asyncio.Task[Sequence[AddrInfoType]]) -> None:
    """Its failure is told to those who wait, and there may be nobody left."""
    if not looking_up.cancelled():
        looking_up.exception()


def _where(place: Place) -> str:
    scheme, host, port, _ = place
    if scheme == "unix":
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
