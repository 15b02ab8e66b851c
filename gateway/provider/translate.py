"""Translates aiohttp's and the system's errors into the gateway's own, in this one place.

The texts come from here and never from the library: aiohttp's messages quote what the peer sent, and its errors hold
the request with its `Authorization`.
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
    UnusableResponseError,
)
from gateway.provider.tls_reason import tls_reason

# A call may raise these. ValueError: a host that is not a name (the resolver's UnicodeError, aiohttp's InvalidURL).
CALL_ERRORS = (aiohttp.ClientError, OSError, TimeoutError, ValueError)
PROXY_REFUSES_LOGIN = "its proxy wants another user or password (status 407); check proxy"
_WANTS_LOGIN = 407
_TLS_ERRORS = (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch, ssl.SSLError, ssl.CertificateError)


def translate(error: Exception) -> ProviderError:
    """The gateway's error for one of `CALL_ERRORS`. Narrow types come first: many errors are of several types."""
    if isinstance(error, TimeoutError):
        return DeadlineError("it gave no complete answer in time")
    if isinstance(error, _TLS_ERRORS):
        return UntrustedError(_why_untrusted(error))
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return UnreachableError("its name cannot be resolved")
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return _of_proxy(error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return UnreachableError(f"it cannot be connected to: {_strerror(error.errno)}")
    if isinstance(error, aiohttp.ClientPayloadError):
        return ConnectionLostError("its answer broke off or is framed wrongly")
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return ConnectionLostError("it closed or reset the connection before its answer")
    if isinstance(error, aiohttp.ClientResponseError):
        return UnusableResponseError("its answer is not HTTP within limits")
    if isinstance(error, ValueError | aiohttp.NonHttpUrlClientError):
        return UnreachableError("its URL cannot be called")
    return ProviderError("the call failed")


def _of_proxy(error: aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError) -> UnreachableError:
    """The proxy cannot be reached, or opens no tunnel (RFC 9110 §9.3.6)."""
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return UnreachableError(f"its proxy cannot be connected to: {_strerror(error.errno)}")
    if error.status == _WANTS_LOGIN:
        return UnreachableError(PROXY_REFUSES_LOGIN)
    return UnreachableError(f"its proxy opens no tunnel to it, and answers with status {error.status}")


def _why_untrusted(error: Exception) -> str:
    """OpenSSL's own words, where aiohttp's error holds its error."""
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(cause, ssl.SSLError):
        return tls_reason("its server", cause)
    return "its TLS certificate or handshake cannot be trusted"


def _strerror(errno: int | None) -> str:
    return os.strerror(errno).lower() if errno is not None else "no reason given"
