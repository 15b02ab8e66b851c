"""The client networks that wait for the answer to one question, as they come.

The first one asks. Another one may join while the question still waits for its turn, and its turn may come sooner:
whoever lets the question wait listens for those that join.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.http.client_network import ClientNetwork

# Each network has one place for the question at most. Beyond so many, those who join wait in the others' places.
_NETWORKS_MAX = 256


class Joiners:
    """Remembers the networks that ask one question, the first one included."""

    __slots__ = ("_hear", "networks")

    def __init__(self, first: ClientNetwork) -> None:
        self.networks: dict[ClientNetwork, None] = {first: None}
        self._hear: Callable[[ClientNetwork], object] | None = None

    def join(self, network: ClientNetwork) -> None:
        """Somebody of `network` waits as well; whoever listens hears of each network once."""
        if network in self.networks or len(self.networks) >= _NETWORKS_MAX:
            return
        self.networks[network] = None
        if self._hear is not None:
            self._hear(network)

    @contextmanager
    def heard_by(self, hear: Callable[[ClientNetwork], object]) -> Iterator[None]:
        """Call `hear` with each network that joins from here on. One listens at a time."""
        self._hear = hear
        try:
            yield
        finally:
            self._hear = None
