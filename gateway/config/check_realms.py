"""Checks `realms` of a provider: each URL holds `{realm}` once, or none does and there are no realms.

A URL without it would be that of every realm: the keys of one realm would then count for the tokens of another.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.problems import Loc, Problem
from gateway.config.provider_model import REALM, URLS_BY_REALM, Provider
from gateway.config.sections import Section


def problems_of_realms(provider: Section[Provider]) -> Iterator[Problem]:
    if not provider.is_valid("realms"):
        return
    realms = provider.value.realms
    if realms is None:
        what = f"{REALM} stands for one of realms, and there are none; write realms: [a, b] beside it"
        yield from (provider.origin.problem(loc, what) for loc, url in _urls(provider) if REALM in url)
        return
    what = f"all realms would share it; write {REALM} into it, as in https://sso.example.com/realms/{REALM}"
    yield from (provider.origin.problem(loc, what) for loc, url in _urls(provider) if url.count(REALM) != 1)
    if provider.is_valid("issuer") and provider.value.issuer is None:
        what = f"realms are told apart by their iss; write issuer: https://…/{REALM} beside it"
        yield provider.origin.problem(("realms",), what)
    if len(set(realms)) < len(realms):
        yield provider.origin.problem(("realms",), "one realm stands there twice; write each once")


def _urls(provider: Section[Provider]) -> list[tuple[Loc, str]]:
    value = provider.value
    urls: list[tuple[Loc, str | None]] = [
        ((key,), getattr(value, key)) for key in URLS_BY_REALM if provider.is_valid(key)
    ]
    if value.events is not None and provider.is_valid("events"):
        urls += [(("events", "issuer"), value.events.issuer), (("events", "jwks_uri"), value.events.jwks_uri)]
    return [(loc, url) for loc, url in urls if url is not None]
