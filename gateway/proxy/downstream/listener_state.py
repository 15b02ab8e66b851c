"""What the connections of one listener share: limits, lanes, and the places they take."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from gateway.proxy.downstream.aiohttp_connection import AiohttpConnection
from gateway.proxy.downstream.head_budget import HeadBudget
from gateway.proxy.downstream.listener_limits import Limits
from gateway.proxy.downstream.shares import Shares, is_exempt, networks_of

if TYPE_CHECKING:
    from gateway.proxy.downstream.client_connection import ClientConnection
    from gateway.proxy.request_context import Recorder

_logger = logging.getLogger(__name__)
_TOLD_EVERY_S = 60.0


class FastLanePort(Protocol):
    """Responses ordinary requests."""

    def take(self, client: ClientConnection, data: bytes) -> bool:
        """Whether it answers what came; otherwise nothing has happened, or `client` has been told what is missing."""

    def left(self, client: ClientConnection, data: bytes) -> None:
        """Record a request that it would have taken, had the client not left before its body was whole."""


class FastExchange(Protocol):
    """What the fast lane is doing on a connection."""

    def leave(self) -> None:
        """The client is gone."""


class ListenerState:
    """`limits` and `fast` may be replaced while it serves.

    No dataclass: compiled, that would look at the class of `recorder` before its module is there.
    """

    __slots__ = ("fast", "general", "heads", "is_draining", "limits", "loop", "recorder", "shares", "told_at_s")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        recorder: Recorder,
        limits: Limits,
        general: Callable[[ClientConnection], AiohttpConnection],
        fast: FastLanePort | None,
        shares: Shares[ClientConnection],
        heads: HeadBudget[AiohttpConnection | ClientConnection],
    ) -> None:
        self.loop = loop
        self.recorder = recorder
        self.limits = limits
        self.general = general
        self.fast = fast
        self.shares = shares
        self.heads = heads  # of the general lane, and what is ahead of a response of the fast one
        self.is_draining = False
        self.told_at_s = -_TOLD_EVERY_S

    def enter(self, client: ClientConnection, peer: str, descriptor: int) -> bool:
        """Whether there is room, which may be another's who gives way."""
        limits, trusted = self.limits, self.limits.trusted_proxies
        self.recorder.connections += 1
        client.is_counted = True
        client.peer = peer
        # Most configurations trust nobody, and then there is nothing to ask.
        client.networks = () if trusted and is_exempt(peer, trusted) else networks_of(peer)
        now_s = client.silent_since_s = self.loop.time()
        loser = self.shares.enter(client, now_s, is_scarce=descriptor >= limits.clients_end)
        if loser is None:
            return True
        self._tell_of_crowding(loser, now_s)
        if loser is client:
            self.leave(client)
            return False
        loser.give_way()
        return True

    def leave(self, client: ClientConnection) -> None:
        if client.is_counted:
            client.is_counted = False
            self.recorder.connections -= 1
            self.shares.leave(client)
            self.heads.hold(client, 0)

    def hold_head(self, holder: AiohttpConnection | ClientConnection, size: int) -> None:
        """`holder` holds so many bytes of heads whose turn has not come. Who holds too much has to give them up."""
        largest = self.heads.hold(holder, size)
        if largest is not None:
            largest.give_head_up()

    def _tell_of_crowding(self, loser: ClientConnection, now_s: float) -> None:
        """Say in the log that connections are given up; once a minute, since it may be a flood."""
        if now_s - self.told_at_s < _TOLD_EVERY_S:
            return
        self.told_at_s = now_s
        held = self.shares.held_by(loser.networks[0]) if loser.networks else 0
        _logger.warning(
            "%d connections are open, %d of them of %s: the oldest without a request make room for new ones",
            len(self.shares),
            held,
            loser.networks[0] if loser.networks else "trusted proxies",
            extra={"event": "connections_full"},
        )
