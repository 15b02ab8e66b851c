"""Runs the commands: the service under signals, one of its workers, the demo with all its parts.

Only the first process handles signals: SIGHUP reloads, SIGTERM and SIGINT drain. A second SIGTERM or SIGINT ends the
draining at once, within `drain_delay` or later.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.demo import settings as demo_settings
from gateway.demo.beside_nginx import DemoNginx
from gateway.demo.demo_provider import DemoProvider
from gateway.demo.echo_backend import EchoBackend
from gateway.demo.places import Places, check_free, places_from
from gateway.demo.transcript import Transcript
from gateway.demo.walkthrough import walk
from gateway.observe.lines import LineWriter
from gateway.observe.log import standard_output
from gateway.observe.observation import Observation
from gateway.runtime.config_source import read_source
from gateway.runtime.service_manager import ServiceManager
from gateway.service import Service, Worker
from gateway.workers.inherited_sockets import inherited_sockets
from gateway.workers.worker import ConfigSource, Siblings, serve_worker

# How many new objects may be unfreed before the collector looks; busy connections hold more than the default, 700.
_COLLECTED_AFTER = 20_000
_DEMO_DRAIN_S = 2.0


async def serve(path: str) -> None:
    """Run `gateway serve` until SIGTERM or SIGINT."""
    _spare_the_collector()
    manager = ServiceManager.from_environment(os.environ, os.getpid(), lambda: time.monotonic_ns() // 1000)
    inherited = inherited_sockets(os.environ, os.getpid())
    service = Service(lambda: read_source(path), standard_output(), manager, inherited)
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    reload_wanted = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, reload_wanted.set)
    for stop in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(stop, stopping.set)
    await service.start()
    reloading = asyncio.create_task(_reload_when(reload_wanted, service), name="reload on SIGHUP")
    alive = asyncio.create_task(manager.keep_alive(), name="watchdog of the service manager")
    await stopping.wait()
    stopping.clear()
    draining = asyncio.create_task(service.drain(), name="drain")
    impatient = asyncio.create_task(stopping.wait(), name="second signal")
    await asyncio.wait((draining, impatient), return_when=asyncio.FIRST_COMPLETED)
    if not draining.done():
        draining.cancel()
        with suppress(asyncio.CancelledError):
            await draining
        await service.drain(0)
    for task in (reloading, impatient, alive):
        task.cancel()
    await asyncio.gather(reloading, impatient, alive, return_exceptions=True)


async def work(control_fd: int, listen_fd: int, decisions_fd: int | None = None) -> None:
    """Run `gateway worker`, one process of several, until the supervisor ends it."""
    _spare_the_collector()
    control, *listeners = (socket.socket(fileno=fd) for fd in (control_fd, listen_fd, decisions_fd) if fd is not None)
    siblings = Siblings()
    observation = Observation(standard_output())
    worker = Worker(listeners, observation, siblings.broadcast, siblings.leads, siblings.claim)
    await serve_worker(control, worker, siblings)
    await asyncio.to_thread(observation.close)


def _spare_the_collector() -> None:
    """Make the garbage collector look rarely: each look holds up all requests, and there is little to find.

    A request's objects are freed as it ends, and the modules stay for good
    (https://docs.python.org/3/library/gc.html#gc.freeze).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_AFTER)


async def _reload_when(wanted: asyncio.Event, service: Service) -> None:
    while True:
        await wanted.wait()
        wanted.clear()
        await service.reload()


async def demo(port_base: int | None, *, is_check: bool, beside: str | None = None) -> int:
    """Run `gateway demo`. Returns the exit status. Raises `OSError`, which names all ports that are taken."""
    places = places_from(port_base, beside)
    check_free(places)
    transcript = Transcript(sys.stdout)
    stopping = asyncio.Event()
    if not is_check:
        for stop in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(stop, stopping.set)
    async with _demonstrating(places) as provider:
        if is_check:
            return 0 if await walk(places, lambda: provider.introspections, transcript) else 1
        transcript.guide(places)
        await stopping.wait()
    transcript.stopped()
    return 0


@asynccontextmanager
async def _demonstrating(places: Places) -> AsyncIterator[DemoProvider]:
    """Run the demo's provider, backend and gateway; they end in the opposite order."""
    async with AsyncExitStack() as stack:
        provider = DemoProvider(port=places.provider)
        await provider.start()
        stack.push_async_callback(provider.stop)
        backend = EchoBackend(places.backend)
        await backend.start()
        stack.push_async_callback(backend.stop)
        # Standard output belongs to the walk-through, so the log goes to standard error.
        writer = LineWriter(sys.stderr.fileno() if sys.stderr is not None else None)
        stack.callback(writer.close)
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="gateway-demo-"))) if places.proxy else None
        source = ConfigSource(demo_settings.text(places, folder), demo_settings.NAME, ".")
        service = Service(lambda: source, writer)
        stack.push_async_callback(service.drain, _DEMO_DRAIN_S)
        await service.start()
        if folder is not None:
            names = tuple(dict.fromkeys(name for route in service.config.routes for name in route.identity.names))
            nginx = DemoNginx(places, folder, names)
            stack.push_async_callback(nginx.stop)
            await nginx.start()
        yield provider
