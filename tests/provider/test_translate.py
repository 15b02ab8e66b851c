import errno
import inspect
import socket
import ssl
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from gateway.provider.errors import (
    ConnectionLostError,
    DeadlineError,
    ProviderError,
    TokenRefused,
    UnreachableError,
    UntrustedError,
    UnusableResponseError,
)
from gateway.provider.translate import CALL_ERRORS, translate

KEY = ConnectionKey("sso.example.com", 443, True, True, None, None, None)
REFUSED = OSError(errno.ECONNREFUSED, "refused")
REQUEST = SimpleNamespace(real_url=URL("https://sso.example.com/"), headers={"Authorization": "Basic c2VjcmV0"})

MAPPING = [
    (TimeoutError(), DeadlineError),
    (aiohttp.ServerTimeoutError(), DeadlineError),
    (aiohttp.ConnectionTimeoutError(), DeadlineError),
    (aiohttp.SocketTimeoutError(), DeadlineError),
    (aiohttp.ClientConnectorCertificateError(KEY, ssl.CertificateError("wrong name")), UntrustedError),
    (aiohttp.ClientConnectorSSLError(KEY, OSError(1, "handshake")), UntrustedError),
    (aiohttp.ClientSSLError(KEY, OSError(1, "handshake")), UntrustedError),
    (aiohttp.ServerFingerprintMismatch(b"a", b"b", "sso.example.com", 443), UntrustedError),
    (ssl.SSLError(1, "record"), UntrustedError),
    (aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "unknown")), UnreachableError),
    (aiohttp.ClientConnectorError(KEY, REFUSED), UnreachableError),
    (aiohttp.ClientProxyConnectionError(KEY, REFUSED), UnreachableError),
    (aiohttp.InvalidURL("http://"), UnreachableError),
    (aiohttp.InvalidUrlClientError("http://"), UnreachableError),
    (aiohttp.InvalidUrlRedirectClientError("http://"), UnreachableError),
    (aiohttp.NonHttpUrlClientError("ftp://x"), UnreachableError),
    (aiohttp.NonHttpUrlRedirectClientError("ftp://x"), UnreachableError),
    (UnicodeError("label too long"), UnreachableError),
    (aiohttp.ClientPayloadError("incomplete"), ConnectionLostError),
    (aiohttp.ServerDisconnectedError(), ConnectionLostError),
    (aiohttp.ServerConnectionError(), ConnectionLostError),
    (aiohttp.ClientConnectionResetError(), ConnectionLostError),
    (aiohttp.ClientConnectionError(), ConnectionLostError),
    (aiohttp.ClientOSError(errno.EPIPE, "pipe"), ConnectionLostError),
    (ConnectionResetError(), ConnectionLostError),
    (OSError(errno.EIO, "io"), ConnectionLostError),
    (aiohttp.ClientResponseError(REQUEST, (), status=400, message="bad header"), UnusableResponseError),
    (aiohttp.ContentTypeError(REQUEST, ()), UnusableResponseError),
    (aiohttp.TooManyRedirects(REQUEST, ()), UnusableResponseError),
    (aiohttp.ClientHttpProxyError(REQUEST, (), status=502), UnreachableError),
    (aiohttp.ClientHttpProxyError(REQUEST, (), status=407), UnreachableError),
    (aiohttp.WSServerHandshakeError(REQUEST, ()), UnusableResponseError),
    (aiohttp.RedirectClientError(), ProviderError),
    (aiohttp.UploadAbortedError(), ProviderError),
    (aiohttp.ClientError(), ProviderError),
]


@pytest.mark.parametrize(("error", "expected"), MAPPING, ids=lambda value: getattr(value, "__name__", None))
def test_each_error_has_one_meaning(error, expected):
    assert isinstance(error, CALL_ERRORS)
    assert type(translate(error)) is expected


def test_the_mapping_is_complete():
    ours = {type(error) for error, _ in MAPPING}
    theirs = {
        value
        for name in aiohttp.__all__
        if inspect.isclass(value := getattr(aiohttp, name)) and issubclass(value, aiohttp.ClientError)
    }
    assert theirs - ours == set()


@pytest.mark.parametrize("error", [error for error, _ in MAPPING])
def test_nothing_of_the_librarys_text_gets_out(error):
    reason = translate(error).reason
    assert "Basic" not in reason
    assert "example.com" not in reason
    assert "bad header" not in reason


def test_a_refused_connection_is_said_in_words():
    assert translate(aiohttp.ClientConnectorError(KEY, REFUSED)).reason.endswith("connection refused")


def test_no_and_cannot_tell_are_not_one_class():
    assert not issubclass(TokenRefused, ProviderError)
    assert not issubclass(ProviderError, TokenRefused)
