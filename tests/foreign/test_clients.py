"""Clients as people use them: 300 requests over one connection; a third are GETs, JSON POSTs and chunked PUTs each."""

import asyncio
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.counting_relay import TOKEN, Relay

CLIENTS = Path(__file__).parent / "clients"
NODE_MODULES = os.environ.get("NODE_MODULES", "")


def python(module, program):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"Python's {module} is not installed; the extra `foreign` brings it")
    return [sys.executable, str(CLIENTS / program)]


def node(program, package=None):
    if shutil.which("node") is None:
        pytest.skip("no node")
    if package is not None and not (Path(NODE_MODULES) / package / "package.json").is_file():
        pytest.skip(f"no {package} in the folder that NODE_MODULES names")
    return ["node", str(CLIENTS / program)]


def go(folder):
    if shutil.which("go") is None:
        pytest.skip("no go")
    binary = folder / "with_net_http"
    environment = {"GOCACHE": str(folder / "cache"), **os.environ, "GO111MODULE": "off"}
    build = ["go", "build", "-o", str(binary), str(CLIENTS / "with_net_http.go")]
    subprocess.run(build, env=environment, check=True, timeout=400)
    return [str(binary)]


def java(folder):
    if shutil.which("java") is None or shutil.which("javac") is None:
        pytest.skip("no JDK")
    return ["java", str(CLIENTS / "WithHttpClient.java")]


COMMANDS = {
    "requests": lambda _: python("requests", "with_requests.py"),
    "httpx": lambda _: python("httpx", "with_httpx.py"),
    "aiohttp": lambda _: python("aiohttp", "with_aiohttp.py"),
    "node fetch": lambda _: node("with_fetch.mjs"),
    "node undici": lambda _: node("with_undici.mjs", "undici"),
    "node axios": lambda _: node("with_axios.mjs", "axios"),
    "go net/http": go,
    "java HttpClient": java,
}

# Node's fetch has a pool, and opens a second one while it tidies up after a streamed body.
CONNECTIONS = {"node fetch": 2}


@pytest.mark.parametrize("lane", ["fast", "general"])
@pytest.mark.parametrize("client", COMMANDS)
async def test_three_hundred_requests_take_one_connection(client, lane, serve, backend, tmp_path):
    command = await asyncio.to_thread(COMMANDS[client], tmp_path)
    gateway = await serve(fast_path=lane == "fast")
    async with Relay(*gateway.address).running() as relay:
        url = f"http://127.0.0.1:{relay.port}/api"
        process = await asyncio.create_subprocess_exec(*command, url, TOKEN, stdout=asyncio.subprocess.PIPE)
        try:
            async with asyncio.timeout(120):
                printed, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert (process.returncode, printed.strip()) == (0, b"300")
        assert relay.connections <= CONNECTIONS.get(client, 1)
    assert len(backend.requests) == 300
    assert {request.value("X-User-Id") for request in backend.requests} == {"alice"}
    puts = [request for request in backend.requests if request.method == "PUT"]
    assert {request.body for request in puts} == {b"in chunks"}
