"""Explains why a TLS connection failed and what to do. The text comes from OpenSSL; none of it is the peer's."""

from __future__ import annotations

import ssl

# OpenSSL's reasons where the other end does not speak TLS at all.
_NOT_TLS = frozenset({"HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "WRONG_VERSION_NUMBER"})


def tls_reason(where: str, error: ssl.SSLError) -> str:
    """`where` names the other end: "it", or an address."""
    # An error that OpenSSL did not make has neither attribute.
    reason, verify_message = getattr(error, "reason", None), getattr(error, "verify_message", None)
    if isinstance(error, ssl.SSLCertVerificationError):
        trust = "name its authority's file as tls.ca, or for all servers in SSL_CERT_FILE"
        return f"the certificate of {where} is not trusted: {verify_message or error}; {trust}"
    if reason in _NOT_TLS:
        return f"{where} does not speak TLS; where it speaks plain HTTP, write http://"
    return f"the TLS handshake with {where} failed: {reason or error}"
