"""What a recorded request waited for: each wait is a span, and belongs to the request that caused it.

How this works: a lane opens a list for a sampled request (`recording`). Tasks that are started while it is open inherit
it, so that a lookup writes its spans there, wherever it runs. Without an open list `span` does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic


@dataclass(frozen=True, slots=True)
class Span:
    """One wait, in seconds on the monotonic clock. `name` and `peer` are of the configuration, never of a client."""

    name: str
    peer: str
    started_s: float
    ended_s: float


_OPEN: ContextVar[list[Span] | None] = ContextVar("spans of the request", default=None)


@contextmanager
def recording(spans: list[Span] | None) -> Iterator[None]:
    """What is waited for within goes to `spans`, if there is a list."""
    if spans is None:
        yield
        return
    token = _OPEN.set(spans)
    try:
        yield
    finally:
        _OPEN.reset(token)


@contextmanager
def span(name: str, peer: str) -> Iterator[None]:
    """One wait for `peer`."""
    spans = _OPEN.get()
    if spans is None:
        yield
        return
    started_s = monotonic()
    try:
        yield
    finally:
        spans.append(Span(name, peer, started_s, monotonic()))


def note_span(name: str, peer: str, started_s: float) -> None:
    """A wait that began at `started_s` is over now."""
    spans = _OPEN.get()
    if spans is not None:
        spans.append(Span(name, peer, started_s, monotonic()))
