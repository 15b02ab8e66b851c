"""The small values a configuration is written in: durations, sizes, numbers, addresses, networks.

Each parser takes what YAML gave and returns the value in the unit its name says; each raises `ValueError` with
`what is wrong; what to write instead`, which is the form of every message of `gateway check`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Literal

from gateway.config.foreign_units import meant_duration, meant_size

_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(ms|s|m|h)")
_DURATION_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"([0-9]{1,15})(B|KiB|MiB|GiB)?")
_SIZE_UNIT_BYTES = {None: 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{0,253}):([0-9]{1,5})")
_PORT_MAX = 65535
_UNIX_PATH_MAX_BYTES = 107  # sun_path of Linux, without its closing NUL
_DURATION_MAX_S = 10 * 365 * 86400.0
_SIZE_MAX_BYTES = 2**50
_SHOWN_MAX = 80
_WORKERS_MAX = 256
_INTEGER = re.compile(r"[0-9]{1,9}")
_PART = re.compile(r"0?\.[0-9]{1,9}|[01](?:\.0{1,9})?")
_PERCENT = re.compile(r"([0-9]{1,3})%")
_PERCENT_MAX = 100
_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def quoted(value: Any) -> str:
    """A value as a message shows it: short, on one line, never the inside of a list or mapping."""
    if isinstance(value, str):
        return repr(value if len(value) <= _SHOWN_MAX else value[:_SHOWN_MAX] + "…")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)[:_SHOWN_MAX]
    return "nothing" if value is None else "a mapping" if isinstance(value, dict) else "a list"


def parse_duration_s(value: object) -> float:
    """Seconds from `250ms`, `2s`, `5m` or `1h`."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        seconds = float(match[1]) * _DURATION_UNIT_S[match[2]]
        if seconds > _DURATION_MAX_S:
            raise ValueError(f"{quoted(value)} is longer than ten years; write less")
        return seconds
    meant = meant_duration(value) or "a number and a unit: 250ms, 2s, 5m or 1h"
    raise ValueError(f"{quoted(value)} is not a duration; write {meant}")


def parse_size_bytes(value: object) -> int:
    """Bytes from `64KiB`, `10MiB`, `1GiB` or a plain number."""
    size = None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        size = value
    elif isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        size = int(match[1]) * _SIZE_UNIT_BYTES[match[2]]
    if size is not None and size > _SIZE_MAX_BYTES:
        raise ValueError(f"{quoted(value)} is more than a pebibyte; write less")
    if size is not None:
        return size
    meant = meant_size(value) or "a number and a unit: 64KiB, 10MiB or 1GiB"
    raise ValueError(f"{quoted(value)} is not a size; write {meant}")


def parse_limit_bytes(value: object) -> int | None:
    """A size, or `None` for `unlimited`."""
    if value == "unlimited":
        return None
    try:
        return parse_size_bytes(value)
    except ValueError as error:
        raise ValueError(f"{error}, or unlimited") from None


def parse_integer(value: object) -> int:
    """A number without sign or fraction; as text too, which is what the environment holds."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    raise ValueError(f"{quoted(value)} is not a whole number; write digits such as 100")


def parse_fraction(value: object) -> float:
    """A number between 0 and 1, neither of them; as text too, which is what the environment holds."""
    fraction = _part(value)
    if fraction is not None and fraction < 1:
        return fraction
    raise ValueError(f"{quoted(value)} is not a part of a whole; write a number between 0 and 1, such as 0.8")


def parse_part(value: object) -> float:
    """The same, or 1."""
    part = _part(value)
    if part is not None:
        return part
    raise ValueError(f"{quoted(value)} is not a part of a whole; write a number above 0 and up to 1, such as 0.5")


def parse_sample(value: object) -> float:
    """The same, or 0 or 1."""
    if value in {0, "0"} and not isinstance(value, bool):
        return 0.0
    part = _part(value)
    if part is not None:
        return part
    raise ValueError(f"{quoted(value)} is not a part of a whole; write a number from 0 to 1, such as 0.1")


def parse_percent(value: object) -> int:
    """A whole number of percent, with its sign."""
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)) and int(match[1]) <= _PERCENT_MAX:
        return int(match[1])
    raise ValueError(f"{quoted(value)} is not a percentage; write one such as 50%")


def _part(value: object) -> float | None:
    if isinstance(value, str) and _PART.fullmatch(value):
        value = float(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value <= 1 else None  # type: ignore[arg-type, operator] # a number


def parse_workers(value: object) -> int | Literal["auto"]:
    """A number of processes, or `auto`."""
    if value == "auto":
        return "auto"
    try:
        workers = parse_integer(value)
    except ValueError:
        workers = 0
    if not 1 <= workers <= _WORKERS_MAX:
        raise ValueError(f"{quoted(value)} is not a number of processes; write 1 to {_WORKERS_MAX}, or auto")
    return workers


def parse_flag(value: object) -> bool:
    """A boolean; as text too, which is what the environment holds."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _FLAGS:
        return _FLAGS[value.lower()]
    raise ValueError(f"{quoted(value)} is neither true nor false; write one of these")


def parse_auto_or_flag(value: object) -> bool | Literal["auto"]:
    """A boolean, or `auto`."""
    if value == "auto":
        return "auto"
    try:
        return parse_flag(value)
    except ValueError:
        raise ValueError(f"{quoted(value)} is none of these; write auto, true or false") from None


def parse_network(value: object) -> IPv4Network | IPv6Network:
    """A network from `10.0.0.0/8`, or one address."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    instead = "write one such as 10.0.0.0/8 or 2001:db8::/32"
    if not isinstance(value, str):
        raise ValueError(f"{quoted(value)} is not a network; {instead}")
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"{quoted(value)} is not a network; {instead}") from None
    if _has_host_bits(value, network):
        raise ValueError(f"{quoted(value)} has bits set behind its prefix, which is likely a slip; write {network}")
    return network


def parse_trusted_peer(value: object) -> IPv4Network | IPv6Network | Literal["unix"]:
    """A network, or `unix` for clients of the listener's Unix socket."""
    return "unix" if value == "unix" else parse_network(value)


def _has_host_bits(text: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_network(text) != network
    except ValueError:
        return True


@dataclass(frozen=True, slots=True)
class Address:
    """Holds the address of a listener: a TCP host and port, or the path of a Unix socket."""

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
            return Address(path=_socket_path(value.removeprefix("unix:")))
        match = _LISTEN.fullmatch(value)
        if match and int(match[2]) <= _PORT_MAX and (match[1][:1] != "[" or _is_ipv6(match[1][1:-1])):
            return Address(host=match[1].strip("[]"), port=int(match[2]))
    raise ValueError(
        f"{quoted(value)} is not an address to listen on; write host:port such as 0.0.0.0:8080, or unix:/path"
    )


def is_loopback_address(host: str) -> bool:
    """Whether only this machine can reach it. A name is not an address, not even `localhost`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _socket_path(path: str) -> str:
    if len(path.encode()) > _UNIX_PATH_MAX_BYTES or "\x00" in path or path.endswith("/"):
        raise ValueError(
            f"{quoted(path)} is not a path of a socket; write a file's path of at most {_UNIX_PATH_MAX_BYTES} bytes"
        )
    return path


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
