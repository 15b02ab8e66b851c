"""One loaded configuration at work: what it is compiled to and the parts it talks through.

A reload makes a new one beside the old one. Parts whose settings did not change are taken over, so that connections,
discovered endpoints and remembered facts live on; the old one is retired when the last exchange has left it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.authn.authenticate import Authenticator
from gateway.authn.lifetime import Lifetimes
from gateway.authn.purge import Purge
from gateway.authn.tiers import Meter
from gateway.cache.key import Keys
from gateway.cache.local import LocalCache
from gateway.cache.redis import RedisTier
from gateway.config.model import Cache, Config
from gateway.config.redis_url import parse_redis_url
from gateway.gate import Gate, compile_gate
from gateway.provider.provider import ProviderClient
from gateway.server.forwarding import Rotation
from gateway.server.receiver import Receiver

_RETIRE_POLL_S = 0.1
# Streams and WebSockets may hold a configuration for days; its parts are small, so they are left in peace this long.
_RETIRE_MAX_S = 3600.0
_LANDING_S = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class CacheParts:
    keys: Keys
    local: LocalCache
    shared: RedisTier | None


@dataclass(slots=True, eq=False)
class Running:
    """`exchanges` counts those that use it."""

    config: Config
    gate: Gate
    providers: Mapping[str, ProviderClient]
    cache: CacheParts
    authenticator: Authenticator
    rotation: Rotation = field(default_factory=Rotation)
    exchanges: int = 0
    receiver: Receiver = field(init=False)  # set by the engine, whose evictions reach beyond one configuration


async def assemble(
    config: Config, meter: Meter, on_purge: Callable[[Purge], object], before: Running | None = None
) -> Running:
    """A `Running` for `config`, which takes over from `before` what did not change. Raises `ValueError`, in words."""
    providers = {name: _provider(name, config, before) for name in config.providers}
    if before is not None and before.config.cache == config.cache:
        cache = before.cache
    else:
        cache = _cache_parts(config.cache)
        if cache.shared is not None:
            await cache.shared.start(on_purge)
    for name, provider in providers.items():
        if before is None or before.providers.get(name) is not provider:
            await provider.start()
    if before is not None and before.providers == providers and before.cache is cache:
        authenticator = before.authenticator
    else:
        authenticator = Authenticator(
            providers,
            keys=cache.keys,
            local=cache.local,
            shared=cache.shared,
            meter=meter,
            lifetimes=Lifetimes(config.cache.ttl, config.cache.inactive_ttl),
            clock=time.time,
            monotonic=time.monotonic,
        )
    return Running(config, compile_gate(config), providers, cache, authenticator)


async def retire(old: Running, new: Running) -> None:
    """Release `old` once no exchange uses it any more."""
    deadline = time.monotonic() + _RETIRE_MAX_S
    while old.exchanges and time.monotonic() < deadline:  # noqa: ASYNC110 - no hurry, no event
        await asyncio.sleep(_RETIRE_POLL_S)
    await release(old, new)


async def release(old: Running, new: Running | None) -> None:
    """Close what `new` did not take over of `old`."""
    if new is None or new.authenticator is not old.authenticator:
        await old.authenticator.close(_LANDING_S)
    for name, provider in old.providers.items():
        if new is None or new.providers.get(name) is not provider:
            await provider.close()
    if old.cache.shared is not None and (new is None or new.cache is not old.cache):
        await old.cache.shared.close()


def _provider(name: str, config: Config, before: Running | None) -> ProviderClient:
    settings = config.providers[name]
    if before is not None and before.config.providers.get(name) == settings:
        return before.providers[name]
    return ProviderClient(name, settings)


def _cache_parts(cache: Cache) -> CacheParts:
    keys = Keys(cache.secret.get_secret_value().encode() if cache.secret is not None else None)
    shared = None
    if cache.redis is not None:
        shared = RedisTier(
            parse_redis_url(cache.redis.get_secret_value()),
            keys,
            timeout_s=cache.timeout,
            life_max_s=max(cache.ttl, cache.inactive_ttl),
            clock=time.time,
            monotonic=time.monotonic,
        )
    return CacheParts(keys, LocalCache(cache.max_entries), shared)
