"""The port by which a lane asks about a condition; whoever settles conditions of one class is behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from gateway.condition import Condition, Met
from gateway.http.refusal import Refusal


class ConditionPort(Protocol):
    """Settles conditions of one class. A refusal is the outcome where one does not hold, or where nobody can tell."""

    def known(self, condition: Any) -> Refusal | Met | None:
        """The outcome, if it needs no waiting; what it spends is spent then. `None`: call `find`."""
        ...

    async def find(self, condition: Any) -> Refusal | Met:
        """The outcome. Raises nothing but `CancelledError`."""
        ...

    async def foresee(self, condition: Any) -> tuple[Refusal | Met, str]:
        """What the outcome would be, and why in words, for `explain`; nothing is spent."""
        ...


class ConditionPorts:
    """The ports of one generation of the configuration, by the class of the conditions that they settle."""

    __slots__ = ("_ports",)

    def __init__(self, ports: Mapping[type, ConditionPort] | None = None) -> None:
        self._ports = dict(ports or {})

    def add(self, condition: type, port: ConditionPort) -> None:
        """Have `port` settle conditions of this class from now on."""
        self._ports[condition] = port

    def of(self, condition: Condition) -> ConditionPort:
        return self._ports[type(condition)]
