"""Tells the operator, once for each route, that identity headers are larger than many backends take.

A token with a thousand roles makes a head that Tomcat (8 KiB) or Node (16 KiB) refuses with a 400 or 431 that explains
nothing. The headers are sent all the same: only the backend knows what it takes.
"""

from __future__ import annotations

import logging

from gateway.identity import Identity

_logger = logging.getLogger(__name__)


class LargeIdentities:
    """Remembers which routes of one configuration the operator was told of."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._told_of_answers: set[str] = set()

    def tell(self, route: str, identity: Identity) -> None:
        if identity.lacks_answer and route not in self._told_of_answers:
            self._told_of_answers.add(route)
            _logger.warning(
                "the whole answer about a token came to more than 8 KiB, so route %s left it out; have the provider "
                "put less into its answer, or name the claims that are needed under identity.headers",
                route,
                extra={"event": "identity_answer_left_out", "fields": {"route": route}},
            )
        if not identity.is_large or route in self._told:
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
