"""An ordinary request of whose body something is still to come: its bytes, as they came.

Many clients send the head with one write and the body with the next. What such a request asks for, the fast lane can
answer as soon as the body is there. Until then nothing of it is looked at; if it does not come soon, all goes to the
general lane as if it had only just arrived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.proxy.downstream.listener_state import FastLanePort


class AwaitedBody:
    """`lane` takes it once it is whole.

    `missing_bytes` are still to come; below zero: so many came behind the request.
    """

    __slots__ = ("came", "lane", "missing_bytes")

    def __init__(self, lane: FastLanePort, data: bytes, missing_bytes: int) -> None:
        self.lane = lane
        self.came = bytearray(data)  # a client may send it byte by byte, and a copy for each would be quadratic
        self.missing_bytes = missing_bytes

    def add(self, data: bytes) -> None:
        self.came += data
        self.missing_bytes -= len(data)
