"""Limits by identity, as the configuration names them; see `gateway.config.model`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gateway.config.model_base import Model
from gateway.config.value_types import ClaimPath, Count, text
from gateway.config.values import parse_duration_s, quoted

_RATE = re.compile(r"([0-9]{1,9})\s*/\s*([0-9.]+(?:ms|s|m|h))")
_WINDOW_MAX_S = 30 * 24 * 3600
_HOW = "write requests and a time, such as 100/1m"


@dataclass(frozen=True, slots=True)
class Rate:
    """Says how many requests fit into how many seconds."""

    quota: int
    window_s: float

    def __str__(self) -> str:
        return f"{self.quota}/{round(self.window_s)}s"


def parse_rate(value: object) -> Rate:
    """`100/1m`. The window is whole seconds, as clients are told it (RateLimit header fields)."""
    if isinstance(value, Rate):
        return value
    found = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{quoted(value)} is not a rate; {_HOW}")
    quota, window_s = int(found[1]), parse_duration_s(found[2])
    if quota < 1:
        raise ValueError(f"{quoted(value)} allows nothing; {_HOW}")
    if window_s < 1 or window_s > _WINDOW_MAX_S or window_s != int(window_s):
        raise ValueError(f"the time of {quoted(value)} is not whole seconds, from 1s to 720h; {_HOW}")
    return Rate(quota, window_s)


class LimitSettings(Model):
    """A limit that routes name. It is one budget for each identity, over all routes that name it."""

    rate: Annotated[Rate, BeforeValidator(parse_rate), text(r"^[0-9]+\s*/\s*[0-9.]+(ms|s|m|h)$", examples=["100/1m"])]
    """How many requests in which time: 100/1m. With Redis for the fleet, else for this instance."""

    burst: Annotated[Count, Field(ge=1, le=10**9)] | None = None
    """How many at once, before the rate counts. Default: the rate's number."""

    by: ClaimPath = ("sub",)
    """Whose requests are counted together: sub, client_id or another claim by its dotted path, of one provider; or
    address, the client's (IPv6: its /64). A caller without the claim counts by address. Default sub."""

    on_redis_error: Literal["local"] = "local"
    """What counts while Redis is away. local: each worker has its share of this instance's rate. Default local."""
