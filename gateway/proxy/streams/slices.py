"""Work for many at once, some of it in each turn of the event loop, so that nobody else waits long for theirs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

_SLICE = 100


class Slices:
    """What is put here is done in its order, soon."""

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
        finally:  # what fails, the loop tells of; it stops none of the others
            self._is_under_way = bool(self._left)
            if self._is_under_way:
                asyncio.get_running_loop().call_soon(self._do_some)
