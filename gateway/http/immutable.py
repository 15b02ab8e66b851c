"""Values that are made anew for each request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def immutable(cls: type[T]) -> type[T]:
    """Make a slotted dataclass that only the type checker treats as frozen.

    A really frozen dataclass sets each field by a detour and takes five times as long to make. Use one for values that
    are made once, with the configuration or a response of the provider.
    """
    return dataclass(slots=True)(cls)
