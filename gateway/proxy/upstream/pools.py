"""All backends of a worker: a pool for each, kept across reloads; how a connection to one is opened."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import inf
from typing import Any, cast

from aiohappyeyeballs import AddrInfoType, start_connection

from gateway.config.route_model import Route
from gateway.http.backend import Backend
from gateway.proxy.upstream.backend_error import NotConnectedError
from gateway.proxy.upstream.connect_reasons import why_not_connected
from gateway.proxy.upstream.connection import BackendConnection
from gateway.proxy.upstream.pool import Pool

# RFC 8305 §8.
_NEXT_ADDRESS_AFTER_S = 0.25
# A backend that moves is followed within seconds.
_ADDRESSES_KEPT_S = 10.0

_Place = tuple[str, str, int]  # scheme, host or path of a Unix socket, port


class UpstreamPools:
    """`connections_max` bounds the connections to each backend."""

    def __init__(self, connections_max: Callable[[], int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._connections_max = connections_max
        self._pools: dict[_Place, Pool] = {}
        self._empty: set[_Place] = set()  # the pools that were, at the last sweep
        self._addresses: dict[_Place, tuple[float, Sequence[AddrInfoType]]] = {}
        self._looking_up: dict[_Place, asyncio.Task[Sequence[AddrInfoType]]] = {}
        self._max_age_s: dict[_Place, float] = {}
        self._tls: ssl.SSLContext | None = None

    def adjust(self, routes: Iterable[Route]) -> None:
        """Keep connections for no longer than these routes allow, where several share a backend the least of them."""
        max_age_s: dict[_Place, float] = {}
        for route in routes:
            for backend in route.backend:
                place = backend.place
                max_age_s[place] = min(route.connection_max_age, max_age_s.get(place, inf))
        self._max_age_s = max_age_s

    def pool(self, backend: Backend) -> Pool:
        place = backend.place
        pool = self._pools.get(place)
        if pool is None:
            pool = self._pools[place] = Pool(partial(self._open, place), self._connections_max, self._loop)
        return pool

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

    async def _open(self, place: _Place, keeper: Pool) -> BackendConnection:
        """Raises `NotConnectedError` and `TimeoutError`; the caller has the deadline."""
        scheme, host, _ = place
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
                        make, sock=sock, ssl=self._context(), server_hostname=host
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

    async def _resolve(self, place: _Place) -> Sequence[AddrInfoType]:
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

    async def _look_up(self, place: _Place) -> Sequence[AddrInfoType]:
        """One for each place at a time. It has a thread, of which there are few, for as long as the resolver likes."""
        _, host, port = place
        try:
            found = cast("Sequence[AddrInfoType]", await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        finally:
            del self._looking_up[place]
        if not found:
            raise OSError(f"{host} has no address")
        self._addresses[place] = self._loop.time() + _ADDRESSES_KEPT_S, found
        return found

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()  # verifies, and checks the name
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls


def _noted(looking_up: asyncio.Task[Sequence[AddrInfoType]]) -> None:
    """Its failure is told to those who wait, and there may be nobody left."""
    if not looking_up.cancelled():
        looking_up.exception()


def _where(place: _Place) -> str:
    scheme, host, port = place
    if scheme == "unix":
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
