"""The one place where the gateway calls a provider over HTTP.

A call follows no redirect, reads no environment, keeps no cookie, decodes nothing and reads a bounded response.
aiohttp's errors leave this module as `ProviderError`; `CancelledError` passes.

**Time and number.** Each call has exactly one deadline and waits in exactly one queue. A document or a grant has them
here: one deadline spans the wait for a slot, connecting, sending, and the last byte of the body. An introspection has
them from its caller, `gateway.provider.introspection_guard`, whose queue is fair and whose deadline spans a retry.

**Connections that died while idle.** A provider closes idle connections when it likes. aiohttp repeats only
idempotent methods, and POST is not one. An introspection changes nothing (RFC 7662 §2), so it may be repeated:
`post_introspection` uses kept connections. When a kept one breaks before a status line came, it repeats the call once
on a new connection. A grant must reach the provider once at most: codes and rotated refresh tokens are good for one
use, and using one twice ends the session (RFC 6749 §4.1.2, RFC 9700 §4.14). `post_grant` therefore never uses a kept
connection. aiohttp's own repetition remains for GET, which reads documents.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import ClientResponse
from yarl import URL

from gateway.config.provider_model import Provider
from gateway.config.proxy_url import ForwardProxy, parse_proxy_url
from gateway.provider.errors import ConnectionLostError, DeadlineError, UnreachableError, UnusableResponseError
from gateway.provider.retry_after import parse_retry_after_s
from gateway.provider.session import new_session
from gateway.provider.translate import CALL_ERRORS, PROXY_REFUSES_LOGIN, translate

# Keycloak's fullest introspection answers are a few KiB, discovery documents about 10 KiB.
BODY_MAX_BYTES = 256 * 2**10
_WANTS_PROXY_LOGIN = 407

Pairs = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ProviderResponse:
    """A response of any status but a redirect, read to its end. The body is what the provider sent, undecoded."""

    status: int
    body: bytes = field(repr=False)
    retry_after_s: float | None = None


class Calls:
    """Sends calls to one provider.

    Documents and grants: at most `max_concurrency` at a time, each within `timeout_s`. Introspections: the caller sends
    at most `introspections_max` at a time and bounds their time. `tls` replaces the system's trust, for tests. The
    first call makes the sessions, in its loop; `close` ends them.
    """

    def __init__(
        self,
        *,
        timeout_s: float,
        max_concurrency: int,
        introspections_max: int = 0,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        proxy: ForwardProxy | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._timeout_s = timeout_s
        self._tls: ssl.SSLContext | bool = tls or True
        self._server_name = server_name
        self._through = {} if proxy is None else _through(proxy)
        self._clock = clock
        self._connections_max = max_concurrency + introspections_max
        self._slots = asyncio.Semaphore(max_concurrency)
        self._kept: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None
        self._closed = False

    async def get(self, url: str) -> ProviderResponse:
        """Fetch a document. Raises `ProviderError`."""
        return await self._within_deadline("GET", url, {}, None)

    async def post_grant(self, url: str, pairs: Pairs, headers: Pairs = ()) -> ProviderResponse:
        """Post a form once at most. Raises `ProviderError`."""
        return await self._within_deadline("POST", url, _form_headers(headers), _form(pairs))

    async def post_introspection(self, url: str, pairs: Pairs, headers: Pairs = ()) -> ProviderResponse:
        """Post a form that the provider may get twice. The caller sets the deadline. Raises `ProviderError`."""
        form_headers, form = _form_headers(headers), _form(pairs)
        attempt = _new_attempt()
        try:
            return await self._attempt(self._kept_session(), attempt, "POST", url, form_headers, form)
        except ConnectionLostError:
            if attempt.has_response or not attempt.reused:
                raise
        return await self._attempt(self._fresh_session(), _new_attempt(), "POST", url, form_headers, form)

    async def close(self) -> None:
        """Release every connection. Calls that are under way fail, later ones are refused."""
        self._closed = True
        for session in (self._kept, self._fresh):
            if session is not None:
                await session.close()

    async def _within_deadline(
        self, method: str, url: str, headers: dict[str, str], form: bytes | None
    ) -> ProviderResponse:
        try:
            async with asyncio.timeout(self._timeout_s), self._slots:
                return await self._attempt(self._fresh_session(), _new_attempt(), method, url, headers, form)
        except TimeoutError:
            raise DeadlineError(f"it gave no complete answer within {self._timeout_s:g} s") from None

    async def _attempt(
        self,
        session: aiohttp.ClientSession,
        attempt: SimpleNamespace,
        method: str,
        url: str,
        headers: dict[str, str],
        form: bytes | None,
    ) -> ProviderResponse:
        try:
            async with session.request(
                method,
                URL(url, encoded=True),  # encoded: the endpoint goes out as it stands in the file
                headers=headers,
                data=form,
                allow_redirects=False,  # a redirect would carry the token and our secret to another host
                ssl=self._tls,
                server_hostname=self._server_name,
                trace_request_ctx=attempt,  # `new_session` sets its `reused`
                **self._through,
            ) as response:
                attempt.has_response = True
                try:
                    return await self._read(response)
                except BaseException:
                    response.close()  # the rest of the response must not wait in the pool
                    raise
        except CALL_ERRORS as error:
            raise translate(error) from None  # the library's error holds our Authorization header

    async def _read(self, response: ClientResponse) -> ProviderResponse:
        if response.status == _WANTS_PROXY_LOGIN and self._through:
            raise UnreachableError(PROXY_REFUSES_LOGIN)
        if response.status // 100 == 3:  # noqa: PLR2004 - RFC 9110 §15.4
            raise UnusableResponseError(f"it answered with the redirect {response.status}, which is not followed")
        lengths = [*response.headers.getall("Content-Length", ()), *response.headers.getall("Transfer-Encoding", ())]
        if len(lengths) > 1:  # RFC 9112 §6.3: two readers would find two ends; some of aiohttp's parsers allow it
            raise UnusableResponseError("its answer has two lengths")
        codings = ",".join(response.headers.getall("Content-Encoding", ())).strip().lower()
        if codings not in {"", "identity"}:
            raise UnusableResponseError("its answer is compressed, which was not asked for")
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > BODY_MAX_BYTES:
                raise UnusableResponseError(f"its answer is larger than {BODY_MAX_BYTES // 2**10} KiB")
        retry_after_s = parse_retry_after_s(response.headers.get("Retry-After"), self._clock())
        return ProviderResponse(response.status, bytes(body), retry_after_s)

    def _kept_session(self) -> aiohttp.ClientSession:
        self._refuse_when_closed()
        if self._kept is None:
            self._kept = new_session(self._connections_max, force_close=False)
        return self._kept

    def _fresh_session(self) -> aiohttp.ClientSession:
        self._refuse_when_closed()
        if self._fresh is None:
            self._fresh = new_session(self._connections_max, force_close=True)
        return self._fresh

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise UnreachableError("its client in the gateway is closed")


def through_proxy(config: Provider) -> ForwardProxy | None:
    """The proxy that calls to the provider go through."""
    return None if config.proxy is None else parse_proxy_url(config.proxy.get_secret_value())


def _through(proxy: ForwardProxy) -> dict[str, Any]:
    """The arguments by which aiohttp sends a call through `proxy`: to an https:// URL in a tunnel (RFC 9110 §9.3.6)."""
    if proxy.username is None:
        return {"proxy": URL(proxy.url)}
    login = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
    # aiohttp sends it to the proxy as Proxy-Authorization, with a call or with CONNECT, and never through a tunnel.
    return {"proxy": URL(proxy.url), "proxy_headers": {"Authorization": f"Basic {login}"}}


def _form(pairs: Pairs) -> bytes:
    return urlencode(list(pairs)).encode("ascii")


def _form_headers(headers: Pairs) -> dict[str, str]:
    return {**dict(headers), "Content-Type": "application/x-www-form-urlencoded"}


def _new_attempt() -> SimpleNamespace:
    """Says of one attempt whether it `reused` a kept connection and whether a response has begun."""
    return SimpleNamespace(reused=False, has_response=False)
