"""Conditions: what the facts of a token alone do not settle about a request that they admit.

Whether a proof was used before, whether a provider permits a resource, which token the backend gets, whether a limit
has room: somebody else has to be asked. `gateway.conditions` makes the conditions of a request, `gateway.proxy` asks a
`ConditionPort` about each in turn, and `gateway.pipeline.conclude` takes the outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.http.headers import field_line_to_backend

Fields = tuple[tuple[str, str], ...]


class Condition(Protocol):
    """One question. Its class says who is asked. It holds all that they need, and may hold secrets."""

    @property
    def in_words(self) -> str:
        """What has to hold, for an operator. It quotes no token."""
        ...


class Met:
    """Says that a condition holds. `authorization` is the field's value that the backend gets instead of the client's.

    `line` is that field as a line, made here, because one outcome serves many requests of a caller. `fields` go with
    the response, whoever gives it. `on_rejected` is called when the backend's response says that the token in
    `authorization` is not valid.
    """

    __slots__ = ("authorization", "fields", "line", "on_rejected")

    def __init__(
        self,
        authorization: str | None = None,
        fields: Fields = (),
        on_rejected: Callable[[], object] | None = None,
    ) -> None:
        self.authorization = authorization
        self.line = b"" if authorization is None else field_line_to_backend("Authorization", authorization)
        self.fields = fields
        self.on_rejected = on_rejected


MET = Met()
