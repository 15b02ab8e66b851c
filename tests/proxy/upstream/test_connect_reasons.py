"""Why a connection was not made, in words for the operator."""

import socket
import ssl

import pytest

from gateway.proxy.upstream.connect_reasons import why_not_connected


def ssl_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] words")
    error.reason = reason
    return error


CASES = (
    (ConnectionRefusedError(111, "Connection refused"), "orders:80 refused the connection"),
    (ConnectionResetError(104, "reset"), "orders:80 ended the connection while it was being made"),
    (socket.gaierror(-2, "Name or service not known"), "the name orders does not resolve: Name or service not known"),
    (OSError(113, "No route to host"), "no connection to orders:80: No route to host"),
    (FileNotFoundError(2, "No such file"), "there is no socket at orders:80"),
    (RuntimeError("the handle is closed"), "no connection to orders:80: the handle is closed"),
    (OSError(), "no connection to orders:80: OSError"),
    (ssl_error("WRONG_VERSION_NUMBER"), "orders:80 does not speak TLS; where it speaks plain HTTP, write http://"),
    (ssl_error("TLSV1_ALERT_UNKNOWN_CA"), "the TLS handshake with orders:80 failed: TLSV1_ALERT_UNKNOWN_CA"),
)


@pytest.mark.parametrize(("error", "words"), CASES, ids=[words for _, words in CASES])
def test_it_says_where_and_what(error, words):
    assert why_not_connected("orders:80", error) == words
