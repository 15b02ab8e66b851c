"""A gateway built and joined: its listeners, one process or a supervisor with workers, metrics and log.

With `workers: 1` the process serves by itself; with more, it holds the sockets and its workers serve.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from gateway.admin.admin_listener import AdminListener
from gateway.admin.application import admin_app
from gateway.admin.describe import describe
from gateway.config.load import describe_problems, load_text, read_text
from gateway.config.model import Config
from gateway.config.problems import ConfigError
from gateway.config.server_model import Server
from gateway.introspection.invalidation import invalidation_from_json
from gateway.observe import snapshots
from gateway.observe.lines import LineWriter
from gateway.observe.observation import Observation
from gateway.runtime.build import FORM
from gateway.runtime.invalidation_broadcaster import Spread
from gateway.runtime.worker_server import WorkerServer
from gateway.workers.instance import Instance, Readiness
from gateway.workers.single import InProcess
from gateway.workers.sockets import bind, unbind
from gateway.workers.supervisor import ReloadRefusedError, StartError, Supervisor
from gateway.workers.worker import ConfigSource

_logger = logging.getLogger(__name__)

# -P: `-m` looks for modules in the current directory before the standard library, so that a file called `yaml.py` in
# the directory that the gateway was started from would run in each worker.
WORKER_COMMAND = (sys.executable, "-P", "-m", "gateway", "worker")


class Worker:
    """A `WorkerHandler`: the engine under the texts that the supervisor sends."""

    def __init__(self, sock: socket.socket, observation: Observation, spread: Spread | None = None) -> None:
        self._engine = WorkerServer(sock, observation, spread)
        self._observation = observation

    async def configure(self, source: ConfigSource) -> None:
        config = await _load(source)
        self._observation.configure(config)
        await self._engine.start(config)

    async def reload(self, source: ConfigSource) -> None:
        config = await _load(source)
        await self._engine.apply(config)
        self._observation.configure(config)

    async def purge(self, selector: Mapping[str, str]) -> int:
        return await self._engine.purge(selector)

    async def explain(self, question: Mapping[str, str]) -> dict[str, Any]:
        return await self._engine.explain(question)

    def forget(self, eviction: Mapping[str, Any]) -> None:
        self._engine.forget(invalidation_from_json(eviction))

    def lame_duck(self) -> None:
        self._engine.lame_duck()

    async def drain(self, timeout_s: float | None) -> None:
        await self._engine.drain(timeout_s)

    def snapshot(self) -> dict[str, Any]:
        return self._observation.snapshot()

    def ready(self) -> Readiness:
        return self._engine.readiness()


class _Serving(Instance, Protocol):
    """What `Service` drives, whether one process or several."""

    async def start(self) -> None: ...

    async def reload(self, source: ConfigSource) -> None: ...

    async def lame_duck(self, delay_s: float) -> None: ...

    async def drain(self, timeout_s: float) -> None: ...


class SingleProcess(InProcess):
    """The worker within this very process."""

    def __init__(self, worker: Worker, source: ConfigSource, routes: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        super().__init__(worker, routes)
        self._serving = worker
        self._source = source

    async def start(self) -> None:
        try:
            await self._serving.configure(self._source)
        except ValueError as error:
            raise StartError(str(error)) from None

    async def reload(self, source: ConfigSource) -> None:
        try:
            await self._serving.reload(source)
        except ValueError as error:
            raise ReloadRefusedError(str(error)) from None

    async def lame_duck(self, delay_s: float) -> None:
        self._serving.lame_duck()
        await asyncio.sleep(delay_s)

    async def drain(self, timeout_s: float) -> None:
        await self._serving.drain(timeout_s)


class Service:
    """A gateway that serves what `read` gives: `start`, then `reload` and `drain` as signals say.

    Raises `ConfigError` for the configuration, `OSError` (`BindError`) for an address and `StartError` for the rest.
    """

    def __init__(self, read: Callable[[], ConfigSource], writer: LineWriter) -> None:
        self._read = read
        self._observation = Observation(writer)
        self._source = read()
        self.config = load_source(self._source)
        self._serving: _Serving | None = None
        self._admin: AdminListener | None = None
        self._sockets: list[socket.socket] = []
        self._reloading = asyncio.Lock()

    async def start(self) -> None:
        """Bind, then answer the admin listener, which says "starting", then serve."""
        self._observation.configure(self.config)
        workers = worker_count(self.config.server)
        self._sockets = bind(self.config.server.listen, workers)
        try:
            (admin_socket,) = bind(self.config.admin.listen)
            self._serving = self._serving_by(workers)
            self._admin = AdminListener(admin_app(self._serving, lambda: self.config.admin))
            listen, admin = _bound(self._sockets[0]), _bound(admin_socket)
            fields = {"listen": listen, "admin": admin, "workers": workers, "form": FORM}
            await self._admin.start(admin_socket)
            await self._serving.start()
        except BaseException:
            await self._close()
            raise
        _logger.info("serving", extra={"event": "serving", "fields": fields})

    async def reload(self) -> bool:
        """Serve what the file says now; False, with the reason in the log, where the old configuration stays."""
        async with self._reloading:
            try:
                source = await asyncio.to_thread(self._read)
                config = await asyncio.to_thread(load_source, source)
                self._check_fixed(config)
                assert self._serving is not None  # start has set it
                await self._serving.reload(source)
            except ConfigError as error:
                return self._refused(describe_problems(error))
            except (ReloadRefusedError, ValueError) as error:
                return self._refused(str(error))
            self._source, self.config = source, config
            self._observation.configure(config)
            self._observation.reloaded("success")
            _logger.info("configuration reloaded", extra={"event": "reloaded"})
            return True

    async def drain(self, timeout_s: float | None = None) -> None:
        """Be not ready, go on accepting for `drain_delay`, then let exchanges end within `shutdown_timeout`.

        With `timeout_s`: without the delay, and within that time. The admin listener answers until the end.
        """
        server = self.config.server
        _logger.info("draining", extra={"event": "draining"})
        if self._serving is not None and timeout_s is None:
            await self._serving.lame_duck(server.drain_delay)
        unbind(self._sockets)  # else new connections would wait where nobody takes them
        if self._serving is not None:
            await self._serving.drain(server.shutdown_timeout if timeout_s is None else timeout_s)
        await self._close()
        _logger.info("stopped", extra={"event": "stopped"})

    async def _close(self) -> None:
        unbind(self._sockets)
        if self._admin is not None:
            await self._admin.stop()

    def _serving_by(self, workers: int) -> _Serving:
        if workers == 1:
            # The listener closes what it is given; the socket itself, with a Unix socket's file, is for `unbind`.
            worker = Worker(self._sockets[0].dup(), self._observation)
            return SingleProcess(worker, self._source, lambda: describe(self.config))
        return Supervisor(
            WORKER_COMMAND,
            self._sockets,
            self._source,
            counting=snapshots,
            own_snapshot=self._observation.snapshot,
            routes=lambda: describe(self.config),
        )

    def _check_fixed(self, new: Config) -> None:
        """Raises `ValueError` for what only a restart can change."""
        old = self.config
        fixed = {
            "server.listen": (old.server.listen, new.server.listen),
            "server.workers": (old.server.workers, new.server.workers),
            "admin.listen": (old.admin.listen, new.admin.listen),
        }
        for name, (before, after) in fixed.items():
            if before != after:
                raise ValueError(f"{name} changed from {before} to {after}, which a reload can not do; restart for it")

    def _refused(self, reason: str) -> bool:
        self._observation.reloaded("failure")
        _logger.error("reload refused, the old configuration stays: %s", reason, extra={"event": "reload_refused"})
        return False


def worker_count(server: Server) -> int:
    if server.workers != "auto":
        return server.workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_source(path: str) -> ConfigSource:
    """The file's text, with what it takes to read it the same way elsewhere. Raises `ConfigError`."""
    return ConfigSource(read_text(path), path, str(Path(path).absolute().parent))


def load_source(source: ConfigSource) -> Config:
    return load_text(source.text, source.name, environ=os.environ, directory=Path(source.directory))


async def _load(source: ConfigSource) -> Config:
    try:
        return await asyncio.to_thread(load_source, source)
    except ConfigError as error:
        raise ValueError(describe_problems(error)) from None


def _bound(sock: socket.socket) -> str:
    name = sock.getsockname()
    return f"unix:{name}" if isinstance(name, str) else f"{name[0]}:{name[1]}"
