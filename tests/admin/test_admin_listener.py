import asyncio

import aiohttp
import yarl
from support.admin import FakeInstance

from gateway.admin.admin_listener import AdminListener
from gateway.admin.application import admin_app
from gateway.config.server_model import Admin
from gateway.config.values import parse_address
from gateway.workers.sockets import bind


async def test_a_unix_socket_can_be_listened_on(tmp_path):
    path = str(tmp_path / "admin.sock")
    (sock,) = bind(parse_address(f"unix:{path}"))
    listener = AdminListener(admin_app(FakeInstance(), lambda: Admin(listen=f"unix:{path}")))
    await listener.start(sock)
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session,
        session.get("http://gateway/health/live") as answer,
    ):
        assert answer.status == 200
    await listener.stop()
    assert not (tmp_path / "admin.sock").exists()


async def test_a_client_that_never_finishes_its_head_is_cut_off(monkeypatch, start_admin):
    monkeypatch.setattr("gateway.admin.admin_listener._KEEP_ALIVE_S", 0.2)
    url = yarl.URL((await start_admin()).url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"GET /health/live HTTP/1.1\r\n")
    assert await asyncio.wait_for(reader.read(), 30) == b""
    writer.close()
    await writer.wait_closed()


async def test_a_head_that_is_too_large_is_refused(admin):
    answer, _ = await admin.ask("GET", "/health/live", headers={"X-Fill": "x" * 20_000})
    assert answer.status == 400
    assert (await admin.ask("GET", "/health/live"))[0].status == 200
