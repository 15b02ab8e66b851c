"""What all parts of the configuration share, and the marks that a key may carry beside its type."""

from __future__ import annotations

from enum import Enum, auto
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class KeyMark(Enum):
    """A fact about a key, written in its `Annotated[…]`; `gateway.config.keys` finds it there."""

    DEMANDS_TOKEN = auto()  # says something of tokens: pointless on a route that looks at none
    NEEDS_NO_TOKEN = auto()  # the exception in a model whose keys demand a token
    EMPTY_IS_NONE = auto()  # a secret whose empty text stands for no secret
    FILE = auto()  # a path, relative to the configuration file
    CONTENT = auto()  # such a path, in whose place stands what the file holds: a secret without a twin


class Model(BaseModel):
    """Frozen, no unknown keys, no secrets in error messages. The text below a key describes it.

    The description says what the key means, its default, what zero does and, after "Danger:", what it can open.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)

    # Whether each key without a mark demands a token. Where one can be forgotten, the check must be the strict one.
    keys_demand_token: ClassVar[bool] = False

    # Whether a mapping without one of its keys says something else, so that a broken key breaks the whole.
    is_whole: ClassVar[bool] = False
