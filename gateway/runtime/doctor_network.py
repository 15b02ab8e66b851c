"""Tries a connection for `gateway doctor`: the name, TCP, TLS, and the clock that an HTTP response shows."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from gateway.config.proxy_url import ForwardProxy
from gateway.http.backend import UNIX, Backend
from gateway.proxy.upstream.connect_reasons import why_not_connected
from gateway.runtime.doctor_verdicts import Diagnosis, ahead_by_date_s, certificate_diagnosis

# The bound of everything that the doctor tries.
PROBE_MAX_S = 5.0
_DATE = re.compile(rb"\r\ndate:[ \t]*([^\r\n]{1,100})", re.IGNORECASE)
_CLOSE_S = 0.5
_CHECK = "check the address, that it runs, and the network between"
_DEFAULT_PORT = {"http": 80, "https": 443}

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class NotReachedError(Exception):
    """No connection. The text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Reached:
    """What a connection showed. `None`: it had none."""

    certificate_ends_s: float | None = None
    ahead_s: float | None = None  # how far the peer's clock is ahead of ours


async def reach_backend(backend: Backend, tls: ssl.SSLContext) -> Reached:
    """Connects and closes again. Raises `NotReachedError`."""
    if backend.scheme == UNIX:
        return await _reach(backend.host, asyncio.open_unix_connection(backend.host), None)
    context = tls if backend.scheme == "https" else None
    named = None if backend.tls is None else backend.tls.server_name
    opening = _opening(backend.host, backend.port, context, named)
    return await _reach(_where(backend.host, backend.port), opening, None)


async def reach_url(url: str, tls: ssl.SSLContext, server_name: str | None = None) -> Reached:
    """Connects, and asks for `url` to see the clock in the response. Raises `NotReachedError`."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _DEFAULT_PORT[parts.scheme]
    target = parts.path or "/"
    request = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\nConnection: close\r\n\r\n"
    context = tls if parts.scheme == "https" else None
    return await _reach(_where(host, port), _opening(host, port, context, server_name), request.encode())


async def reach_proxy(proxy: ForwardProxy) -> Reached:
    """Connects and closes again. Raises `NotReachedError`, in words that show no login."""
    parts = urlsplit(proxy.url)
    host, port = parts.hostname or "", parts.port or _DEFAULT_PORT["http"]
    return await _reach(f"its proxy {_where(host, port)}", _opening(host, port, None), None)


def backend_diagnosis(backend: Backend, found: Reached | NotReachedError, now_s: float) -> Diagnosis:
    subject = f"backend {backend}"
    if isinstance(found, NotReachedError):
        return Diagnosis("FAIL", subject, str(found))
    if found.certificate_ends_s is None:
        return Diagnosis("ok", subject, "it takes connections")
    return certificate_diagnosis(subject, found.certificate_ends_s, now_s)


def _opening(
    host: str, port: int, context: ssl.SSLContext | None, server_name: str | None = None
) -> Awaitable[Streams]:
    named = None if context is None else server_name or host
    return asyncio.open_connection(host, port, ssl=context, server_hostname=named)


async def _reach(where: str, opening: Awaitable[Streams], request: bytes | None) -> Reached:
    try:
        async with asyncio.timeout(PROBE_MAX_S):
            reader, writer = await opening
            try:
                ends_s = _certificate_ends_s(writer.get_extra_info("ssl_object"))
                return Reached(ends_s, None if request is None else await _ahead_s(reader, writer, request))
            finally:
                await _closed(writer)
    except TimeoutError:
        raise NotReachedError(f"{where} does not answer within {PROBE_MAX_S:g} s; {_CHECK}") from None
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise NotReachedError(f"{where} does not answer as HTTP; check its scheme and port") from None
    except (OSError, ValueError) as error:  # ValueError: a name that no resolver takes
        why = why_not_connected(where, error)
        raise NotReachedError(why if "; " in why else f"{why}; {_CHECK}") from None


async def _ahead_s(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> float | None:
    sent_s = time.time()
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    received_s = time.time()
    date = _DATE.search(head)
    try:
        date_s = parsedate_to_datetime(date[1].decode("latin-1")).timestamp() if date is not None else None
    except (ValueError, OverflowError):
        date_s = None
    return None if date_s is None else ahead_by_date_s(date_s, sent_s, received_s)


def _certificate_ends_s(connection: ssl.SSLObject | None) -> float | None:
    certificate = connection.getpeercert() if connection is not None else None
    return float(ssl.cert_time_to_seconds(str(certificate["notAfter"]))) if certificate else None


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_CLOSE_S):
            await writer.wait_closed()


def _where(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
