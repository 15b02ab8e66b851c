"""What a configuration says of the listener, in the form in which the listener takes it."""

from __future__ import annotations

import ssl

from gateway.config.server_model import Server
from gateway.http.unfinished import HeadLimits
from gateway.proxy.downstream.listener_limits import Limits
from gateway.proxy.downstream.shares import ConnectionLimits, default_share
from gateway.proxy.downstream.tls import server_context
from gateway.runtime.descriptors import allow_descriptors


def listener_context(server: Server) -> ssl.SSLContext | None:
    """Raises `ValueError` with the reason where a file cannot be used."""
    try:
        return None if server.tls is None else server_context(server.tls)
    except OSError as error:
        raise ValueError(f"server.tls: the certificate or its key cannot be used ({error}); name others") from error


def listener_limits(server: Server) -> Limits:
    """The limits of the listener's connections, after raising the process's limit of descriptors as far as possible."""
    descriptors = allow_descriptors(server.max_connections)
    share = server.max_connections_per_network or default_share(descriptors.connections_max)
    return Limits(
        header_timeout_s=server.header_timeout,
        idle_timeout_s=server.idle_timeout,
        head=HeadLimits(server.max_header_bytes, server.max_headers),
        connections=ConnectionLimits(descriptors.connections_max, share),
        clients_end=descriptors.clients_end,
        trusted_proxies=server.trusted_proxies,
        problem_types=server.problem_types,
    )
