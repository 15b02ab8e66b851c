"""Builds a gateway and joins its parts: the listeners, one process or a supervisor with workers, metrics and log.

With `workers: 1` this process serves. With more, it holds the sockets and its workers serve.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from gateway.admin.admin_listener import AdminListener
from gateway.admin.application import admin_app
from gateway.admin.describe import Description
from gateway.admin.status import About
from gateway.config.certificates import certificate_ends
from gateway.config.load import describe_problems
from gateway.config.model import Config
from gateway.config.problems import ConfigError
from gateway.config.values import Address
from gateway.introspection.invalidation import invalidation_from_json
from gateway.observe import snapshots
from gateway.observe.lines import LineWriter
from gateway.observe.observation import Observation
from gateway.observe.process_usage import process_usage
from gateway.observe.up_states import UpStates
from gateway.runtime.build import BUILD
from gateway.runtime.config_source import held_by, load_or_refuse, load_source
from gateway.runtime.file_states import Digest, digests_of
from gateway.runtime.file_watch import FileWatch
from gateway.runtime.fixed_settings import asked_at, check_fixed
from gateway.runtime.health_checks import HEALTH, Leads
from gateway.runtime.invalidation_broadcaster import Broadcast
from gateway.runtime.proof_replays import ClaimAtInstance
from gateway.runtime.service_manager import ServiceManager
from gateway.runtime.worker_server import WorkerServer
from gateway.workers.inherited_sockets import check_all_used, sockets_for
from gateway.workers.instance import Instance
from gateway.workers.single import SingleProcess
from gateway.workers.sockets import InheritedSocket, bind, bound_to, unbind
from gateway.workers.supervisor import ReloadRefusedError, Supervisor
from gateway.workers.worker import ConfigSource
from gateway.workers.worker_count import worker_count

_logger = logging.getLogger(__name__)

# What a stop takes beside the times of the file: the ends of processes and connections.
_STOP_SPARE_S = 10.0
# -P: otherwise `-m` looks for modules in the current directory first, and a file called `yaml.py` in the directory
# where the gateway was started would run in each worker.
WORKER_COMMAND = (sys.executable, "-P", "-m", "gateway", "worker")


class Worker(WorkerServer):
    """Does what the supervisor asks (`WorkerHandler`): reads the configuration that it sends, and serves it."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        observation: Observation,
        broadcast: Broadcast | None = None,
        leads: Leads | None = None,
        claim: ClaimAtInstance | None = None,
    ) -> None:
        super().__init__(sockets, observation, broadcast, leads, claim)
        self._observation = observation

    async def configure(self, source: ConfigSource) -> None:
        config = await load_or_refuse(source)
        self._observation.configure(config)
        await self.start(config)

    async def reload(self, source: ConfigSource) -> None:
        config = await load_or_refuse(source)
        await self.apply(config)
        self._observation.configure(config)

    def forget(self, invalidation: Mapping[str, Any]) -> None:
        if HEALTH in invalidation:
            self.health_told(invalidation[HEALTH])
        else:
            self.apply_locally(invalidation_from_json(invalidation))

    def snapshot(self) -> dict[str, Any]:
        return snapshots.joined(self._observation.snapshot(), self._up_states().snapshot(), process_usage())

    def refusals(self) -> list[dict[str, Any]]:
        return self._observation.refusals.as_json()

    def _up_states(self) -> UpStates:
        if not self.has_started:
            return UpStates(is_ready=False)
        running = self.generation
        shared = running.cache.shared
        return UpStates(
            self.ready().ready,
            running.are_up,
            None if shared is None else shared.healthy,
            len(running.cache.local),
            limits_alone=running.limiter.is_alone,
        )


class _Serving(Instance, Protocol):
    """Serves in one process or several; `Service` drives it."""

    async def start(self) -> None: ...

    async def reload(self, source: ConfigSource) -> None: ...

    async def lame_duck(self, delay_s: float) -> None: ...

    async def drain(self, timeout_s: float) -> None: ...


class Service:
    """Serves the configuration that `read` gives: first `start`, then `reload` and `drain` as signals ask.

    Raises `ConfigError` for the configuration, `OSError` (`BindError`) for an address and `StartError` for the rest.
    """

    def __init__(
        self,
        read: Callable[[], ConfigSource],
        writer: LineWriter,
        manager: ServiceManager | None = None,
        inherited: Sequence[InheritedSocket] = (),
    ) -> None:
        self._read = read
        self._description = Description()
        self._manager = manager or ServiceManager()
        self._inherited = inherited
        self._observation = Observation(writer)
        self._source = read()
        self._held = held_by(self._source)
        self.config = load_source(self._source)
        self._watch = FileWatch(self.reload)
        self._watching: asyncio.Task[None] | None = None
        self._serving: _Serving | None = None
        self._admin: AdminListener | None = None
        self._sockets: list[socket.socket] = []
        self._duplicates: list[socket.socket] = []  # of those, for the worker in this process
        self._status = ""
        self._decisions: list[socket.socket] = []
        self._admin_sockets: list[socket.socket] = []
        self._reload_failure: dict[str, Any] | None = None  # of the last reload, where it was refused
        self._reloading = asyncio.Lock()

    async def start(self) -> None:
        """Bind, start the admin listener, which says "starting", then serve."""
        self._observation.configure(self.config)
        workers = worker_count(self.config.server)
        beside_at = asked_at(self.config)
        own = (self.config.server.listen, self.config.admin.listen)
        check_all_used(self._inherited, own if beside_at is None else (*own, beside_at))
        self._sockets = self._listeners(self.config.server.listen, workers)
        try:
            if beside_at is not None:
                self._decisions = self._listeners(beside_at, workers)
            self._admin_sockets = self._listeners(self.config.admin.listen)
            (admin_socket,) = self._admin_sockets
            self._serving = self._serving_by(workers)
            self._admin = AdminListener(admin_app(self._serving, lambda: self.config.admin, self._about))
            listen, admin = bound_to(self._sockets[0]), bound_to(admin_socket)
            beside = {"decisions": bound_to(self._decisions[0])} if self._decisions else {}
            fields = {"listen": listen, "admin": admin, **beside, "workers": workers, "form": BUILD}
            await self._admin.start(admin_socket)
            await self._serving.start()
            await self._taken(self.config)
            self._watching = asyncio.create_task(self._watch.run(), name="watch of the files")
        except BaseException:
            if self._serving is not None:
                await self._serving.drain(0)
            await self._close()
            raise
        _logger.info("serving", extra={"event": "serving", "fields": fields})
        self._status = f"serving on {listen}, {workers} worker{'' if workers == 1 else 's'}, admin on {admin}"
        self._manager.ready(self._status)

    async def reload(self) -> bool:
        """Serve what the file says now. Returns False, and logs the reason, where the old configuration stays."""
        async with self._reloading:
            self._manager.reloading()
            try:
                source = await asyncio.to_thread(self._read)
                held = await asyncio.to_thread(held_by, source, is_watched=self.config.server.watch)
                # Where the file cannot be understood, those that it named before are still watched.
                self._follow({**await asyncio.to_thread(digests_of, self._held), **held})
                config = await asyncio.to_thread(load_source, source)
                check_fixed(self.config, config)
                assert self._serving is not None  # start has set it
                await self._serving.reload(source)
            except ConfigError as error:
                return self._refused(describe_problems(error))
            except (ReloadRefusedError, ValueError) as error:
                return self._refused(str(error))
            self._source, self._held, self.config = source, held, config
            self._observation.configure(config)
            self._observation.reloaded("success")
            self._reload_failure = None
            await self._taken(config)
            _logger.info("configuration reloaded", extra={"event": "reloaded"})
            self._manager.ready(self._status)
            return True

    async def drain(self, timeout_s: float | None = None) -> None:
        """Stop being ready, go on accepting for `drain_delay`, then let exchanges end within `shutdown_timeout`.

        With `timeout_s` there is no delay, and exchanges have that time. The admin listener answers until the end.
        """
        server = self.config.server
        _logger.info("draining", extra={"event": "draining"})
        longest_s = server.drain_delay + server.shutdown_timeout if timeout_s is None else timeout_s
        self._manager.stopping(longest_s + _STOP_SPARE_S)
        await self._end_watch()
        if self._serving is not None and timeout_s is None:
            await self._serving.lame_duck(server.drain_delay)
        unbind((*self._sockets, *self._decisions))  # otherwise new connections would wait where nobody accepts them
        if self._serving is not None:
            await self._serving.drain(server.shutdown_timeout if timeout_s is None else timeout_s)
        await self._close()
        _logger.info("stopped", extra={"event": "stopped"})

    async def _close(self) -> None:
        await self._end_watch()
        unbind((*self._sockets, *self._decisions))
        if self._admin is not None:
            await self._admin.stop()
        # What no listener has taken yet, where the start failed.
        unbind(self._admin_sockets)
        for one in self._duplicates:
            one.close()
        await asyncio.to_thread(self._observation.close)

    def _listeners(self, address: Address, count: int = 1) -> list[socket.socket]:
        """Those that were handed over for this address, else new ones."""
        return [*sockets_for(address, count, self._inherited)] or bind(address, count)

    async def _end_watch(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def _follow(self, held: Mapping[Path, Digest]) -> None:
        """Watch these files, where the configuration in force asks for it."""
        self._watch.follow(held if self.config.server.watch else {})

    async def _taken(self, config: Config) -> None:
        self._follow(self._held)
        self._observation.instance.configured(time.time(), await asyncio.to_thread(certificate_ends, config))

    def _about(self) -> About:
        """What the page shows of the configuration."""
        return About(
            file=str(Path(self._source.directory) / Path(self._source.name).name),
            form=BUILD,
            workers=worker_count(self.config.server),
            cache_entries_max=self.config.cache.max_entries,
            has_admin_token=bool(self.config.admin.token and self.config.admin.token.get_secret_value()),
            reload_failure=self._reload_failure,
        )

    def _own_snapshot(self) -> dict[str, Any]:
        """What the first of several processes adds to the counts of its workers."""
        is_ready = self._serving is not None and self._serving.readiness().ready
        return snapshots.joined(self._observation.snapshot(), UpStates(is_ready).snapshot(), process_usage())

    def _serving_by(self, workers: int) -> _Serving:
        if workers == 1:
            # A listener closes its socket. `unbind` needs one that is still open, to remove a Unix socket's file.
            self._duplicates += (one.dup() for one in (*self._sockets, *self._decisions))
            worker = Worker(self._duplicates, self._observation)
            return SingleProcess(worker, self._source, lambda: self._description.of(self.config))
        return Supervisor(
            WORKER_COMMAND,
            self._sockets,
            self._source,
            decisions=self._decisions,
            counting=snapshots,
            own_snapshot=self._own_snapshot,
            on_restart=self._observation.instance.worker_restarted,
            routes=lambda: self._description.of(self.config),
        )

    def _refused(self, reason: str) -> bool:
        self._observation.reloaded("failure")
        self._reload_failure = {"at": time.time(), "reason": reason}
        self._manager.ready(f"{self._status}; reload refused: {reason}")
        extra = {"event": "reload_refused", "fields": {"reason": reason}}
        _logger.error("reload refused, the old configuration stays: %s", reason, extra=extra)
        return False
