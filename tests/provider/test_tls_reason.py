import ssl

import pytest

from gateway.provider.tls_reason import tls_reason


def failing(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, "text")
    error.reason = reason
    return error


def untrusted() -> ssl.SSLError:
    error = ssl.SSLCertVerificationError(1, "text")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (untrusted(), "the certificate of it is not trusted: self-signed certificate; name its authority"),
        (failing("WRONG_VERSION_NUMBER"), "it does not speak TLS; where it speaks plain HTTP, write http://"),
        (failing("TLSV1_ALERT_PROTOCOL_VERSION"), "the TLS handshake with it failed: TLSV1_ALERT_PROTOCOL_VERSION"),
    ],
)
def test_openssl_says_why(error, words) -> None:
    assert tls_reason("it", error).startswith(words)
