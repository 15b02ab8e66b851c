"""Reloads the configuration when it, or a file that it names, holds something else (`server.watch`).

How this works:

- `follow` says what the files held when they were read. With no files nothing is watched, and nothing runs.
- The operating system's events, through `watchfiles`, make the task look at once. It also looks every two seconds:
  network file systems send no events, a link higher up may be swapped, and a machine may have run out of inotify
  watches. So the events only make it faster.
- What counts is what the files hold: a touch, or the same content in a new folder, reloads nothing.
- After a change the task waits until the files have been at rest for a moment, since editors and Kubernetes write in
  several steps. A file that is missing gets longer to come back. Files that never rest are read all the same.
- The reload is that of SIGHUP: a bad file leaves the old configuration and is tried again when it changes again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from gateway.runtime.file_states import Digest, FileStates, digests_of, directories_of

_logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 2.0
_AT_REST_S = 0.3
# In sum with `_LOOK_EVERY_S` less than the five seconds that are promised, and time is left for the reload.
_RESTLESS_MAX_S = 1.5
_MISSING_MAX_S = 2.0
# How often the thread of watchfiles looks at what the system told it.
_STEP_MS = 100


class FileWatch:
    """Calls `reload` when a followed file has changed. `run` is its task, for as long as the gateway serves."""

    def __init__(self, reload: Callable[[], Awaitable[object]]) -> None:
        self._reload = reload
        self._states = FileStates()
        self._follows = asyncio.Event()
        self._stirred = asyncio.Event()
        self._directories: frozenset[Path] = frozenset()
        self._listening: asyncio.Task[None] | None = None

    def follow(self, digests: Mapping[Path, Digest]) -> None:
        """Watch these files, which held this when they were read. None: watch nothing."""
        self._states.follow(digests)
        if digests:
            self._follows.set()
        else:
            self._follows.clear()

    async def run(self) -> None:
        try:
            while True:
                if not self._follows.is_set():
                    await self._listen(())
                    await self._follows.wait()
                await self._listen(self._states.paths)
                await self._stir(_LOOK_EVERY_S)
                if changed := await self._changed():
                    await self._settle()
                    await self._act(changed)
        finally:
            await self._listen(())

    async def _act(self, noticed: tuple[Path, ...]) -> None:
        changed = await self._changed()
        if not changed:
            return  # as before: a file was away for a moment
        names = sorted({str(path) for path in (*noticed, *changed)})
        _logger.info("files have changed", extra={"event": "files_changed", "fields": {"files": ", ".join(names)}})
        # Before the reload, which follows what it has read. If it cannot read, this is not tried again as it is.
        await asyncio.to_thread(self._states.accept)
        await self._reload()

    async def _settle(self) -> None:
        """Return when the files have been at rest for a moment, or have not come to rest for too long."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        before = await self._contents()
        while True:
            await asyncio.sleep(_AT_REST_S)
            now = await self._contents()
            is_missing = any(digest is None and self._states.had(path) for path, digest in now.items())
            longest_s = _MISSING_MAX_S if is_missing else _RESTLESS_MAX_S
            if (now == before and not is_missing) or loop.time() - began >= longest_s:
                return
            before = now

    async def _contents(self) -> dict[Path, Digest]:
        return await asyncio.to_thread(digests_of, self._states.paths)

    async def _changed(self) -> tuple[Path, ...]:
        return await asyncio.to_thread(self._states.changed)

    async def _stir(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._stirred.wait()
        except TimeoutError:
            pass
        self._stirred.clear()

    async def _listen(self, paths: Iterable[Path]) -> None:
        """Have the system tell of changes in the directories of `paths`, as they are now."""
        directories = await asyncio.to_thread(directories_of, paths) if paths else frozenset()
        if directories == self._directories and (self._listening is not None or not directories):
            return
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
            self._listening = None
        self._directories = directories
        if directories:
            self._listening = asyncio.create_task(self._hear(directories), name="file events")

    async def _hear(self, directories: Iterable[Path]) -> None:
        from watchfiles import awatch  # noqa: PLC0415 - takes a tenth of a second, and few gateways watch

        try:
            events = awatch(*directories, recursive=False, watch_filter=None, debounce=_STEP_MS, step=_STEP_MS)
            async for _ in events:
                self._stirred.set()
        except Exception as error:  # noqa: BLE001 - whatever the system or the library says, looking goes on
            fields = {"event": "watch_slow", "fields": {"reason": f"{type(error).__name__}: {error}"}}
            _logger.warning("no events of files; they are looked at every %g s", _LOOK_EVERY_S, extra=fields)
