"""aiohttp's client session. Replaces the defaults that are wrong towards a provider, each with its reason."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import aiohttp
from aiohttp import ClientResponse
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

_FIELD_MAX_BYTES = 8 * 2**10
_HEADERS_MAX = 64
# Common load balancers close after 60 s and nginx after 75 s. Two cache misses are less apart than this.
_KEEPALIVE_S = 30.0


class StaleConnectionError(aiohttp.ServerDisconnectedError):
    """A kept connection had ended, or bytes waited on it. Nothing was sent."""


class CheckedRequest(aiohttp.ClientRequest):
    """Sends only on a connection with no bytes waiting, else raises `StaleConnectionError`.

    aiohttp keeps reading an idle connection, and would take bytes that came there for the next request's response: one
    caller's token would get another token's response (RFC 9112 §9.3: responses come in order, and nothing else does).
    """

    async def send(self, conn: Connection) -> ClientResponse:
        for _ in range(2):  # the loop polls once and then runs the callbacks; so this sees a waiting end of file too
            await asyncio.sleep(0)
        protocol = conn.protocol
        if protocol is None or not protocol.is_connected() or protocol.should_close:
            raise StaleConnectionError
        self.on_checked(protocol)
        return await super().send(conn)

    def on_checked(self, protocol: ResponseHandler) -> None:
        """Called just before the first byte is written: bytes from now on are the response."""


async def _mark_reused(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.reused = True


def new_session(connections_max: int, *, force_close: bool) -> aiohttp.ClientSession:
    """A session in the running loop. On a kept connection it sets `reused` of the request's `trace_request_ctx`."""
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
        auto_decompress=False,  # a decompression bomb must not be unpacked
        trust_env=False,  # no proxy and no .netrc may see tokens and secrets
        raise_for_status=False,
        max_line_size=_FIELD_MAX_BYTES,
        max_field_size=_FIELD_MAX_BYTES,
        max_headers=_HEADERS_MAX,
        trace_configs=[trace],
    )
