"""All that obtains permissions and tokens in one generation of the configuration; there where a route asks for it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.cache.key import HmacKeys
from gateway.cache.key_ring import KeyRing
from gateway.config.credential_model import BackendCredential
from gateway.config.model import Config
from gateway.grants.obtained import Windows
from gateway.introspection.authenticator import Authenticator
from gateway.introspection.lease_port import Leases
from gateway.introspection.ports import SharedTier
from gateway.introspection.tag_purge import TagPurge
from gateway.obtaining.client_tokens import ClientTokens
from gateway.obtaining.grant_runner import GrantMeter, GrantRunner
from gateway.obtaining.obtainer import Obtainer
from gateway.obtaining.verdict_tier import VerdictTier
from gateway.provider.provider import ProviderClient


@dataclass(frozen=True, slots=True, eq=False)
class Obtaining:
    """Holds the parts, and what they were made of. A reload that changes none of it takes them over."""

    obtainer: Obtainer
    client_tokens: ClientTokens
    authenticator: Authenticator
    windows: Windows
    fraction: float | None

    def serves(self, config: Config, authenticator: Authenticator) -> bool:
        """Whether it will do for `config`, in which `authenticator` finds the facts of callers."""
        is_same = self.windows == _windows(config) and self.fraction == config.cache.refresh_ahead
        return is_same and self.authenticator is authenticator

    def forget(self, purge: TagPurge) -> None:
        self.obtainer.forget(purge)

    async def close(self, within_s: float) -> None:
        await self.client_tokens.close()
        await self.obtainer.close(within_s)


def obtains(config: Config) -> bool:
    """Whether a route asks for anything that has to be obtained."""
    return any(route.auth.permissions or isinstance(route.authorization, BackendCredential) for route in config.routes)


def new_obtaining(
    config: Config,
    providers: Mapping[str, ProviderClient],
    keys: HmacKeys | KeyRing,
    shared: SharedTier | None,
    leases: Leases | None,
    authenticator: Authenticator,
    meter: GrantMeter,
) -> Obtaining:
    windows = _windows(config)
    runners = {
        name: GrantRunner(
            each.name, each.identity, each.realm, each.grants, windows, authenticator.tags, meter, clock=time.time
        )
        for name, each in providers.items()
    }
    obtainer = Obtainer(
        runners,
        keys=keys,
        local=VerdictTier(config.cache.max_entries),
        shared=shared,
        leases=leases,
        windows=windows,
        fraction=config.cache.refresh_ahead,
    )
    return Obtaining(obtainer, ClientTokens(obtainer), authenticator, windows, config.cache.refresh_ahead)


def _windows(config: Config) -> Windows:
    return Windows(config.cache.ttl, config.cache.inactive_ttl)
