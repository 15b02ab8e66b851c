"""aiohttp's and the system's errors, turned once into the gateway's own.

The texts come from here, never from the library's message: aiohttp's quote what the peer sent, and hold on to the
request with its `Authorization`.
"""

from __future__ import annotations

import os
import ssl

import aiohttp

from gateway.provider.errors import (
    ConnectionLostError,
    DeadlineError,
    ProviderError,
    UnreachableError,
    UntrustedError,
    UnusableAnswerError,
)

# What a call may raise. ValueError: a host that is no name (UnicodeError of the resolver, aiohttp's InvalidURL).
CALL_ERRORS = (aiohttp.ClientError, OSError, TimeoutError, ValueError)
_TLS_ERRORS = (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch, ssl.SSLError, ssl.CertificateError)


def translate(error: Exception) -> ProviderError:
    """The gateway's error for one of `CALL_ERRORS`. From the narrow to the wide: many of them are several at once."""
    if isinstance(error, TimeoutError):
        return DeadlineError("it gave no complete answer in time")
    if isinstance(error, _TLS_ERRORS):
        return UntrustedError("its TLS certificate or handshake cannot be trusted")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return UnreachableError("its name cannot be resolved")
    if isinstance(error, aiohttp.ClientConnectorError):
        return UnreachableError(f"it cannot be connected to: {_words(error.errno)}")
    if isinstance(error, aiohttp.ClientPayloadError):
        return ConnectionLostError("its answer broke off or is framed wrongly")
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return ConnectionLostError("it closed or reset the connection before its answer")
    if isinstance(error, aiohttp.ClientResponseError):
        return UnusableAnswerError("its answer is not HTTP within limits")
    if isinstance(error, ValueError | aiohttp.NonHttpUrlClientError):
        return UnreachableError("its URL is none that can be called")
    return ProviderError("the call failed")


def _words(errno: int | None) -> str:
    return os.strerror(errno).lower() if errno is not None else "no reason given"
