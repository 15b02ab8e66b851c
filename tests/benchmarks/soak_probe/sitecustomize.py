"""Looks into a worker of the soak from within: how much its tables hold, and how many blocks Python has allocated.

Python imports a module of this name at its start. It is on the path of the soak's gateways only, and does nothing but
in a worker. A table is whatever container an object, a module or a class of the gateway's has: no list of names has to
be kept, and one that somebody forgot to bound is found as well.

A thread writes a line of JSON every few seconds: `{"s": …, "blocks": …, "tables": {"module.Class.attribute":
[entries, bytes]}}`. It holds the interpreter for some tens of milliseconds.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import sys
import threading
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

FOLDER = os.environ.get("SOAK_PROBE", "")
EVERY_S = 10.0
_CONTAINERS = (dict, set, list, deque, OrderedDict, defaultdict)
_SHOWN_FROM = 32
# An entry's bytes are those of what only this entry refers to, among a few that are looked into.
_LOOKED_INTO, _OBJECTS_MAX = 24, 200
_NOT_COUNTED = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)


def tables() -> dict[str, list[int]]:
    """Entries and estimated bytes of each, those of all objects of a class together."""
    found: dict[str, list[int]] = {}
    for name, table in _named():
        if len(table) >= _SHOWN_FROM:
            had = found.setdefault(name, [0, 0])
            had[0] += len(table)
            had[1] += _bytes(table)
    return found


def _named() -> Iterator[tuple[str, Any]]:
    for module_name, module in list(sys.modules.items()):
        if module_name.split(".")[0] == "gateway":
            for name, value in list(vars(module).items()):
                if isinstance(value, _CONTAINERS) and not name.startswith("__"):
                    yield f"{module_name}.{name}", value
    for one in gc.get_objects():
        kind = type(one)
        if str(kind.__module__).split(".")[0] == "gateway" and not issubclass(kind, type):
            yield from ((f"{kind.__module__}.{kind.__name__}.{name}", value) for name, value in _attributes(one))


def _attributes(one: Any) -> Iterator[tuple[str, Any]]:
    """What it refers to by a name of its own; no property is asked. Of a compiled class the names are not known."""
    slots = [name for kind in type(one).__mro__ for name in vars(kind).get("__slots__", ())]
    named = {**{name: getattr(one, name, None) for name in slots}, **getattr(one, "__dict__", {})}
    known = {id(value) for value in named.values()} | {id(getattr(one, "__dict__", None))}
    number = 0
    for value in gc.get_referents(one) if not named else ():
        if isinstance(value, _CONTAINERS) and id(value) not in known:
            number += 1
            yield f"#{number}", value
    yield from ((name, value) for name, value in named.items() if isinstance(value, _CONTAINERS))


def _bytes(table: Any) -> int:
    """The container itself, and as many times an entry's own bytes as there are entries."""
    entries = table.items() if isinstance(table, dict) else table
    looked = list(itertools.islice(entries, _LOOKED_INTO))
    seen: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for entry in looked:
        for one in _reached(entry):
            seen[id(one)] = seen.get(id(one), 0) + 1
            sizes[id(one)] = sys.getsizeof(one)
    own = sum(sizes[which] for which, count in seen.items() if count == 1)
    return sys.getsizeof(table) + own * len(table) // max(1, len(looked))


def _reached(entry: Any) -> list[Any]:
    """Nearest first. The pair that `items` makes is not there otherwise and not counted."""
    found, ids = list(entry) if isinstance(entry, tuple) else [entry], set()
    kept = []
    for one in found:
        if id(one) in ids or isinstance(one, _NOT_COUNTED):
            continue
        ids.add(id(one))
        kept.append(one)
        if len(found) < _OBJECTS_MAX:
            found.extend(gc.get_referents(one)[:_OBJECTS_MAX])
    return kept


def _watch() -> None:
    began_s = time.monotonic()
    with (Path(FOLDER) / f"{os.getpid()}.jsonl").open("w") as lines:
        while True:
            time.sleep(EVERY_S)
            line = {"s": time.monotonic() - began_s, "blocks": sys.getallocatedblocks(), "tables": tables()}
            lines.write(json.dumps(line) + "\n")
            lines.flush()


if FOLDER and "gateway" in sys.orig_argv and "worker" in sys.orig_argv:
    threading.Thread(target=_watch, name="soak probe", daemon=True).start()
