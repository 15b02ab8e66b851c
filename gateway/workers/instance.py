"""What the admin listener asks of the running gateway, whether one process or several answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

_BREAKER_STATES = ("closed", "half_open", "open")


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether requests should be sent here. `reasons` says in words why not; `checks` is for the reader."""

    ready: bool
    reasons: tuple[str, ...] = ()
    checks: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {"ready": self.ready, "reasons": list(self.reasons), "checks": self.checks}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Readiness:
        return cls(bool(value["ready"]), tuple(map(str, value["reasons"])), dict(value["checks"]))


def worst_breakers(told: Iterable[Readiness]) -> dict[str, str]:
    """The state of each provider's breaker in the worker that is worst off; `checks["breakers"]` of all."""
    worst: dict[str, str] = {}
    for one in told:
        for name, state in dict(one.checks.get("breakers", {})).items():
            worst[name] = max(worst.get(name, state), state, key=_BREAKER_STATES.index)
    return worst


class InstanceError(Exception):
    """A worker did not do what it was asked, or none was there to ask; the text is for the operator."""


class Instance(Protocol):
    """A running gateway. Each call has a deadline of its own and raises `InstanceError` when it is missed."""

    async def snapshot(self) -> dict[str, Any]:
        """What all workers counted, those that are gone included."""

    async def purge(self, selector: Mapping[str, str]) -> int:
        """Forget the facts of `{"token": …}`, of `{"sub": …}`, or all (`{}`); the number of entries that went."""

    async def explain(self, question: Mapping[str, str]) -> dict[str, Any]:
        """How `{"method": …, "url": …, "token"?: …}` would be decided now. `ValueError`: no such request can be."""

    def readiness(self) -> Readiness: ...

    def routes(self) -> Sequence[Mapping[str, Any]]:
        """The routes as the operator wrote them, without secrets."""
