"""The decisions listener of several processes: each worker answers there, and one that dies is replaced."""

import os
import signal

import pytest
from support.processes import ServedGateway
from support.redis_server import free_port
from support.running_gateway import ADMIN_TOKEN
from support.wire import Client, request

TOLD = ("X-Forwarded-Method: GET", "X-Forwarded-Uri: /open/x", "X-Forwarded-Host: api.example.com")


@pytest.mark.parametrize("family", ["tcp", "unix"])
async def test_each_worker_answers_there_and_so_does_the_next_one(tmp_path, family):
    path, port = tmp_path / "decisions.sock", free_port()
    address = str(path) if family == "unix" else ("127.0.0.1", port)
    document = {
        "server": {"listen": f"127.0.0.1:{free_port()}", "workers": 2, "shutdown_timeout": "5s"},
        "admin": {"listen": f"127.0.0.1:{free_port()}", "token": ADMIN_TOKEN},
        "decisions": {"listen": f"unix:{path}" if family == "unix" else f"127.0.0.1:{port}"},
        "routes": [{"name": "open", "match": {"path": "/open/**"}, "auth": "none"}],
    }

    async def ask() -> int:
        async with await Client.of(address) as client:
            await client.send(request("GET", "/", *TOLD))
            return (await client.answer()).status

    gateway = ServedGateway("gateway", tmp_path, document)
    await gateway.start()
    try:
        workers = await gateway.until_workers(2)
        assert {await ask() for _ in range(10)} == {200}
        os.kill(workers[0], signal.SIGKILL)
        await gateway.until_workers(2, without=workers[0])
        assert {await ask() for _ in range(10)} == {200}
    finally:
        await gateway.stop()
    assert gateway.exit_status == 0
    assert not path.exists()
