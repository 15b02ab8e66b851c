"""A word to the operator, once for each route, where the identity headers are larger than many backends take.

A token with a thousand roles makes a head that Tomcat (8 KiB) or Node (16 KiB) refuses with a 400 or 431 that explains
nothing. The headers are sent all the same: only the backend knows what it takes.
"""

from __future__ import annotations

import logging

from gateway.identity import Identity

_logger = logging.getLogger(__name__)


class LargeIdentities:
    """The routes that were told of, of one configuration."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, route: str, identity: Identity) -> None:
        if route in self._told:
            return
        self._told.add(route)
        size_bytes = len(identity.lines)
        _logger.warning(
            "the identity headers of route %s came to %d bytes, which many backends refuse; map fewer claims, or have "
            "the provider put fewer into its answer",
            route,
            size_bytes,
            extra={"event": "identity_large", "fields": {"route": route, "size_bytes": size_bytes}},
        )
