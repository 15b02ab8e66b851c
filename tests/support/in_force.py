"""What a running process is made of, as far as it comes from a configuration: to compare two of them.

`values` walks everything that can be reached from an object through the gateway's own classes, functions and plain
containers, and gives the values that it finds by their place. Two processes that serve the same configuration have the
same values, however they came to it. What differs by nature (ports, clocks, keys drawn at random) is found by comparing
two that were started alike.
"""

from __future__ import annotations

import enum
import functools
import re
import ssl
import types
from collections import deque
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from pydantic import BaseModel, SecretStr

_LEAVES = (type(None), bool, int, float, str, bytes, enum.Enum, re.Pattern, IPv4Network, IPv6Network)
# What is on its way out belongs to the configuration before; it is released when its last exchange ends.
_SKIPPED = {"_retiring", "_weakref", "__weakref__"}


def values(root: object) -> dict[str, object]:
    found: dict[str, object] = {}
    seen: set[int] = set()
    kept: list[object] = []  # so that no number of an object that was made on the way is given out again
    waiting: deque[tuple[str, object]] = deque([("", root)])
    while waiting:
        place, one = waiting.popleft()
        if isinstance(one, _LEAVES):
            found[place] = one
        elif isinstance(one, BaseModel | SecretStr):
            found[place] = one  # compared as a whole
        elif isinstance(one, ssl.SSLContext):
            authorities = tuple(sorted(item["serialNumber"] for item in one.get_ca_certs()))
            found[place] = (one.verify_mode, one.minimum_version, authorities)
        elif _is_plain(one) or id(one) not in seen:
            seen.add(id(one))
            kept.append(one)
            found[place] = type(one).__qualname__
            waiting.extend((f"{place}.{name}", inner) for name, inner in _parts(one) if name not in _SKIPPED)
    return found


def _parts(one: Any) -> Iterator[tuple[str, object]]:
    if isinstance(one, Mapping):
        yield "#keys", tuple(str(key) for key in one)
        yield from ((str(key), inner) for key, inner in one.items())
    elif isinstance(one, list | tuple | deque):
        yield "#", len(one)
        yield from ((str(number), inner) for number, inner in enumerate(one))
    elif isinstance(one, set | frozenset):
        yield "#", tuple(sorted(map(str, one)))
    elif isinstance(one, functools.partial):
        yield from (("func", one.func), ("args", one.args), ("keywords", one.keywords))
    elif isinstance(one, types.MethodType):
        yield "self", one.__self__
    elif isinstance(one, types.FunctionType):
        for name, cell in zip(one.__code__.co_freevars, one.__closure__ or (), strict=True):
            yield name, cell.cell_contents
    elif type(one).__module__.startswith("gateway."):
        slots = {name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())}
        names = slots | set(getattr(one, "__dict__", ()))
        yield from ((name, getattr(one, name)) for name in sorted(names) if hasattr(one, name))


def _is_plain(one: Any) -> bool:
    """Whether it is a value, which may be had from several places, and not one thing that they share."""
    settings = getattr(type(one), "__dataclass_params__", None)
    callables = types.FunctionType | types.MethodType | functools.partial
    return isinstance(one, tuple | list | dict | callables) or (settings is not None and settings.frozen)


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> set[str]:
    """The places where they differ."""
    missing = object()
    return {place for place in one.keys() | other.keys() if one.get(place, missing) != other.get(place, missing)}
