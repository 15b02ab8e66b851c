"""Counts what came of grants at the providers' token endpoints: exchanges, permissions, the gateway's own tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from gateway.grants.grant_request import Kind
from gateway.observe.families import CLIENT_TOKENS, EXCHANGES, PERMISSION_QUESTIONS, Family
from gateway.obtaining.grant_runner import GrantOutcome

_FAMILIES: dict[Kind, Family] = {
    "exchange": EXCHANGES,
    "permission": PERMISSION_QUESTIONS,
    "client": CLIENT_TOKENS,
}
_OUTCOMES: tuple[GrantOutcome, ...] = get_args(GrantOutcome)


class GrantCounts:
    """Counts by kind, provider and outcome."""

    def __init__(self) -> None:
        self._counts: dict[tuple[Kind, str, GrantOutcome], int] = {}

    def declare(self, providers: Iterable[str]) -> None:
        """Begin every series of these providers at 0."""
        for provider in providers:
            for kind in _FAMILIES:
                for outcome in _OUTCOMES:
                    self._counts.setdefault((kind, provider, outcome), 0)

    def count(self, kind: Kind, provider: str, outcome: GrantOutcome) -> None:
        key = (kind, provider, outcome)
        self._counts[key] = self._counts.get(key, 0) + 1

    def counters(self) -> dict[str, list[object]]:
        """The counts by family, in the form of a snapshot."""
        return {
            family.name: [[[provider, outcome], n] for (of, provider, outcome), n in self._counts.items() if of == kind]
            for kind, family in _FAMILIES.items()
        }
