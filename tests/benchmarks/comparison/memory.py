"""Resident memory of contestants that have done nothing else: idle, with remembered tokens, with idle connections."""

from __future__ import annotations

import resource
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.comparison import open_loop
from benchmarks.comparison.checks import GOOD
from benchmarks.comparison.peer import Contestant, Kind
from benchmarks.comparison.stage import Stage, ask
from benchmarks.comparison.stand_in import ANSWER

CONNECTIONS = 5000
_FILL_CONNECTIONS = 32
_FILL_PARTS = 20
_FILL_MAX_S = 120.0
_SETTLE_S = 1.0
_ANSWER_S = 10.0
_SPARE_DESCRIPTORS = 256


@dataclass(frozen=True)
class Held:
    """Bytes more than `idle_bytes`. `open_connections` were still there at the end; `tokens` are those remembered.

    `tokens_bytes` are for them all and `later_bytes` for the second half of them; `None` where it was not tried.
    """

    idle_bytes: int
    connections_bytes: int
    open_connections: int
    tokens: int = 0
    tokens_bytes: int | None = None
    later_bytes: int | None = None

    def for_tokens(self, count: int) -> float | None:
        """Bytes for `count` tokens: found, or as they would be if all further ones were like the second half."""
        if self.tokens_bytes is None or self.later_bytes is None or not self.tokens:
            return None
        return self.tokens_bytes + (count - self.tokens) * self.later_bytes / (self.tokens - self.tokens // 2)


def measure(stage: Stage, tokens: int, tell: Callable[[str], None]) -> dict[Kind, Held]:
    """What the lanes of the gateway remember is the same: only one of them is filled with tokens."""
    found = {}
    for kind in Kind:
        tell(f"memory, {kind.value}")
        with stage.contestants([kind]) as contestants:
            for contestant in contestants:
                idle_bytes, connections_bytes, still_open = _with_connections(contestant)
        if not contestants:
            continue
        is_filled = kind in {Kind.FAST, Kind.NGINX_AUTH} or (kind is Kind.GENERAL and Kind.FAST not in found)
        filled: tuple[int, int, int] | tuple[()] = ()
        if is_filled:
            # Anew: what was freed after the connections would be filled first, and not be seen to grow.
            with stage.contestants([kind]) as (contestant,):
                filled = _with_tokens(contestant, tokens)
        found[kind] = Held(idle_bytes, connections_bytes, still_open, *filled)
    return found


def _with_connections(contestant: Contestant) -> tuple[int, int, int]:
    """Bytes when idle, bytes more with the connections, and how many of these were still open then."""
    idle_bytes = _settled_bytes(contestant)
    opened = [_asked_once(contestant.port) for _ in range(_allowed(CONNECTIONS))]
    try:
        more_bytes = _settled_bytes(contestant) - idle_bytes
        return idle_bytes, more_bytes, sum(_is_open(connection) for connection in opened)
    finally:
        for connection in opened:
            # Reset: thousands of ports would else wait for a minute.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()


def _with_tokens(contestant: Contestant, tokens: int) -> tuple[int, int, int]:
    """How many it remembers, fewer than `tokens` where time is up; in how many bytes, and the second half of them."""
    before_bytes = _settled_bytes(contestant)
    deadline = time.monotonic() + _FILL_MAX_S
    held = [before_bytes]
    filled = 0
    while filled < tokens and time.monotonic() < deadline:
        part = min(max(1, tokens // _FILL_PARTS), tokens - filled)
        outcome = open_loop.run(contestant.port, partial(_unknown, filled), part, None, _FILL_CONNECTIONS)
        if outcome.failed:
            raise RuntimeError(f"{contestant.name}: {outcome.failed} of {part} good tokens were refused")
        filled += part
        held.append(contestant.server.memory_bytes())
    whole_bytes = _settled_bytes(contestant) - before_bytes
    return filled, whole_bytes, whole_bytes - (held[(len(held) - 1) // 2] - before_bytes)


def _unknown(first: int, number: int) -> bytes:
    return open_loop.request_bytes("/", f"good-remembered-{first + number:028}")


def _settled_bytes(contestant: Contestant) -> int:
    ask(contestant.port, "/", GOOD)
    time.sleep(_SETTLE_S)
    return contestant.server.memory_bytes()


def _asked_once(port: int) -> socket.socket:
    """A connection on which one request was answered."""
    connection = socket.create_connection(("127.0.0.1", port), _ANSWER_S)
    connection.sendall(open_loop.request_bytes("/", GOOD))
    received = b""
    while ANSWER not in received:
        data = connection.recv(2**16)
        if not data:
            break
        received += data
    return connection


def _is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _allowed(connections: int) -> int:
    """`connections`, and this process may have so many. Raises `RuntimeError` where the system forbids it."""
    wanted = connections + _SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise RuntimeError(f"{wanted} open files are needed and {hard} allowed (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return connections
