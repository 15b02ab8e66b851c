"""What a value of slots holds, to be compared."""

from __future__ import annotations

from typing import Any


def slots(value: Any) -> Any:
    """By the names of the slots; a value that has none is as it is."""
    names = getattr(type(value), "__slots__", None) or getattr(type(value), "__mypyc_attrs__", None)
    return value if names is None else {name: getattr(value, name) for name in names}
