"""Why a connection to a backend was not made, in words that say what to do; for the log, never for the client."""

from __future__ import annotations

import socket
import ssl

# What OpenSSL says where the other end answered the handshake with something that is no TLS.
_NOT_TLS = frozenset({"HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "WRONG_VERSION_NUMBER"})


def why_not_connected(where: str, error: BaseException) -> str:
    """`where` is the backend's `host:port`, or the path of its Unix socket."""
    if isinstance(error, ssl.SSLCertVerificationError):
        trust = "SSL_CERT_FILE names the authorities to trust"
        return f"the certificate of {where} is not trusted: {error.verify_message or error}; {trust}"
    if isinstance(error, ssl.SSLError):
        if error.reason in _NOT_TLS:
            return f"{where} does not speak TLS; where it speaks plain HTTP, write http://"
        return f"the TLS handshake with {where} failed: {error.reason or error}"
    if isinstance(error, socket.gaierror):
        return f"the name {where.rpartition(':')[0]} does not resolve: {error.strerror}"
    if isinstance(error, ConnectionRefusedError):
        return f"{where} refused the connection"
    if isinstance(error, ConnectionResetError):
        return f"{where} ended the connection while it was being made"
    if isinstance(error, FileNotFoundError):
        return f"there is no socket at {where}"
    if isinstance(error, OSError) and error.strerror:
        return f"no connection to {where}: {error.strerror}"
    return f"no connection to {where}: {str(error) or type(error).__name__}"
