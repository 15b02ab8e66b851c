"""Autobahn's fuzzing client against a WebSocket server, directly and through the gateway: no case may differ."""

import asyncio
import json
import os
import shutil

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from support.running_gateway import RunningGateway, configuration

WSTEST = os.environ.get("WSTEST") or shutil.which("wstest")
# Performance and compression take a quarter of an hour, and say nothing of a tunnel; AUTOBAHN_ALL=1 runs them, too.
LEFT_OUT = [] if os.environ.get("AUTOBAHN_ALL") else ["9.*", "12.*", "13.*"]


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(max_msg_size=0, compress=False)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


@pytest.fixture
async def ports():
    """Of the server itself, and of a gateway before it."""
    app = web.Application()
    app.router.add_get("/", echo)
    async with TestServer(app, host="127.0.0.1") as server:
        route = {"name": "ws", "backend": f"http://127.0.0.1:{server.port}", "auth": "none"}
        gateway = RunningGateway(configuration(providers={}, routes=[route]))
        await gateway.start()
        yield server.port, gateway.address[1]
        await gateway.stop()


async def test_no_case_differs_from_the_server_without_the_gateway(ports, tmp_path):
    if WSTEST is None:
        pytest.skip("no wstest: Autobahn's test suite needs a Python 2.7; see CONTRIBUTING.md")
    named = zip(("direct", "through"), ports, strict=True)
    servers = [{"agent": name, "url": f"ws://127.0.0.1:{port}/"} for name, port in named]
    spec = {"outdir": str(tmp_path / "reports"), "servers": servers, "cases": ["*"], "exclude-cases": LEFT_OUT}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    command = [WSTEST, "-m", "fuzzingclient", "-s", str(tmp_path / "spec.json")]
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stdout=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(3000 if not LEFT_OUT else 600):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    found = json.loads((tmp_path / "reports" / "index.json").read_text())
    assert len(found["direct"]) == len(found["through"]) > 200
    kept = ("behavior", "behaviorClose", "remoteCloseCode")
    outcome = {
        name: {case: [said[key] for key in kept] for case, said in cases.items()} for name, cases in found.items()
    }
    assert outcome["through"] == outcome["direct"]
