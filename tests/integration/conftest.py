from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support import keycloak as keycloaks
from support.keycloak import ADMIN, Keycloak

from gateway.config.provider_model import Provider
from gateway.provider.provider import ProviderClient

CLIENTS = {"gateway": "demo-gateway-secret", "demo-app": "demo-app-secret"}
# Generous: this server has just started, on a machine that runs other tests.
CALL_TIMEOUT = "60s"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    """Keycloak with the realm `demo`, started once for all tests that ask for it."""
    home = keycloaks.home()
    http_port, management_port = keycloaks.free_ports(2)
    log = tmp_path_factory.mktemp("keycloak") / "keycloak.log"
    process = keycloaks.start(home, http_port, management_port, log)
    try:
        keycloaks.wait_until_ready(process, management_port, log)
        yield Keycloak(
            issuer=f"http://localhost:{http_port}/realms/demo",
            other_url=f"http://127.0.0.1:{http_port}/realms/demo",
        )
    finally:
        keycloaks.stop(process)


Open = Callable[..., Awaitable[ProviderClient]]


@pytest.fixture
async def provider(keycloak: Keycloak) -> AsyncIterator[Open]:
    """Opens provider clients, by client id and further keys of the configuration."""
    async with AsyncExitStack() as stack:

        async def open_client(client_id: str, **keys: object) -> ProviderClient:
            values = {
                "issuer": keycloak.issuer,
                "client_id": client_id,
                "client_secret": CLIENTS.get(client_id),
                "timeout": CALL_TIMEOUT,
                **keys,
            }
            client = ProviderClient("keycloak", Provider(**values))
            stack.push_async_callback(client.close)
            await client.start()
            return client

        yield open_client


@pytest.fixture
async def app(provider: Open) -> ProviderClient:
    """The application, which obtains tokens."""
    return await provider("demo-app")


@pytest.fixture
async def gateway(provider: Open) -> ProviderClient:
    """The gateway's own client, which introspects them."""
    return await provider("gateway")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        yield session


@pytest.fixture
async def administer(http: aiohttp.ClientSession, keycloak: Keycloak) -> Callable[..., Awaitable[Any]]:
    """Asks Keycloak's admin interface, as an administrator would; gives the answer's JSON."""
    form = {"client_id": "admin-cli", "grant_type": "password", "username": ADMIN, "password": ADMIN}
    master = f"{keycloak.server}/realms/master/protocol/openid-connect/token"
    async with http.post(master, data=form) as response:
        token = (await response.json())["access_token"]

    async def ask(method: str, path: str, document: object = None) -> Any:
        url, headers = f"{keycloak.server}/admin/realms{path}", {"Authorization": f"Bearer {token}"}
        async with http.request(method, url, json=document, headers=headers) as response:
            assert response.status < 300, await response.text()
            return await response.json() if response.content_type == "application/json" else None

    return ask


@pytest.fixture
def register(administer: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[None]]:
    """Adds a client to the realm."""

    async def register_client(client_id: str, **keys: object) -> None:
        client = {"clientId": client_id, "serviceAccountsEnabled": True, "publicClient": False, **keys}
        await administer("POST", "/demo/clients", client)

    return register_client
