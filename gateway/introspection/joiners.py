"""The client networks that wait for the result of one question, as they come.

The first one asks. Another one may join while the question still waits for a slot, and may get one sooner. So
the queue listens for those that join while the question waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.http.client_network import ClientNetwork

# Each network has at most one place for the question. Beyond so many networks, newcomers wait in the others' places.
_NETWORKS_MAX = 256


class Joiners:
    """Remembers the networks that ask one question, the first one included."""

    __slots__ = ("_callback", "networks")

    def __init__(self, first: ClientNetwork) -> None:
        self.networks: dict[ClientNetwork, None] = {first: None}
        self._callback: Callable[[ClientNetwork], object] | None = None

    def join(self, network: ClientNetwork) -> None:
        """A caller of `network` waits too. The listener hears of each network once."""
        if network in self.networks or len(self.networks) >= _NETWORKS_MAX:
            return
        self.networks[network] = None
        if self._callback is not None:
            self._callback(network)

    @contextmanager
    def on_join(self, callback: Callable[[ClientNetwork], object]) -> Iterator[None]:
        """Call `callback` with each network that joins from here on. One listens at a time."""
        self._callback = callback
        try:
            yield
        finally:
            self._callback = None
