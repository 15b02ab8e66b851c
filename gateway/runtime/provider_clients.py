"""The clients of a generation's providers: those of the generation before, where nothing about them has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.config.model import Config
from gateway.config.provider_model import Provider
from gateway.config.realms import by_realm
from gateway.introspection.ports import IntrospectionMeter
from gateway.provider.breaker import State
from gateway.provider.client_context import client_context, fingerprint
from gateway.provider.provider import ProviderClient
from gateway.proxy.generation import Generation


@dataclass(frozen=True, slots=True)
class Breakers:
    """Tells the metrics of breaker changes, but only of providers in force. Of one with realms, the worst state counts.

    Metrics know a provider by its name, and a client that retires or never comes into force may have the same name.
    """

    watch: IntrospectionMeter
    in_force: Callable[[], Generation | None]

    def changed(self, provider: ProviderClient) -> None:
        generation = self.in_force()
        if generation is not None and generation.providers.get(provider.key) is provider:
            self.watch.breaker_changed(provider.name, generation.breakers[provider.name])


def provider_clients(
    config: Config, breakers: Breakers, before: Generation | None, on_token_type: Callable[[bytes], object]
) -> dict[str, ProviderClient]:
    """A client for each provider, and for each realm of one. Raises `ValueError` with a reason."""
    return {
        name: _provider(name, settings, breakers, before, on_token_type)
        for name, settings in by_realm(config.providers).items()
    }


def _provider(
    name: str,
    settings: Provider,
    breakers: Breakers,
    before: Generation | None,
    on_token_type: Callable[[bytes], object],
) -> ProviderClient:
    if before is not None and by_realm(before.config.providers).get(name) == settings:
        known = before.providers[name]
        if known.tls_files == _files_of(name, settings):
            return known

    def changed(_: State) -> None:
        breakers.changed(provider)

    _files_of(name, settings)
    provider = ProviderClient(name, settings, on_breaker=changed, on_token_type=on_token_type)
    for other in () if before is None else before.providers.values():
        if other.identity == provider.identity and other.token_types.learned:
            provider.token_types.learn()  # the same provider; the settings that changed do not concern its tokens
    return provider


def _files_of(name: str, settings: Provider) -> bytes:
    """What is in the files of `tls` now. Raises `ValueError` where they cannot be used."""
    files = None if settings.tls is None else settings.tls.files
    try:
        if files is not None:
            client_context(files)
        return fingerprint(files)
    except OSError as error:
        raise ValueError(f"providers.{name}.tls: its files cannot be used ({error}); name others") from error
