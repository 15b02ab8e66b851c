"""Explains why a connection to a backend failed and what to do; for the log, never for the client."""

from __future__ import annotations

import socket
import ssl

from gateway.provider.tls_reason import tls_reason


def why_not_connected(where: str, error: BaseException) -> str:
    """`where` is the backend's `host:port`, or the path of its Unix socket."""
    if isinstance(error, ssl.SSLError):
        return tls_reason(where, error)
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
