"""Who opens a socket closes it, also when the start fails at any of its steps."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.running_gateway import RunningGateway, configuration

from gateway import service
from gateway.admin.admin_listener import AdminListener
from gateway.workers.supervisor import StartError

PROVIDER = {"introspection_endpoint": "http://127.0.0.1:1/introspect", "client_id": "gw", "client_secret": "secret"}
TEXT = configuration(providers={"p": PROVIDER}, routes=[{"name": "all", "backend": "http://127.0.0.1:1"}])


def open_sockets() -> set[str]:
    """The sockets of this process, by their inodes."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            name = str(entry.readlink())
        except OSError:
            continue  # the descriptor of the listing itself
        if name.startswith("socket:"):
            found.add(name)
    return found


def failing(*_: object, **__: object) -> None:
    raise ValueError("it cannot start")


async def failing_later(*_: object, **__: object) -> None:
    failing()


def _worker(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(service.Worker, "start", failing_later)


def _joining(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(service, "admin_app", failing)


def _admin(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AdminListener, "start", failing_later)


def _runner(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("aiohttp.web.AppRunner.setup", failing_later)


@pytest.mark.parametrize("breaks", [_worker, _joining, _admin, _runner], ids=lambda one: one.__name__.strip("_"))
async def test_a_start_that_fails_leaves_no_socket_open(
    breaks: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = RunningGateway(TEXT)
    before = open_sockets()
    with monkeypatch.context() as patch:
        breaks(patch)
        with pytest.raises((ValueError, StartError)):
            await gateway.start()
    # The gateway is still referred to here, so that no collection has closed anything for it.
    assert open_sockets() == before


async def test_a_stop_leaves_no_socket_open() -> None:
    gateway = RunningGateway(TEXT)
    before = open_sockets()
    await gateway.start()
    await gateway.stop(0.1)
    assert open_sockets() == before
