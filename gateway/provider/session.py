"""aiohttp's client with its defaults replaced where they are wrong towards a provider; each with its reason."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import aiohttp
from aiohttp import ClientResponse
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

_FIELD_MAX_BYTES = 8 * 2**10
_HEADERS_MAX = 64
# Below the 60 s and 75 s after which common load balancers and nginx close, above the pause between two misses.
_KEEPALIVE_S = 30.0


class StaleConnectionError(aiohttp.ServerDisconnectedError):
    """A kept connection had ended, or had something waiting on it; nothing was sent."""


class CheckedRequest(aiohttp.ClientRequest):
    """Sends only on a connection on which nothing waits, else raises `StaleConnectionError`.

    aiohttp keeps reading an idle connection, and would hand bytes that came there to the next request as its answer:
    one caller's token would get what was said about another's (RFC 9112 §9.3 has answers in order, and nothing else).
    """

    async def send(self, conn: Connection) -> ClientResponse:
        for _ in range(2):  # the loop polls once and then runs what it read; so a waiting end of file is seen too
            await asyncio.sleep(0)
        protocol = conn.protocol
        if protocol is None or not protocol.is_connected() or protocol.should_close:
            raise StaleConnectionError
        self.on_checked(protocol)
        return await super().send(conn)

    def on_checked(self, protocol: ResponseHandler) -> None:
        """Called just before the first byte is written: what comes from now on is the answer."""


async def _mark_reused(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.reused = True


def new_session(connections_max: int, *, force_close: bool) -> aiohttp.ClientSession:
    """A session of the running loop. Each request's `trace_request_ctx` gets `reused = True` on a kept connection."""
    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(_mark_reused)
    connector = (
        aiohttp.TCPConnector(limit=connections_max, force_close=True)
        if force_close
        else aiohttp.TCPConnector(limit=connections_max, keepalive_timeout=_KEEPALIVE_S)
    )
    return aiohttp.ClientSession(
        connector=connector,
        request_class=CheckedRequest,
        headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "gateway"},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # the caller's deadline is the only clock
        cookie_jar=aiohttp.DummyCookieJar(),  # a session cookie would tie one caller's request to another's
        auto_decompress=False,  # a bomb must not be unpacked to learn that it is one
        trust_env=False,  # no proxy and no .netrc may see tokens and secrets
        raise_for_status=False,
        max_line_size=_FIELD_MAX_BYTES,
        max_field_size=_FIELD_MAX_BYTES,
        max_headers=_HEADERS_MAX,
        trace_configs=[trace],
    )
