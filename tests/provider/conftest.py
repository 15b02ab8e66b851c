from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from support.scripted_provider import ScriptedProvider

from gateway.config.provider_model import Provider
from gateway.provider.provider import ProviderClient


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedProvider]:
    provider = ScriptedProvider()
    await provider.start()
    yield provider
    await provider.stop()


@pytest.fixture
async def client() -> AsyncIterator[Callable[..., ProviderClient]]:
    """Makes clients of a configuration's keys, and closes them."""
    made: list[ProviderClient] = []

    def make(*, tls: Any = None, settings_of_tls: Any = None, **keys: Any) -> ProviderClient:
        known = {"client_id": "gateway", "client_secret": "s3cret", "timeout": "5s", "tls": settings_of_tls}
        config = Provider(**{**known, **keys})
        made.append(ProviderClient("test", config, tls=tls))
        return made[-1]

    yield make
    for each in made:
        await each.close()
