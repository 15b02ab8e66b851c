"""The small values a configuration is written in: durations, sizes, addresses, networks.

Each parser takes what YAML gave and returns the value in the unit its name says; each raises `ValueError` with
`what is wrong; what to write instead`, which is the form of every message of `gateway check`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(ms|s|m|h)")
_DURATION_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"([0-9]{1,15})(B|KiB|MiB|GiB)?")
_SIZE_UNIT_BYTES = {None: 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{0,253}):([0-9]{1,5})")
_PORT_MAX = 65535


def parse_duration_s(value: object) -> float:
    """Seconds from `250ms`, `2s`, `5m` or `1h`."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        seconds = float(match[1]) * _DURATION_UNIT_S[match[2]]
        if math.isfinite(seconds):
            return seconds
    raise ValueError(f"{value!r} is not a duration; write a number and a unit: 250ms, 2s, 5m or 1h")


def parse_size_bytes(value: object) -> int:
    """Bytes from `64KiB`, `10MiB`, `1GiB` or a plain number."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        return int(match[1]) * _SIZE_UNIT_BYTES[match[2]]
    raise ValueError(f"{value!r} is not a size; write a number and a unit: 64KiB, 10MiB or 1GiB")


def parse_limit_bytes(value: object) -> int | None:
    """A size, or `None` for `unlimited`."""
    if value == "unlimited" or value is None:
        return None
    try:
        return parse_size_bytes(value)
    except ValueError as error:
        raise ValueError(f"{error}, or unlimited") from None


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener listens: a TCP host and port, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(value: object) -> Address:
    """An `Address` from `host:port`, `[::1]:port`, `:port` or `unix:/path`."""
    if isinstance(value, Address):
        return value
    if isinstance(value, str):
        if value.startswith("unix:/"):
            return Address(path=value.removeprefix("unix:"))
        match = _LISTEN.fullmatch(value)
        if match and int(match[2]) <= _PORT_MAX:
            return Address(host=match[1].strip("[]"), port=int(match[2]))
    raise ValueError(f"{value!r} is no address to listen on; write host:port such as 0.0.0.0:8080, or unix:/path")
