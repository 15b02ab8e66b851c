"""Values that are made anew for each request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def immutable(cls: type[T]) -> type[T]:
    """A slotted dataclass whose fields the type checker holds to be frozen.

    At run time nothing does: a frozen dataclass sets each of its fields by a detour, and takes five times as long to
    make. What is made once, with the configuration or an answer of the provider, is frozen in earnest.
    """
    return dataclass(slots=True)(cls)
