"""Providers with `realms`: one entry of the file, several issuers that are told apart by `iss`.

Each realm becomes a provider of its own, with endpoints, keys and a place in the caches of its own, so that no realm is
taken for another. Its name is the entry's with the realm behind it, which no entry can be called; metrics and logs
show the entry's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.config.provider_model import REALM, URLS_BY_REALM, Provider

BETWEEN = "/"  # in no name of the file


def by_realm(providers: Mapping[str, Provider]) -> dict[str, Provider]:
    """All providers by name, with one for each realm in the place of an entry with `realms`."""
    found: dict[str, Provider] = {}
    for name, provider in providers.items():
        if provider.realms is None:
            found[name] = provider
        for realm in provider.realms or ():
            found[f"{name}{BETWEEN}{realm}"] = _of_realm(provider, realm)
    return found


def names_by_realm(names: Iterable[str], providers: Mapping[str, Provider]) -> tuple[str, ...]:
    """The names that `by_realm` gives to the entries called `names`, in their order."""
    found: list[str] = []
    for name in names:
        realms = providers[name].realms
        found += [name] if realms is None else [f"{name}{BETWEEN}{realm}" for realm in realms]
    return tuple(found)


def entry_name(name: str) -> str:
    """The name in the file of what `by_realm` calls `name`."""
    return name.partition(BETWEEN)[0]


def _of_realm(provider: Provider, realm: str) -> Provider:
    urls = {key: _filled(getattr(provider, key), realm) for key in URLS_BY_REALM}
    events = provider.events
    if events is not None:
        own = {key: _filled(getattr(events, key), realm) for key in ("issuer", "jwks_uri")}
        events = events.model_copy(update=own)
    return provider.model_copy(update={**urls, "events": events, "realms": None})


def _filled(url: str | None, realm: str) -> str | None:
    return None if url is None else url.replace(REALM, realm)
