import aiohttp
import pytest
from support.admin import TOKEN, Client, FakeInstance

from gateway.admin.admin_listener import AdminListener
from gateway.admin.application import admin_app
from gateway.config.server_model import Admin
from gateway.config.values import parse_address
from gateway.workers.sockets import bind


@pytest.fixture
async def start_admin():
    """Starts a listener and gives a client of it; all are stopped afterwards."""
    listeners = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:

        async def start():
            (sock,) = bind(parse_address("127.0.0.1:0"))
            client = Client(session, f"http://127.0.0.1:{sock.getsockname()[1]}", FakeInstance())
            client.settings = Admin(listen="127.0.0.1:9090", token=TOKEN)
            listener = AdminListener(admin_app(client.instance, lambda: client.settings))
            listeners.append(listener)
            await listener.start(sock)
            return client

        yield start
        for listener in listeners:
            await listener.stop()


@pytest.fixture
async def admin(start_admin):
    return await start_admin()
