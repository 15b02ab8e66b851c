"""Owns the tasks of operations that go through Redis' own library, separately from the pipelines.

These are few: where a cluster's layout is not known, where a node says that the slot is elsewhere, and where Redis does
not know a script any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


class SeparateTasks:
    """Starts tasks, and ends those that still run when it is closed."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, operation: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(operation, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def close(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
