"""Whether a provider fails for tokens that it has called active before, though it answers the gateway's own question.

A provider that has lost its store of sessions still knows that a random token is nobody's, and so its breaker stays
closed (`gateway.provider.breaker`), while each call about a real token hangs for its whole time-out. Those whose route
tolerates older facts would then wait in a long queue for them. Nobody can make a provider fail for tokens of others
that it has called active. So when it fails for those of several client networks in turn, and answers nobody's in
between, few ask at a time, one of each network, and all others have the facts that are known at once. The first answer
about such a token ends it.

A queue of the gateway's own is no sign of it, nor are tokens that nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# As many failures as a breaker counts by default, each of another network.
_NETWORKS = 5
_AT_ONCE = 16


class Outages:
    """Of all providers, by name. A network is the widest that an address counts for."""

    def __init__(self) -> None:
        self._failed_for: dict[str, set[str]] = {}  # since the last answer; as many as are needed
        self._asking: dict[str, set[str]] = {}

    def record(self, provider: str, network: str, *, is_answer: bool) -> None:
        """What became of a call about a token that the provider has called active before."""
        if is_answer:
            self._failed_for.pop(provider, None)
            return
        failed_for = self._failed_for.setdefault(provider, set())
        if len(failed_for) < _NETWORKS:
            failed_for.add(network)

    def is_on(self, provider: str) -> bool:
        return len(self._failed_for.get(provider, ())) >= _NETWORKS

    def should_fall_back(self, provider: str, network: str) -> bool:
        """Whether one of `network` who has something to fall back on should do so at once."""
        if not self.is_on(provider):
            return False
        asking = self._asking.get(provider, set())
        return network in asking or len(asking) >= _AT_ONCE

    @contextmanager
    def asking(self, provider: str, network: str) -> Iterator[None]:
        """One of `network`, who has something to fall back on, asks."""
        asking = self._asking.setdefault(provider, set())
        if network in asking or not self.is_on(provider):
            yield
            return
        asking.add(network)
        try:
            yield
        finally:
            asking.discard(network)
