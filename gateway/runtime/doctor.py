"""Tries everything that a configuration names, for real, and says of each whether it works: `gateway doctor`.

All is tried at the same time, and each thing for 5 s at most. A provider's credentials are tried after its discovery,
so that the whole takes 10 s at most.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable
from functools import partial
from itertools import chain
from pathlib import Path

from cryptography import x509

from gateway.authn.bearer import Token
from gateway.authn.jwt_hint import unverified_issuer
from gateway.compiled import compile_config
from gateway.config.model import Config
from gateway.config.provider_model import Provider
from gateway.config.realms import by_realm
from gateway.config.redis_url import parse_redis_url
from gateway.http.backend import Backend
from gateway.provider.client_context import client_context, own_context
from gateway.runtime.doctor_grants import examine_grants
from gateway.runtime.doctor_network import NotReachedError, backend_diagnosis, reach_backend
from gateway.runtime.doctor_provider import examine_provider
from gateway.runtime.doctor_redis import examine_redis
from gateway.runtime.doctor_token import token_diagnoses
from gateway.runtime.doctor_verdicts import Diagnosis, certificate_diagnosis


async def examine(
    config: Config, now_s: float, tls: ssl.SSLContext | None = None, token: Token | None = None
) -> list[Diagnosis]:
    """What works and what does not, in the order of the file. `now_s` is the wall clock.

    `tls` replaces the system's trust, for tests. `token` is a caller's; its provider is asked about it, and the routes
    are held against what it says.
    """
    tls = tls or ssl.create_default_context()
    tries: list[Awaitable[list[Diagnosis]]] = [_certificate(config, now_s)]
    settings = by_realm(config.providers)
    contexts = {name: own_context(one.tls) or tls for name, one in settings.items()}
    tries += [_provider(config, name, one, contexts[name], now_s, token) for name, one in settings.items()]
    tries.append(examine_grants(config, contexts))
    if config.cache.redis is not None:
        tries.append(examine_redis(parse_redis_url(config.cache.redis.get_secret_value())))
    tries += [_backend(backend, tls, now_s) for backend in _backends(config)]
    found = list(chain.from_iterable(await asyncio.gather(*tries)))
    if token is not None and not any(_may_be_of(token, one) for one in settings.values()):
        what = f"its iss is {unverified_issuer(token)!r}; obtain one of a provider of this file, or add that provider"
        found.append(Diagnosis("FAIL", "token", what))
    return found


def _may_be_of(token: Token, provider: Provider) -> bool:
    return provider.issuer is None or unverified_issuer(token) in (None, provider.issuer)


async def _provider(
    config: Config, name: str, provider: Provider, tls: ssl.SSLContext, now_s: float, token: Token | None
) -> list[Diagnosis]:
    if token is None or not _may_be_of(token, provider):
        return await examine_provider(name, provider, tls, now_s)
    on_token = partial(token_diagnoses, name, compile_config(config), token, now_s)
    return await examine_provider(name, provider, tls, now_s, token, on_token)


def _backends(config: Config) -> list[Backend]:
    """Each server once, however many routes it has."""
    return list({one.backend.place: one.backend for route in config.routes for one in route.backend}.values())


async def _backend(backend: Backend, tls: ssl.SSLContext, now_s: float) -> list[Diagnosis]:
    context = tls if backend.tls is None else client_context(backend.tls)
    try:
        return [backend_diagnosis(backend, await reach_backend(backend, context), now_s)]
    except NotReachedError as error:
        return [backend_diagnosis(backend, error, now_s)]


async def _certificate(config: Config, now_s: float) -> list[Diagnosis]:
    """The listener's own: the first of its file."""
    if config.server.tls is None:
        return []
    pem = await asyncio.to_thread(Path(config.server.tls.certificate).read_bytes)
    ends_s = x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
    return [certificate_diagnosis("server.tls certificate", ends_s, now_s)]
