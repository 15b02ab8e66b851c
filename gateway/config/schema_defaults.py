"""The default of a key as the file would have it: `2s` and `10MiB`, not the seconds and bytes of the models."""

from __future__ import annotations

from typing import Any

from pydantic_core import PydanticUndefined

from gateway.config.keys import ConfigKey
from gateway.config.model_base import Model
from gateway.config.route_model import Route

_UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("B", 1))


def written_default(key: ConfigKey) -> Any:
    """The default, or `None` where there is none that a file could have."""
    value = key.field.default
    if value is PydanticUndefined or value is None or isinstance(value, Model):
        return None
    if key.model is Route and key.name == "max_body":
        return None  # the server's
    return _written(key, value)


def _written(key: ConfigKey, value: Any) -> Any:
    if isinstance(value, tuple):
        return [_written(key, each) for each in value]
    if isinstance(value, bool | str):
        return value
    if key.is_duration:
        return f"{value * 1000:g}ms" if 0 < value < 1 else f"{value:g}s"
    if key.is_size:
        return _size(value)
    return value if isinstance(value, int | float) else str(value)


def _size(size_bytes: int) -> str:
    unit, unit_bytes = next((name, each) for name, each in _UNITS if size_bytes % each == 0)
    return f"{size_bytes // unit_bytes}{unit}"
