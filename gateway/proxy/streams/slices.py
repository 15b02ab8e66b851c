"""Work for many exchanges at once, done in slices, so that the event loop never stands still for long."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

_SLICE = 100


class Slices:
    """Runs what it is given in order, at most `_SLICE` callbacks in each pass of the event loop."""

    def __init__(self) -> None:
        self._left: deque[Callable[[], object]] = deque()
        self._is_under_way = False

    def do(self, work: Callable[[], object]) -> None:
        self._left.append(work)
        if not self._is_under_way:
            self._is_under_way = True
            asyncio.get_running_loop().call_soon(self._do_some)

    def _do_some(self) -> None:
        try:
            for _ in range(min(_SLICE, len(self._left))):
                self._left.popleft()()
        finally:  # the loop logs a callback that fails; the others still run
            self._is_under_way = bool(self._left)
            if self._is_under_way:
                asyncio.get_running_loop().call_soon(self._do_some)
