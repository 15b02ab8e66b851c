"""The questions that the admin listener asks of a running gateway of one process or several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

_BREAKER_STATES = ("closed", "half_open", "open")


@dataclass(frozen=True, slots=True)
class Readiness:
    """Says whether requests should be sent here. `reasons` are the reasons against it; `checks` is for people."""

    ready: bool
    reasons: tuple[str, ...] = ()
    checks: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {"ready": self.ready, "reasons": list(self.reasons), "checks": self.checks}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Readiness:
        return cls(bool(value["ready"]), tuple(map(str, value["reasons"])), dict(value["checks"]))


def worst_breakers(told: Iterable[Readiness]) -> dict[str, str]:
    """The worst state of each provider's breaker over all workers, from their `checks["breakers"]`."""
    worst: dict[str, str] = {}
    for one in told:
        for name, state in dict(one.checks.get("breakers", {})).items():
            worst[name] = max(worst.get(name, state), state, key=_BREAKER_STATES.index)
    return worst


class InstanceError(Exception):
    """A worker did not do what it was asked, or there was none to ask; the text is for the operator."""


class Instance(Protocol):
    """Answers for a running gateway. Each call has its own deadline and raises `InstanceError` when it is missed."""

    async def snapshot(self) -> dict[str, Any]:
        """The counts of all workers, including those that are gone."""

    async def purge(self, selector: Mapping[str, str]) -> int:
        """Forget the facts of `{"token": …}` or `{"sub": …}`, or all (`{}`). Returns the number of entries dropped."""

    async def explain(self, question: Mapping[str, str]) -> dict[str, Any]:
        """Say how `{"method": …, "url": …, "token"?: …}` would be decided now.

        Raises `ValueError` where there can be no such request.
        """

    def readiness(self) -> Readiness: ...

    async def refusals(self) -> list[dict[str, Any]]:
        """The last refusals of all workers that serve, the newest first."""

    def workers(self) -> Sequence[Mapping[str, Any]]:
        """Each worker's `pid`, whether it is `serving`, and the last `snapshot` of what it counted."""

    def routes(self) -> Sequence[Mapping[str, Any]]:
        """The routes as the operator wrote them, without secrets."""
