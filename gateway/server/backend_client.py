"""aiohttp's client as a gateway needs it towards backends: every default that is wrong here is set, with its reason.

The seam between the forwarder and the library: `BackendClient.send` and the errors below are all that the rest of
the server knows of it.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from gateway.config.upstream import Backend
from gateway.http.headers import Pairs
from gateway.provider.session import CheckedRequest, StaleConnectionError

_HEAD_LIMIT_BYTES = 64 * 2**10
_READ_BUFFER_BYTES = 2**16
# Shorter than what servers commonly keep, so that the backend rarely closes a connection just as it is used again.
_KEEPALIVE_S = 15.0
_INFORMATIONAL_MAX = 16
_SWITCHING_PROTOCOLS = 101
_BODYLESS = frozenset({204, 304})

Informational = Callable[[int, str, Pairs], Awaitable[None]]
ProblemOf = Callable[[int, str, tuple[int, int], Pairs], str | None]  # status, reason, version, fields


class BackendError(Exception):
    """The backend gave no answer that could be passed on.

    `BackendError`
    ├── `BackendUnreachableError`  no connection, or it was reset before the first byte: may be retried
    ├── `BackendBrokenError`       an answer began that is none
    └── `BackendTimeoutError`      it took longer than the route allows; never retried
    """


class BackendUnreachableError(BackendError):
    pass


class BackendBrokenError(BackendError):
    pass


class BackendTimeoutError(BackendError):
    pass


class BackendClient:
    """Connections to all backends of a worker, kept alive between requests and across reloads."""

    def __init__(self) -> None:
        self._session = _session()

    async def send(
        self,
        method: str,
        backend: Backend,
        path_and_query: str,
        headers: list[tuple[str, str]],
        *,
        body: AsyncIterator[bytes] | None,
        connect_timeout_s: float,
        on_sent: Callable[[], None],
        on_informational: Informational,
        problem_of: ProblemOf,
    ) -> aiohttp.ClientResponse:
        """The answer's head; its body is read from it by the caller, who must close it.

        `on_sent` is called when the head of the request has been written. An answer of which `problem_of` says what
        is wrong is no answer. Raises `BackendError`, also where the body's iterator raised.
        """
        # The target is put together verbatim: nothing here may normalise what was matched and authorised.
        url = URL.build(
            scheme=backend.scheme,
            host=backend.host,
            port=backend.port,
            path=backend.path + path_and_query,
            encoded=True,
        )
        talk = _Talk(on_informational, problem_of)
        _TALK.set(talk)
        while True:
            try:
                return await self._session.request(
                    method,
                    url,
                    data=body,
                    allow_redirects=False,  # where a redirect leads is the client's to decide
                    headers=_one_spelling(headers),
                    timeout=aiohttp.ClientTimeout(
                        total=None, connect=connect_timeout_s, sock_connect=connect_timeout_s
                    ),
                    trace_request_ctx=on_sent,
                )
            except StaleConnectionError:
                continue  # nothing was sent, and that connection is out of the pool: this ends with a new one
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                raise _translated(error, talk) from error

    async def close(self) -> None:
        await self._session.close()


def _one_spelling(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each name as it was first spelled: where two spellings of a name meet, aiohttp lets the last one win."""
    first: dict[str, str] = {}
    return [(first.setdefault(name.lower(), name), value) for name, value in fields]


def _translated(error: Exception, talk: _Talk) -> BackendError:
    words = f"{type(error).__name__}: {error}"
    if isinstance(error, TimeoutError):
        return BackendTimeoutError("no connection within connect_timeout")
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError | ssl.SSLError):
        return BackendBrokenError(words)
    reset = isinstance(error, aiohttp.ClientConnectionError | OSError)
    if reset and not talk.has_answered:
        return BackendUnreachableError(words)
    return BackendBrokenError(words)


def _session() -> aiohttp.ClientSession:
    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(_tell_sent)
    session = aiohttp.ClientSession(
        connector=_Connector(
            limit=0,  # connections are bounded by max_connections on the way in
            keepalive_timeout=_KEEPALIVE_S,
            ttl_dns_cache=10,  # a backend that moves is followed within seconds
        ),
        cookie_jar=aiohttp.DummyCookieJar(),  # one caller's cookies must never reach another's request
        auto_decompress=False,  # bodies pass as they are
        trust_env=False,  # a proxy named in the environment must not see the traffic
        raise_for_status=False,  # every status is the backend's to give
        requote_redirect_url=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        read_bufsize=_READ_BUFFER_BYTES,
        max_line_size=_HEAD_LIMIT_BYTES,
        max_field_size=_HEAD_LIMIT_BYTES,
        request_class=_Request,
        trace_configs=[tracing],
    )
    # aiohttp repeats idempotent requests on its own when a kept connection turns out dead. Here the route's `retries`
    # says how often a request may be sent; the library has no public switch for it.
    session._retry_connection = False  # noqa: SLF001
    return session


async def _tell_sent(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx()


@dataclass(slots=True)
class _Talk:
    """One request's hold on the connection that it was sent on."""

    on_informational: Informational
    problem_of: ProblemOf
    has_answered: bool = False  # whether a byte of an answer came: after that, nothing is sent a second time
    has_head: bool = False  # whether the head of the final answer is there
    is_final: bool = False  # whether the parser has it
    tail: bytes = b""  # the end of a head that is not whole yet
    head_bytes: int = 0  # what came until then
    is_over: bool = False


# The client library has no place for per-request callbacks in its protocol and response classes; each request runs in
# a task of its own, so a context variable is private to it.
_TALK: ContextVar[_Talk] = ContextVar("talk")


class _Protocol(ResponseHandler):
    """aiohttp's client protocol, which also passes 1xx on (RFC 9110 §15.2) and looks at every head before it counts."""

    talk: _Talk | None = None

    def data_received(self, data: bytes) -> None:
        talk = self.talk
        if talk is None:
            super().data_received(data)
            return
        talk.has_answered = talk.has_answered or bool(data)
        talk.head_bytes += 0 if talk.has_head else len(data)
        if data and talk.has_head and not self._upgraded and (self._payload is None or self._payload.is_eof()):
            # Nobody asked for this (RFC 9112 §9.2): whatever it is, it must not stand before the next answer.
            self._end()
            return
        if not talk.is_final:
            data = self._feed_heads(talk, data)
        if data or talk.is_final:  # nothing at all: go on with what was held back
            super().data_received(data)
        if not talk.has_head and not self._buffer and talk.head_bytes > _HEAD_LIMIT_BYTES:
            # The library bounds each field and their number, but not what they come to.
            self.set_exception(aiohttp.ClientPayloadError("the head of the answer is too large"))
            self._end()

    def _feed_heads(self, talk: _Talk, data: bytes) -> bytes:
        """Give the parser one head at a time; what is left behind the final one.

        Where no body can follow (RFC 9112 §6.3), what is left belongs to no answer: given to the parser as well, it
        would cost the answer that was sound.
        """
        while data and not talk.is_final:
            overlap = len(talk.tail)
            found = (talk.tail + data).find(b"\r\n\r\n")
            end = len(data) if found < 0 else found + 4 - overlap
            talk.tail = b"" if found >= 0 else (talk.tail + data)[-3:]
            super().data_received(data[:end])
            data = data[end:]
            if self.exception() is not None:
                return b""
            if self._buffer:
                (message, _), _ = self._buffer[-1]
                code = message.code
                talk.is_final = code not in range(100, 200) or code == _SWITCHING_PROTOCOLS
                if talk.is_final and data and (self._skip_payload or code in _BODYLESS):
                    self._end()
                    return b""
        return data

    @property
    def should_close(self) -> bool:
        """Asked when an answer is over, and again before the next request."""
        return super().should_close or self._has_begun_another()

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        super().set_exception(exc, *cause)
        # Where a body's framing turns out broken the library tells nobody, and who reads the body waits for ever.
        self._break_body("the framing of the answer is broken")

    def connection_lost(self, exc: BaseException | None) -> None:
        if exc is not None:
            # A body that ends with its connection would otherwise seem whole after a reset.
            self._break_body("the connection was lost within the body")
        super().connection_lost(exc)

    def _has_begun_another(self) -> bool:
        """Whether half an answer stands behind the last one.

        The parser alone knows: told that nothing more comes, it gives out what it has of a head. It is not used again,
        since each request gets a new one.
        """
        if self.talk is None or self.talk.is_over or self._parser is None:
            return False
        self.talk.is_over = True
        try:
            return self._parser.feed_eof() is not None
        except Exception:  # noqa: BLE001 - whatever it is that it can not make a head of
            return True

    def _end(self) -> None:
        self.force_close()
        if self.transport is not None:
            self.transport.close()

    def _break_body(self, problem: str) -> None:
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(aiohttp.ClientPayloadError(problem))
            # A reader that was just about to look wakes up to an end, and goes back to sleep at an error alone.
            self._payload.feed_eof()

    async def read(self) -> Any:
        """The next final answer. Raises `aiohttp.ClientPayloadError` where there is none to be trusted."""
        talk = self.talk
        assert talk is not None  # set before the answer is awaited
        for _ in range(_INFORMATIONAL_MAX):
            message, payload = await super().read()
            fields = pairs(message.raw_headers)
            # Found here, while the connection is not yet back in the pool, it is closed.
            if problem := talk.problem_of(
                message.code, message.reason, (message.version.major, message.version.minor), fields
            ):
                raise aiohttp.ClientPayloadError(problem)
            if message.code not in range(100, 200) or message.code == _SWITCHING_PROTOCOLS:
                talk.has_head = True
                return message, payload
            await talk.on_informational(message.code, message.reason, fields)
        raise aiohttp.ClientPayloadError("the backend sends informational answers without end")


class _Connector(aiohttp.TCPConnector):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        make: Any = _Protocol
        self._factory = functools.partial(make, loop=asyncio.get_running_loop())


class _Request(CheckedRequest):
    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        is_new = isinstance(conn.protocol, _Protocol) and conn.protocol.talk is None
        try:
            return await super().send(conn)
        except StaleConnectionError:
            if not is_new:
                raise
            # Another connection would be no better: this backend closes at once, or speaks before it is asked.
            raise aiohttp.ServerDisconnectedError("the backend ended or broke a connection that was new") from None

    def on_checked(self, protocol: ResponseHandler) -> None:
        assert isinstance(protocol, _Protocol)
        protocol.talk = _TALK.get()


async def body_of(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises `aiohttp.ClientError` or `TimeoutError` where it ends before its end."""
    async for chunk in answer.content.iter_any():
        yield chunk
    if (broken := answer.content.exception()) is not None:
        raise broken


def pairs(raw_headers: tuple[tuple[bytes, bytes], ...]) -> list[tuple[str, str]]:
    """Fields as text; bytes that are no UTF-8 survive as surrogates."""
    return [(name.decode("ascii", "replace"), value.decode("utf-8", "surrogateescape")) for name, value in raw_headers]
