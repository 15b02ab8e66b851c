"""Ends a client's connection for which there is nothing to wait any more. The listener's sweep asks for each of them.

That is one that is idle for too long, one whose client takes nothing of its response, and one whose client has left
while nothing is read from it: the event loop tells of an end only where it reads.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Final

from gateway.proxy.downstream.connection_state import TUNNEL
from gateway.proxy.downstream.listener_limits import Limits

if TYPE_CHECKING:
    from gateway.proxy.downstream.client_connection import ClientConnection

# The other side has ended its half, whether or not all that it sent was read. A reset is told of in any case.
_LEAVES: Final = select.POLLRDHUP if hasattr(select, "POLLRDHUP") else 0


def end_overdue(client: ClientConnection, limits: Limits, now_s: float) -> None:
    """`now_s` is the loop's time. Nothing is done where there is something to wait for."""
    if client.state == TUNNEL:
        tunnel = None if client.relay is None else client.relay.tunnel
        if tunnel is not None and tunnel.is_abandoned(now_s, limits.idle_timeout_s):
            client.transport.abort()
        return
    if _has_left(client):
        client.transport.close()  # as if its end had been read
        return
    patience_s = limits.idle_timeout_s if client.has_asked else min(limits.idle_timeout_s, limits.header_timeout_s)
    if now_s - client.silent_since_s < patience_s:
        return
    if client.transport.is_closing():
        client.transport.abort()  # what was written last is not taken: it would wait for ever
    elif client.is_congested:
        if client.has_stalled():
            client.transport.abort()
        client.silent_since_s = now_s
    elif client.is_idle:
        client.transport.close()


def _has_left(client: ClientConnection) -> bool:
    """Whether the client is gone, and the event loop does not know, because it does not read.

    What a client sent ahead is read no further, so its end counts at once. In a body that is taken slowly only a reset
    counts: all of that body may have been sent, and the backend is to have it.
    """
    if client.transport.is_reading() or client.transport.is_closing():
        return False
    poll = select.poll()
    poll.register(client.descriptor, _LEAVES if client.reads_no_further else 0)
    return bool(poll.poll(0))
