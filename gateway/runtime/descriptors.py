"""File descriptors: as many as the allowed connections need, and a reserve that no client gets.

The usual soft limit is 1,024. The reserve is for everything but clients' connections: the admin listener, providers,
Redis, logs, and the second half of every exchange, the connection to a backend. A liveness probe must be answered while
clients hold all that they can get.
"""

from __future__ import annotations

import logging
import resource
from dataclasses import dataclass
from functools import lru_cache

_logger = logging.getLogger(__name__)

# Two for each client: its connection and the backend's. The reserve: logs, Redis, providers, DNS.
_PER_CONNECTION = 2
_RESERVE = 256
_RESERVE_PART = 4  # the reserve is this part of a low limit
_WITHOUT_LIMIT = 2**31
# Who has more than this part of what was written misses nothing: 20,000 descriptors are enough for 9,872 of 10,000.
_NOTICED_PART = 0.95


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Limits clients to `connections_max` connections, and to descriptors below the number `clients_end`.

    The kernel gives out the lowest free number, so a high number means that few are left.
    """

    connections_max: int
    clients_end: int


def descriptors_for(max_connections: int) -> int:
    """How many files a worker may have open when all its connections are open."""
    return max_connections * _PER_CONNECTION + _RESERVE


def allow_descriptors(max_connections: int) -> Descriptors:
    """Raise this process's limit as far as possible. Log what is missing, and take it from the clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return Descriptors(max_connections, _WITHOUT_LIMIT)
    wanted = descriptors_for(max_connections)
    most = max(soft, wanted if hard == resource.RLIM_INFINITY else min(wanted, hard))
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    allowed = shares_of(most, max_connections)
    if allowed.connections_max < max_connections * _NOTICED_PART:
        _tell(max_connections, most, allowed.connections_max)
    return allowed


@lru_cache(maxsize=1)  # once, and not at each reload
def _tell(max_connections: int, files: int, connections: int) -> None:
    _logger.warning(
        "server.max_connections is %d and this process may open %d files, enough for %d connections; "
        "raise its limit (ulimit -n, LimitNOFILE=), or lower the number",
        max_connections,
        files,
        connections,
        extra={
            "event": "descriptors",
            "fields": {"max_connections": max_connections, "files": files, "connections": connections},
        },
    )


def shares_of(limit: int, max_connections: int) -> Descriptors:
    """The clients' share of `limit` descriptors."""
    reserve = min(_RESERVE, limit // _RESERVE_PART)
    return Descriptors(min(max_connections, max(1, (limit - reserve) // _PER_CONNECTION)), limit - reserve)
