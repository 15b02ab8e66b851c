"""The one place where the gateway calls a provider over HTTP.

One deadline spans a whole call: the wait for a slot, connecting, sending, and the last byte of the body. A call
follows no redirect, reads no environment, keeps no cookie, decodes nothing and reads a bounded answer. What the
library raises leaves here as `ProviderError`; `CancelledError` passes.

**Connections that died while idle.** A provider closes idle connections when it likes, and aiohttp repeats only
idempotent methods on its own, which POST is not. An introspection changes nothing (RFC 7662 §2), so it may be
repeated: `replay=True` uses kept connections and, when a kept one breaks before a status line came, repeats the call
once on a connection made for it. A grant must reach the provider once at most: codes and rotated refresh tokens are
good for one use, and using one twice ends the session (RFC 6749 §4.1.2, RFC 9700 §4.14). `replay=False` therefore
never uses a kept connection. aiohttp's own repetition remains for GET, which is only used for discovery.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from urllib.parse import urlencode

import aiohttp
from aiohttp import ClientResponse
from yarl import URL

from gateway.provider.errors import ConnectionLostError, DeadlineError, UnreachableError, UnusableAnswerError
from gateway.provider.retry_after import parse_retry_after_s
from gateway.provider.session import new_session
from gateway.provider.translate import CALL_ERRORS, translate

# Keycloak's fullest introspection answers are a few KiB, discovery documents about 10 KiB.
BODY_MAX_BYTES = 256 * 2**10

Pairs = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ProviderResponse:
    """An answer of any status but a redirect, read to its end. The body is what the provider sent, undecoded."""

    status: int
    body: bytes = field(repr=False)
    retry_after_s: float | None = None


class Calls:
    """Calls to one provider, at most `max_concurrency` at a time, each done within `timeout_s`.

    `tls` replaces the system's trust, for tests. Sessions are made by the first call, in its loop; `close` ends them.
    """

    def __init__(
        self,
        *,
        timeout_s: float,
        max_concurrency: int,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._timeout_s = timeout_s
        self._tls: ssl.SSLContext | bool = tls or True
        self._clock = clock
        self._connections_max = max_concurrency
        self._slots = asyncio.Semaphore(max_concurrency)
        self._kept: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None
        self._closed = False

    async def get(self, url: str) -> ProviderResponse:
        """Fetch a document. Raises `ProviderError`."""
        return await self._within_deadline("GET", url, {}, None, replay=False)

    async def post_form(self, url: str, pairs: Pairs, headers: Pairs = (), *, replay: bool) -> ProviderResponse:
        """Post a form; `replay` says that to post it twice does no harm. Raises `ProviderError`."""
        form = urlencode(list(pairs)).encode("ascii")
        typed = {**dict(headers), "Content-Type": "application/x-www-form-urlencoded"}
        return await self._within_deadline("POST", url, typed, form, replay=replay)

    async def close(self) -> None:
        """Release every connection. Calls that are under way fail, later ones are refused."""
        self._closed = True
        for session in (self._kept, self._fresh):
            if session is not None:
                await session.close()

    async def _within_deadline(
        self, method: str, url: str, headers: dict[str, str], form: bytes | None, *, replay: bool
    ) -> ProviderResponse:
        try:
            async with asyncio.timeout(self._timeout_s), self._slots:
                return await self._call(method, url, headers, form, replay=replay)
        except TimeoutError:
            raise DeadlineError(f"it gave no complete answer within {self._timeout_s:g} s") from None

    async def _call(
        self, method: str, url: str, headers: dict[str, str], form: bytes | None, *, replay: bool
    ) -> ProviderResponse:
        if replay:
            attempt = SimpleNamespace(reused=False, answered=False)
            try:
                return await self._attempt(self._kept_session(), attempt, method, url, headers, form)
            except ConnectionLostError:
                if attempt.answered or not attempt.reused:
                    raise
        attempt = SimpleNamespace(reused=False, answered=False)
        return await self._attempt(self._fresh_session(), attempt, method, url, headers, form)

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
                allow_redirects=False,  # a redirect would carry the token and our secret to a place nobody named
                ssl=self._tls,
                trace_request_ctx=attempt,  # in which `new_session` notes `reused`
            ) as response:
                attempt.answered = True
                try:
                    return await self._read(response)
                except BaseException:
                    response.close()  # what is left of the answer must not wait in the pool
                    raise
        except CALL_ERRORS as error:
            raise translate(error) from None  # the library's error holds our Authorization header

    async def _read(self, response: ClientResponse) -> ProviderResponse:
        if response.status // 100 == 3:  # noqa: PLR2004 - RFC 9110 §15.4
            raise UnusableAnswerError(f"it answered with the redirect {response.status}, which is not followed")
        lengths = [*response.headers.getall("Content-Length", ()), *response.headers.getall("Transfer-Encoding", ())]
        if len(lengths) > 1:  # RFC 9112 §6.3: two readers would find two ends; not each parser of aiohttp refuses it
            raise UnusableAnswerError("its answer has two lengths")
        codings = ",".join(response.headers.getall("Content-Encoding", ())).strip().lower()
        if codings not in {"", "identity"}:
            raise UnusableAnswerError("its answer is compressed, which was not asked for")
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > BODY_MAX_BYTES:
                raise UnusableAnswerError(f"its answer is larger than {BODY_MAX_BYTES // 2**10} KiB")
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
