"""Notices that a provider fails for tokens that it has called active before, although it answers the gateway's probe.

A provider that has lost its store of sessions still knows that a random token is nobody's. So its breaker stays closed
(`gateway.provider.breaker`), while each call about a real token hangs for its whole time-out. Callers whose route
tolerates older facts would then wait in a long queue for them.

    no outage ── failures of `_NETWORKS` networks in a row, about tokens that were active ──> outage
        ^                                                                                       │
        └──────────────────────── the first response about such a token ────────────────────────┘

Nobody can make a provider fail for other people's tokens. So the failures have to come from several client networks,
with no response in between. During an outage few ask at a time, one of each network, and all others get the last known
facts at once. A full queue of the gateway's own is not a sign of an outage, nor is an unknown token.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# As many failures as a breaker counts by default, each of another network.
_NETWORKS = 5
_AT_ONCE = 16


class Outages:
    """Keeps the outages of all providers, by name. A network is the widest one that an address belongs to."""

    def __init__(self) -> None:
        self._failed_for: dict[str, set[str]] = {}  # since the last response; no more than are needed
        self._asking: dict[str, set[str]] = {}

    def record(self, provider: str, network: str, *, is_answer: bool) -> None:
        """Records a call about a token that the provider has called active before."""
        if is_answer:
            self._failed_for.pop(provider, None)
            return
        failed_for = self._failed_for.setdefault(provider, set())
        if len(failed_for) < _NETWORKS:
            failed_for.add(network)

    def is_on(self, provider: str) -> bool:
        return len(self._failed_for.get(provider, ())) >= _NETWORKS

    def should_fall_back(self, provider: str, network: str) -> bool:
        """Whether a caller of `network` that has facts to fall back on should use them at once."""
        if not self.is_on(provider):
            return False
        asking = self._asking.get(provider, set())
        return network in asking or len(asking) >= _AT_ONCE

    @contextmanager
    def asking(self, provider: str, network: str) -> Iterator[None]:
        """While this is entered, a caller of `network` that has facts to fall back on asks."""
        asking = self._asking.setdefault(provider, set())
        if network in asking or not self.is_on(provider):
            yield
            return
        asking.add(network)
        try:
            yield
        finally:
            asking.discard(network)
