"""What the connections of a listener are held to, and where their refusals are described, compiled from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.http.unfinished import HeadLimits
from gateway.proxy.downstream.shares import ConnectionLimits


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one listener; seconds and bytes."""

    header_timeout_s: float
    idle_timeout_s: float
    head: HeadLimits
    connections: ConnectionLimits
    clients_end: int  # of the numbers of descriptors, those from here on are not for clients
    trusted_proxies: Sequence[object]
    problem_types: str | None
