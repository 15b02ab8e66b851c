"""nginx, HAProxy, Apache and Envoy before the gateway, each configured as its users do.

Who the client is, which request it was, and what becomes of bodies, refusals and WebSockets.
"""

import asyncio
import importlib.util
import os
import shutil
import socket
from pathlib import Path
from string import Template

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from support.counting_relay import TOKEN
from support.redis_server import free_port
from support.running_gateway import RunningGateway, configuration, eventually, provider_settings
from support.scripted_provider import ScriptedProvider

CONFIGURATIONS = Path(__file__).parent / "proxies"
APACHE_MODULES = Path("/usr/lib/apache2/modules")
CLIENT = "127.0.0.9"  # the proxies call the gateway from 127.0.0.1
BODY = bytes(range(256)) * 4096


def envoy_binary():
    spec = importlib.util.find_spec("envoy")
    carried = None if spec is None or spec.origin is None else Path(spec.origin).parent / "_bin" / "envoy"
    named = os.environ.get("ENVOY") or shutil.which("envoy")
    return named or (str(carried) if carried is not None and carried.exists() else None)


def command_of(proxy, config):
    match proxy:
        case "nginx":
            return [shutil.which("nginx"), "-p", str(config.parent), "-c", str(config)]
        case "haproxy":
            return [shutil.which("haproxy"), "-db", "-f", str(config)]
        case "apache":
            there = shutil.which("apache2") if APACHE_MODULES.is_dir() else None
            return [there, "-DFOREGROUND", "-f", str(config)]
        case _:
            return [envoy_binary(), "--use-dynamic-base-id", "--log-level", "error", "-c", str(config)]


FILES = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg", "apache": "apache.conf", "envoy": "envoy.yaml"}


async def echo(request: web.Request) -> web.StreamResponse:
    if request.path == "/api/ws":
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                await ws.send_str(message.data + " " + request.headers["X-User-Id"])
        return ws
    if request.path == "/api/download":
        return web.Response(body=BODY)
    body = await request.read()
    fields = {name.lower(): value for name, value in request.headers.items()}
    return web.json_response({"fields": fields, "bytes": len(body), "method": request.method})


@pytest.fixture
def server_keys():
    return {}


@pytest.fixture
def send():
    """How HAProxy tells whose connection it passes on."""
    return ""


@pytest.fixture
async def gateway(server_keys):
    provider = ScriptedProvider()
    await provider.start()
    provider.answers[TOKEN] = {"active": True, "sub": "alice"}
    app = web.Application(client_max_size=2**22)
    app.router.add_route("*", "/{rest:.*}", echo)
    async with TestServer(app, host="127.0.0.1") as server:
        backend = f"http://127.0.0.1:{server.port}"
        routes = [
            {"name": "check", "match": {"path": "/"}, "backend": backend, "auth": "none"},
            {"name": "api", "match": {"path": "/api/**"}, "backend": backend, "preserve_host": True},
        ]
        text = configuration(
            providers={"p": provider_settings(provider)},
            routes=routes,
            server={"trusted_proxies": ["127.0.0.1/32"], **server_keys},
        )
        running = RunningGateway(text)
        await running.start()
        yield running
        await running.stop()
        assert running.lines.errors == []
    await provider.stop()


@pytest.fixture(params=list(FILES))
async def proxy(request, gateway, tmp_path, send):
    """The port of the proxy."""
    port = free_port()
    config = tmp_path / FILES[request.param]
    values = {"send": send, "folder": tmp_path, "port": port, "gateway": gateway.address[1], "modules": APACHE_MODULES}
    config.write_text(Template((CONFIGURATIONS / config.name).read_text()).substitute(values))
    command = command_of(request.param, config)
    if command[0] is None:
        pytest.skip(f"no {request.param}")
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path)
    try:
        async with asyncio.timeout(30):
            while not listens(port):
                assert process.returncode is None
                await asyncio.sleep(0.05)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
async def client(proxy):
    connector = aiohttp.TCPConnector(local_addr=(CLIENT, 0))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{proxy}", connector=connector) as session:
        yield session


async def log_line(gateway):
    """Of the request to `/api`: HAProxy's checks are logged, too."""

    def lines():
        return [line for line in gateway.lines.requests if line["route"] == "api"]

    await eventually(lines)
    return lines()[0]


BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def test_the_client_and_its_request_are_known_by_what_the_proxy_says(client, gateway, proxy):
    async with client.get("/api/x", headers={**BEARER, "Host": "shop.example"}) as answer:
        assert answer.status == 200
        fields = (await answer.json())["fields"]
        ids = answer.headers.getall("X-Request-Id")
    assert fields["x-user-id"] == "alice"
    assert fields["x-forwarded-for"].split(", ")[0] == CLIENT
    assert fields["x-forwarded-proto"] == "http"
    assert fields["host"] == fields["x-forwarded-host"] == "shop.example"
    line = await log_line(gateway)
    assert line["client"] == CLIENT
    assert fields["x-request-id"] == line["request_id"]
    assert set(ids) == {line["request_id"]}


async def test_what_the_client_says_of_itself_steers_nothing(client, gateway):
    forged = {"X-Forwarded-For": "203.0.113.9", "X-User-Id": "root", "X_User_Id": "root", "X-Forwarded-User": "root"}
    async with client.get("/api/x", headers={**BEARER, **forged}) as answer:
        fields = (await answer.json())["fields"]
    assert (await log_line(gateway))["client"] == CLIENT
    assert "root" not in fields.values()


async def test_bodies_pass_whole_both_ways(client):
    async def chunks():
        for start in range(0, len(BODY), 2**16):
            yield BODY[start : start + 2**16]

    for data in (BODY, chunks()):
        async with client.post("/api/x", data=data, headers=BEARER) as answer:
            assert (await answer.json())["bytes"] == len(BODY)
    async with client.get("/api/download", headers=BEARER) as answer:
        assert await answer.read() == BODY


async def test_refusals_arrive_as_they_are(client):
    async with client.get("/api/x") as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.content_type == "application/problem+json"
        assert (await answer.json())["code"] == "token_missing"
    async with client.get("/api/x", headers={"Authorization": "Bearer unknown"}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (401, "invalid_token")


async def test_three_hundred_requests_are_answered(client):
    statuses = []
    for number in range(100):
        async with client.get(f"/api/{number}", headers=BEARER) as answer:
            statuses.append(answer.status)
        async with client.post(f"/api/{number}", json={}, headers=BEARER) as answer:
            statuses.append(answer.status)
        async with client.head(f"/api/{number}", headers=BEARER) as answer:
            statuses.append(answer.status)
    assert statuses == [200] * 300


async def test_a_websocket_knows_who_is_there(client):
    async with client.ws_connect("/api/ws", headers=BEARER) as ws:
        await ws.send_str("hello")
        assert (await ws.receive_str(timeout=10)) == "hello alice"


@pytest.mark.parametrize("proxy", ["haproxy"], indirect=True)
async def test_haproxys_default_check_finds_the_gateway_up(proxy, gateway, tmp_path):
    async def asked():
        reader, writer = await asyncio.open_unix_connection(tmp_path / "stats")
        writer.write(b"show stat\n")
        rows = (await reader.read()).decode().splitlines()
        writer.close()
        names = rows[0].removeprefix("# ").split(",")
        return next(dict(zip(names, row.split(","), strict=False)) for row in rows if row.startswith("back,gateway"))

    async with asyncio.timeout(15):
        while (seen := await asked())["check_status"] not in {"L7OK", "L7STS"}:
            pass
    assert (seen["status"], seen["check_status"], seen["check_code"]) == ("UP", "L7OK", "200")


@pytest.mark.parametrize("proxy", ["haproxy"], indirect=True)
@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
@pytest.mark.parametrize("server_keys", [{"proxy_protocol": True}])
async def test_haproxy_tells_the_client_by_the_proxy_protocol(client, gateway):
    """It believes the header then, and nothing that the client may have written into `X-Forwarded-For`."""
    forged = {"X-Forwarded-For": "203.0.113.9"}
    for _ in range(3):
        async with client.get("/api/x", headers={**BEARER, **forged}) as answer:
            assert answer.status == 200
            fields = (await answer.json())["fields"]
        assert fields["x-forwarded-for"] == CLIENT
    assert (await log_line(gateway))["client"] == CLIENT
