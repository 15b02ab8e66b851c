"""As many file descriptors as the connections that are allowed may need: the usual soft limit is 1,024."""

from __future__ import annotations

import logging
import resource

_logger = logging.getLogger(__name__)

# A client's connection and its backend's, and what a process has besides: logs, Redis, providers, DNS.
_PER_CONNECTION = 2
_BESIDES = 256


def descriptors_for(max_connections: int) -> int:
    """How many files a worker may have open when all its connections are."""
    return max_connections * _PER_CONNECTION + _BESIDES


def allow_descriptors(max_connections: int) -> None:
    """Raise this process's limit as far as it may; what is missing even for clients is said in the log."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return
    wanted = descriptors_for(max_connections)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if max(soft, most) < max_connections + _BESIDES:
        _logger.warning(
            "server.max_connections is %d and this process may open %d files; raise its limit, or lower the number",
            max_connections,
            max(soft, most),
            extra={"event": "descriptors"},
        )
