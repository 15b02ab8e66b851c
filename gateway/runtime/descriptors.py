"""File descriptors: as many as the connections that are allowed may need, and some that no client gets.

The usual soft limit is 1,024. What a process has besides clients' connections comes out of a reserve: the admin
listener, providers, Redis, logs, and the second half of every exchange, the connection to a backend. A liveness probe
must be answered while clients hold all that they can get.
"""

from __future__ import annotations

import logging
import resource
from dataclasses import dataclass

_logger = logging.getLogger(__name__)

# A client's connection and its backend's, and what a process has besides: logs, Redis, providers, DNS.
_PER_CONNECTION = 2
_BESIDES = 256
_BESIDES_PART = 4  # where the limit is low
_WITHOUT_LIMIT = 2**31


@dataclass(frozen=True, slots=True)
class Descriptors:
    """What clients may take: so many connections, and no descriptor of this number or above.

    The kernel gives out the lowest number that is free: a high one says that few are left.
    """

    connections_max: int
    clients_end: int


def descriptors_for(max_connections: int) -> int:
    """How many files a worker may have open when all its connections are."""
    return max_connections * _PER_CONNECTION + _BESIDES


def allow_descriptors(max_connections: int) -> Descriptors:
    """Raise this process's limit as far as it may. What is missing is said in the log, and taken from clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return Descriptors(max_connections, _WITHOUT_LIMIT)
    wanted = descriptors_for(max_connections)
    most = max(soft, wanted if hard == resource.RLIM_INFINITY else min(wanted, hard))
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    allowed = shared_out(most, max_connections)
    if allowed.connections_max < max_connections:
        _logger.warning(
            "server.max_connections is %d and this process may open %d files, enough for %d connections; "
            "raise its limit, or lower the number",
            max_connections,
            most,
            allowed.connections_max,
            extra={"event": "descriptors"},
        )
    return allowed


def shared_out(limit: int, max_connections: int) -> Descriptors:
    """What clients get of so many descriptors."""
    reserve = min(_BESIDES, limit // _BESIDES_PART)
    return Descriptors(min(max_connections, max(1, (limit - reserve) // _PER_CONNECTION)), limit - reserve)
