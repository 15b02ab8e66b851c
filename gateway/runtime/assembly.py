"""Assembles a generation of the configuration, and takes it apart.

How this works:

- `assemble` builds a `Generation`: the providers' clients, the caches, the authenticator, the compiled routes, the
  admission of unknown tokens.
- A reload assembles a new generation beside the old one. It takes over each part whose settings did not change, so
  that connections, discovered endpoints and cached facts live on.
- `retire` waits until the last exchange has left the old generation, or for an hour at most. `release` then closes the
  parts that the new one did not take over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from gateway.authn.bearer import Token
from gateway.authn.tolerance import longest_tolerated_s
from gateway.cache.key import HmacKeys, stretched
from gateway.cache.key_ring import KeyRing, keys_of
from gateway.cache.local import LocalCache
from gateway.cache.redis import RedisTier
from gateway.cache.tier_per_secret import TierPerSecret
from gateway.compiled import CompiledConfig, compile_config, compile_limits
from gateway.conditions.within_limits import WithinLimits
from gateway.config.model import Cache, Config
from gateway.config.redis_url import parse_redis_url
from gateway.introspection.admission import Admission
from gateway.introspection.authenticator import Authenticator
from gateway.introspection.lifetime import Lifetimes
from gateway.introspection.not_before import NotBefore
from gateway.introspection.ports import IntrospectionMeter
from gateway.introspection.refresh import Ahead
from gateway.introspection.revocations import Revocations
from gateway.introspection.tag_purge import TagPurge
from gateway.introspection.token_buckets import TokenBuckets
from gateway.provider.provider import ProviderClient
from gateway.proxy.condition_port import ConditionPorts
from gateway.proxy.generation import CacheParts, Generation
from gateway.proxy.limiter import Limiter, LimitTally
from gateway.proxy.upstream.backend_state import BackendTally
from gateway.proxy.upstream.route_backends import TallyOf, route_backends
from gateway.runtime.obtaining_assembly import AssemblyMeter, add_obtaining
from gateway.runtime.provider_clients import Breakers, provider_clients
from gateway.runtime.token_type_sharing import recall_token_types
from gateway.workers.worker_count import worker_count

_RETIRE_POLL_S = 0.1
# Streams and WebSockets may hold a generation for days. Its parts are small, so it may keep them this long. The
# configuration in force decides whether such a stream stays open (`gateway.proxy.streams.open_streams`).
_RETIRE_MAX_S = 3600.0
_CLOSE_S = 1.0
# One in so many of a provider's concurrent calls may refresh facts that are not needed yet.
_REFRESHING_SHARE = 4


def _new_tally(_route: str, _backend: str) -> BackendTally:
    return BackendTally()


async def assemble(
    config: Config,
    meter: AssemblyMeter,
    on_purge: Callable[[TagPurge], object],
    before: Generation | None = None,
    on_revoked: Callable[[Token], object] | None = None,
    on_token_type: Callable[[bytes], object] = lambda _: None,
    on_inactive: Callable[[bytes], object] | None = None,
    in_force: Callable[[], Generation | None] = lambda: None,
    *,
    tally_of: TallyOf = _new_tally,
    limit_tally_of: Callable[[str], LimitTally] = lambda _: LimitTally(),
) -> Generation:
    """Build a `Generation` for `config`, with all of `before` that did not change. Raises `ValueError` with a reason.

    `on_purge` gets the purges of the fleet. `Authenticator` calls `on_revoked` and `on_inactive`,
    `ProviderClient` calls `on_token_type`. `meter` is told of breaker changes in the generation that is `in_force`.
    `tally_of` gives what counts for a route and a backend, `limit_tally_of` what counts for a limit.
    """
    providers = provider_clients(config, Breakers(meter, in_force), before, on_token_type)
    cache = await _cache(config, before, providers, on_purge)
    tolerated = longest_tolerated_s(config.routes, config.providers)
    if cache.shared is not None:
        cache.shared.follow_realms(frozenset(provider.realm for provider in providers.values()))
        cache.shared.extend_life(config.cache.ttl + max(tolerated.values(), default=0.0))
    await _start(providers, before)
    if before is not None and _may_share_authenticator(before, providers, cache, tolerated):
        authenticator = before.authenticator
    else:
        authenticator = _authenticator(config, providers, cache, meter, tolerated, on_revoked, on_inactive)
    await recall_token_types(providers.values(), cache.keys, cache.shared)
    compiled = _compiled(config, providers, cache)
    token_buckets = _token_buckets(config, before)
    admission = Admission(compiled, authenticator, token_buckets)
    backends = route_backends(compiled.routes, tally_of, {} if before is None else before.backends)
    limiter = _limiter(config, cache, limit_tally_of, before)
    parts = (cache, authenticator, token_buckets, admission, backends, limiter)
    ports = ConditionPorts({WithinLimits: limiter})
    return add_obtaining(Generation(config, compiled, providers, *parts, conditions=ports), before, meter)


def _compiled(config: Config, providers: Mapping[str, ProviderClient], cache: CacheParts) -> CompiledConfig:
    token_types = {name: provider.token_types for name, provider in providers.items()}
    return compile_config(config, token_types, [keys.nonces for keys in cache.keys.members])


async def _start(providers: Mapping[str, ProviderClient], before: Generation | None) -> None:
    for name, provider in providers.items():
        if before is None or before.providers.get(name) is not provider:
            await provider.start()


async def retire(old: Generation, new: Generation) -> None:
    """Release `old` once no exchange uses it any more."""
    deadline = time.monotonic() + _RETIRE_MAX_S
    while old.exchanges and time.monotonic() < deadline:  # noqa: ASYNC110 - no hurry, no event
        await asyncio.sleep(_RETIRE_POLL_S)
    await release(old, new)


async def release(old: Generation, new: Generation | None) -> None:
    """Close the parts of `old` that `new` did not take over."""
    if old.obtaining is not None and (new is None or new.obtaining is not old.obtaining):
        await old.obtaining.close(_CLOSE_S)
    if new is None or new.authenticator is not old.authenticator:
        await old.authenticator.close(_CLOSE_S)
    for name, provider in old.providers.items():
        if new is None or new.providers.get(name) is not provider:
            await provider.close()
    if new is None or new.limiter is not old.limiter:
        await old.limiter.close()
    if old.cache.shared is not None and (new is None or new.cache is not old.cache):
        await old.cache.shared.close()


def _authenticator(
    config: Config,
    providers: Mapping[str, ProviderClient],
    cache: CacheParts,
    meter: IntrospectionMeter,
    tolerated: Mapping[str, float],
    on_revoked: Callable[[Token], object] | None,
    on_inactive: Callable[[bytes], object] | None,
) -> Authenticator:
    return Authenticator(
        providers,
        keys=cache.keys,
        local=cache.local,
        shared=cache.shared,
        meter=meter,
        lifetimes=Lifetimes(config.cache.ttl, config.cache.inactive_ttl),
        clock=time.time,
        monotonic=time.monotonic,
        leases=None if cache.shared is None else cache.shared.leases,
        ahead=_refresh_ahead(config),
        longest_tolerated_s=tolerated,
        on_revoked=on_revoked,
        on_inactive=on_inactive,
        not_before=cache.not_before,
        revocations=cache.revocations,
    )


def _may_share_authenticator(
    before: Generation, providers: Mapping[str, ProviderClient], cache: CacheParts, tolerated: Mapping[str, float]
) -> bool:
    is_same = before.providers == providers and before.cache is cache
    return is_same and before.authenticator.longest_tolerated_s == tolerated


def _token_buckets(config: Config, before: Generation | None) -> TokenBuckets | None:
    settings = config.server.unknown_tokens
    if before is not None and before.config.server.unknown_tokens == settings:
        return before.token_buckets
    return None if settings is None else TokenBuckets(settings.rate, settings.burst)


def _limiter(
    config: Config, cache: CacheParts, tally_of: Callable[[str], LimitTally], before: Generation | None
) -> Limiter:
    """That of before, where the limits, the workers and the fleet's buckets are the same."""
    limits, workers = frozenset(compile_limits(config).values()), worker_count(config.server)
    fleet = None if cache.shared is None else cache.shared.limits
    old = None if before is None else before.limiter
    if old is not None and (old.limits, old.workers, old.fleet) == (limits, workers, fleet):
        return old
    return Limiter(limits, workers, fleet, tally_of, time.monotonic, before=old)


def _refresh_ahead(config: Config) -> Ahead | None:
    fraction = config.cache.refresh_ahead
    if fraction is None or not config.providers:
        return None
    # A request that waits for facts comes before facts that may be needed later.
    limit = min(provider.max_concurrency for provider in config.providers.values()) // _REFRESHING_SHARE
    return Ahead(fraction, config.cache.ttl, max(1, limit))


async def _cache(
    config: Config,
    before: Generation | None,
    providers: Mapping[str, ProviderClient],
    on_purge: Callable[[TagPurge], object],
) -> CacheParts:
    """Those of before, where the settings are the same."""
    if before is not None and before.config.cache == config.cache:
        return before.cache
    cache = await _cache_parts(config.cache, None if before is None else before.cache)

    def on_purge_of_fleet(purge: TagPurge) -> None:
        # Here, because the log is read for the first time before a generation is in force.
        cache.revocations.record(purge)
        on_purge(purge)

    if cache.shared is not None:
        cache.shared.follow_realms(frozenset(provider.realm for provider in providers.values()))
        await cache.shared.start(on_purge_of_fleet)
    return cache


async def _cache_parts(cache: Cache, before: CacheParts | None) -> CacheParts:
    not_before = NotBefore() if before is None else before.not_before
    revocations = Revocations() if before is None else before.revocations
    secrets = [secret.get_secret_value().encode() for secret in cache.secret or ()]
    for secret in secrets:
        await asyncio.to_thread(stretched, secret)  # caches it, so that making the keys takes no time
    # Revocations are remembered by tags, and without a secret only the same keys make the same tags again.
    keys = before.keys if before is not None and before.keys.is_random and not secrets else keys_of(secrets)
    tiers: list[RedisTier] = []
    for which in range(len(secrets) if cache.redis is not None else 0):
        tiers.append(_redis_tier(cache, keys, which, not_before, beside=tiers[0] if tiers else None))
    shared = TierPerSecret(tiers) if len(tiers) > 1 else tiers[0] if tiers else None
    return CacheParts(keys, LocalCache(cache.max_entries), shared, not_before, revocations)


def _redis_tier(
    cache: Cache, keys: HmacKeys | KeyRing, which: int, not_before: NotBefore, beside: RedisTier | None
) -> RedisTier:
    assert cache.redis is not None  # the caller makes none without
    return RedisTier(
        parse_redis_url(cache.redis.get_secret_value()),
        keys,
        timeout_s=cache.timeout,
        life_max_s=max(cache.ttl, cache.inactive_ttl),
        clock=time.time,
        monotonic=time.monotonic,
        clock_skew_s=cache.clock_skew,
        which=which,
        not_before=not_before,
        beside=beside,
    )
