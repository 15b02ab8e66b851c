"""One generation of the configuration: what it is compiled to and the parts it talks through.

A reload makes a new one beside the old one (`gateway.runtime.assembly`). Every request belongs to the generation that
was in force when it began.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.cache.key import HmacKeys
from gateway.cache.key_ring import KeyRing
from gateway.cache.local import LocalCache
from gateway.cache.redis import RedisTier
from gateway.cache.tier_per_secret import TierPerSecret
from gateway.compiled import CompiledConfig
from gateway.config.model import Config
from gateway.config.realms import BETWEEN
from gateway.introspection.admission import Admission
from gateway.introspection.authenticator import Authenticator
from gateway.introspection.not_before import NotBefore
from gateway.introspection.ports import IntrospectionMeter
from gateway.introspection.revocations import Revocations
from gateway.introspection.token_buckets import TokenBuckets
from gateway.obtaining.obtaining import Obtaining
from gateway.provider.breaker import STATES, State
from gateway.provider.provider import ProviderClient
from gateway.proxy.condition_port import ConditionPorts
from gateway.proxy.event_port import EventPort
from gateway.proxy.large_identity import LargeIdentities
from gateway.proxy.limiter import Limiter
from gateway.proxy.upstream.route_backends import RouteBackends


@dataclass(frozen=True, slots=True, eq=False)
class CacheParts:
    keys: HmacKeys | KeyRing
    local: LocalCache
    shared: RedisTier | TierPerSecret | None
    not_before: NotBefore  # outlives a reload, whatever that changes
    revocations: Revocations  # so does this


@dataclass(slots=True, eq=False)
class Generation:
    """Holds one configuration and all parts made for it. `exchanges` counts those that use it."""

    config: Config
    compiled: CompiledConfig
    providers: Mapping[str, ProviderClient]
    cache: CacheParts
    authenticator: Authenticator
    token_buckets: TokenBuckets | None
    admission: Admission
    backends: Mapping[str, RouteBackends]  # of each route by its name
    limiter: Limiter
    large_identities: LargeIdentities = field(default_factory=LargeIdentities)
    conditions: ConditionPorts = field(default_factory=ConditionPorts)
    obtaining: Obtaining | None = None  # what no route asks for is not there
    exchanges: int = 0
    receiver: EventPort = field(init=False)  # set by `WorkerServer`, whose invalidations reach beyond one generation

    @property
    def waiting(self) -> dict[str, str]:
        """The providers that cannot be asked yet, and why. Of one with realms, one realm is enough."""
        ready = {provider.name for provider in self.providers.values() if provider.ready}
        return {each.name: each.why_not_ready for each in self.providers.values() if each.name not in ready}

    @property
    def are_up(self) -> dict[str, bool]:
        """Which providers are discovered and asked, and have their keys where these judge tokens.

        One with realms is up when all of its realms are.
        """
        down = {
            each.name
            for each in self.providers.values()
            if not each.ready or each.breaker != "closed" or each.keys_are_away
        }
        return {each.name: each.name not in down for each in self.providers.values()}

    @property
    def breakers(self) -> dict[str, State]:
        """The state of each provider's breaker; of one with realms, the worst."""
        found: dict[str, State] = {}
        for each in self.providers.values():
            found[each.name] = max(found.get(each.name, each.breaker), each.breaker, key=STATES.index)
        return found

    @property
    def troubles(self) -> dict[str, str]:
        """Why a provider cannot be asked, or why the last question failed. Of one with realms, which realm it was."""
        found: dict[str, list[str]] = {}
        for key, each in self.providers.items():
            if each.trouble:
                realm = key.removeprefix(each.name).lstrip(BETWEEN)
                found.setdefault(each.name, []).append(f"{realm}: {each.trouble}" if realm else each.trouble)
        return {name: "; ".join(reasons) for name, reasons in found.items()}

    def learn_token_type(self, identity: bytes) -> None:
        """Learn that the access tokens of the provider with this identity have a `token_type`."""
        for provider in self.providers.values():
            if provider.identity == identity:
                provider.token_types.learn()

    def show_breakers(self, meter: IntrospectionMeter) -> None:
        """Report the state of each breaker in place of earlier clients' states. Call it once this is in force."""
        for name, state in self.breakers.items():
            meter.breaker_changed(name, state)
