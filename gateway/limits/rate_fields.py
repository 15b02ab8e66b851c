"""The fields that tell a client of its limits: `RateLimit-Policy` and `RateLimit`.

Revisions 10 and 11 of draft-ietf-httpapi-ratelimit-headers write them in the same way and read `t` differently: the
time until there is more (10), or within which no more than `r` can be used (11). The time until one request more fits
is both. It is never 0: a client that spreads `r` over `t` would divide by it, or spend all at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from gateway.limits.limit import CompiledLimit

Fields = tuple[tuple[str, str], ...]


class Remaining:
    """Says how much of a limit is left for one identity: `level` requests, which may have a fraction.

    It grows by `rate_per_s` up to `most`: those of the limit, or the share of one worker.
    """

    __slots__ = ("level", "limit", "most", "rate_per_s")

    def __init__(self, limit: CompiledLimit, level: float, most: float, rate_per_s: float) -> None:
        self.limit = limit
        self.level = level
        self.most = most
        self.rate_per_s = rate_per_s

    @property
    def requests(self) -> int:
        """Whole requests."""
        return int(self.level) if self.level > 0 else 0

    @property
    def wait_s(self) -> float:
        """How long until one request more fits; nothing where the bucket is full."""
        return 0.0 if self.level >= self.most else (self.requests + 1 - self.level) / self.rate_per_s

    @property
    def item(self) -> str:
        left = int(self.level) if self.level > 0 else 0
        wait_s = 0.0 if self.level >= self.most else (left + 1 - self.level) / self.rate_per_s
        return f"{self.limit.item};r={left};t={ceil(wait_s) or 1}"


def rate_fields(known: Sequence[Remaining]) -> Fields:
    """Both fields, each with one item for each limit; none without limits."""
    if not known:
        return ()
    if len(known) == 1:
        return (("RateLimit-Policy", known[0].limit.policy), ("RateLimit", known[0].item))
    return (
        ("RateLimit-Policy", ", ".join([each.limit.policy for each in known])),
        ("RateLimit", ", ".join([each.item for each in known])),
    )
