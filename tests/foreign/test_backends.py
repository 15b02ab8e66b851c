"""Real servers behind the gateway: where their redirects lead, what they are told, what comes back.

Each is skipped, with a reason, where its runtime or package is not there. `FOREIGN_PYTHON` names an interpreter that
has Flask, Starlette, gunicorn and uvicorn, where this one has not; `NODE_MODULES` a folder with Express.
"""

import asyncio
import gzip
import json
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.lanes import LANES, lane_keys
from support.running_gateway import RunningGateway, configuration
from support.wire import Answer, request

SERVERS = Path(__file__).parent / "servers"
PYTHON = os.environ.get("FOREIGN_PYTHON", sys.executable)
HOST = "gw.example"
TEXT = b"a line of text\n" * 200
STARTED_WITHIN_S = 60.0

Command = tuple[list[str], dict[str, str]]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


async def has(*command: str) -> bool:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait() == 0


async def python(module: str, *words: str, **environment: str) -> Command:
    package = words[0] if words else module
    for name in {module, package}:
        if not await has(PYTHON, "-c", f"import {name}"):
            pytest.skip(f"{PYTHON} has no {name}; name one that has it in FOREIGN_PYTHON")
    return [PYTHON], environment


async def uvicorn(port: int, _: Path) -> Command:
    (start, environment) = await python("starlette", "uvicorn")
    return [*start, "-m", "uvicorn", "--app-dir", str(SERVERS), "--port", str(port), "asgi_app:app"], environment


async def gunicorn(port: int, _: Path, **environment: str) -> Command:
    start, environment = await python("flask", "gunicorn", **environment)
    bind = f"127.0.0.1:{port}"
    return [
        *start,
        "-m",
        "gunicorn",
        "--chdir",
        str(SERVERS),
        "--threads",
        "4",
        "-b",
        bind,
        "wsgi_app:app",
    ], environment


async def gunicorn_with_proxy_fix(port: int, folder: Path) -> Command:
    return await gunicorn(port, folder, PROXY_FIX="1")


async def flask(port: int, _: Path) -> Command:
    start, environment = await python("flask")
    return [*start, str(SERVERS / "wsgi_app.py"), str(port)], environment


def found(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if path is None:
        pytest.skip(f"there is no {name} on this machine")
    return path


async def node(port: int, _: Path) -> Command:
    return [found("node"), str(SERVERS / "node_http.js"), str(port)], {}


async def express(port: int, _: Path) -> Command:
    modules = os.environ.get("NODE_MODULES", "")
    if not (Path(modules) / "express" / "package.json").is_file():
        pytest.skip("no express in the folder that NODE_MODULES names")
    return [found("node"), str(SERVERS / "express_app.js"), str(port)], {"NODE_PATH": modules}


async def go(port: int, folder: Path) -> Command:
    built = folder / "server"
    process = await asyncio.create_subprocess_exec(found("go"), "build", "-o", str(built), str(SERVERS / "main.go"))
    assert await process.wait() == 0
    return [str(built), str(port)], {}


async def nginx(port: int, folder: Path) -> Command:
    program = found("nginx")
    (folder / "files" / "slash").mkdir(parents=True)
    (folder / "files" / "slash" / "index.html").write_text('{"path": "/slash/", "headers": {}}')
    (folder / "files" / "text").write_bytes(TEXT)
    file = folder / "nginx.conf"
    file.write_text((SERVERS / "nginx.conf").read_text().format(port=port, root=folder))
    return [program, "-c", str(file), "-p", str(folder)], {}


ALL = (uvicorn, gunicorn, gunicorn_with_proxy_fix, flask, node, express, go, nginx)
# Their redirect to a folder is a path, which is theirs to build from X-Forwarded-Prefix.
WITH_PATHS = {go}


@asynccontextmanager
async def running(command: Command, port: int) -> AsyncIterator[str]:
    words, environment = command
    process = await asyncio.create_subprocess_exec(
        *words,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(STARTED_WITHIN_S):
            while not await _is_listening(port):
                assert process.returncode is None, words
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _is_listening(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.fixture(params=LANES)
def lane(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=ALL, ids=lambda one: one.__name__)
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Any, str]]:
    port = free_port()
    async with running(await request.param(port, tmp_path), port) as url:
        yield request.param, url


@pytest.fixture
async def gateway(server: tuple[Any, str], lane: str) -> AsyncIterator[RunningGateway]:
    """`/plain/**` goes to the server by that path, `/shop/**` without its first segment."""
    route = {"backend": server[1], "auth": "none"}
    routes = [
        {"name": "shop", "match": {"path": "/shop/**"}, "strip_prefix": "/shop", **route},
        {"name": "kept", "match": {"host": "kept.example"}, "preserve_host": True, **route},
        {"name": "plain", **route},
    ]
    one = RunningGateway(configuration(providers={}, routes=routes, server=lane_keys(lane)))
    await one.start()
    yield one
    await one.stop()


async def followed(gateway: RunningGateway, target: str, host: str = HOST) -> tuple[Answer, Answer]:
    """The answer, and that of where it leads; it must lead to the host that was asked."""
    first = await gateway.ask(request("GET", target, host=host))
    assert first.status in {301, 302, 307, 308}, first
    place = urlsplit(str(first.value("Location")))
    assert (place.scheme or "http", place.netloc or host) == ("http", host), first
    return first, await gateway.ask(request("GET", place.path, host=host))


async def test_redirects_lead_through_the_gateway(gateway: RunningGateway, server: tuple[Any, str]) -> None:
    for _ in range(3):
        for host in (HOST, "kept.example"):
            for target, end in (("/away", "/echo"), ("/slash", "/slash/")):
                first, second = await followed(gateway, target, host)
                assert urlsplit(str(first.value("Location"))).path == end
                assert (second.status, json.loads(second.body)["path"]) == (200, end)


async def test_so_they_do_where_a_prefix_is_stripped(gateway: RunningGateway, server: tuple[Any, str]) -> None:
    first, second = await followed(gateway, "/shop/away")
    assert urlsplit(str(first.value("Location"))).path == "/shop/echo"
    told = json.loads(second.body)["headers"]
    assert told["x-forwarded-prefix"] == "/shop"
    if server[0] not in WITH_PATHS:
        _, second = await followed(gateway, "/shop/slash")
        assert second.status == 200


async def test_it_is_told_who_asks(gateway: RunningGateway) -> None:
    for _ in range(3):
        answer = await gateway.get("/echo", "X-Forwarded-For: 192.0.2.1", "X-Request-Id: mine")
        told = json.loads(answer.body)["headers"]
        assert told["x-request-id"] == answer.value("X-Request-Id") != "mine"
        assert told["x-forwarded-for"] == "127.0.0.1"
        assert told["x-forwarded-host"] == HOST


async def test_what_is_packed_arrives_packed(gateway: RunningGateway) -> None:
    for _ in range(3):
        answer = await gateway.get("/text", "Accept-Encoding: gzip")
        assert answer.values("Content-Encoding") == ["gzip"]
        assert gzip.decompress(answer.body) == TEXT


async def test_it_serves_many_one_after_another(gateway: RunningGateway) -> None:
    async with await gateway.client() as client:
        for number in range(100):
            method = ("GET", "HEAD", "GET", "OPTIONS")[number % 4]
            await client.send(request(method, "/echo"))
            assert (await client.answer(method)).status < 500
