"""The transmitters that may tell the gateway of revocations, and how each proves that it is the sender."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from gateway.config.check_events import issuer_of_events
from gateway.config.provider_model import Provider
from gateway.config.realms import entry_name
from gateway.provider.provider import ProviderClient


class KeySource(Protocol):
    async def has_signed(self, token: str, algorithm: str, kid: str | None) -> bool | None:
        """Whether one of the keys has signed. `None`: there is no key for it. Raises `ProviderError` if unsure."""
        ...


@dataclass(frozen=True, slots=True)
class Transmitter:
    """Sends one provider's events by one protocol, signed by `issuer`, about subjects of `subject_issuers`."""

    provider: str
    realm: str
    issuer: str
    audience: frozenset[str]
    subject_issuers: frozenset[str]
    keys: KeySource
    authorization: SecretStr | None = None

    def accepts(self, authorization: Sequence[str]) -> bool:
        """Whether these `Authorization` values are the configured one. Without one, any values are accepted."""
        if self.authorization is None:
            return True
        expected = self.authorization.get_secret_value()
        # Compare digests, so that the time tells neither the length nor a common beginning.
        return len(authorization) == 1 and hmac.compare_digest(_digest(authorization[0]), _digest(expected))


def logout_transmitter(name: str, config: Provider, client: ProviderClient) -> Transmitter | None:
    """The provider as transmitter of its own logout tokens; `None` if its issuer is not known."""
    issuer = config.issuer or issuer_of_events(config)
    if issuer is None:
        return None
    label = entry_name(name)
    return Transmitter(label, client.realm, issuer, _audience(config), frozenset({issuer}), client.keys)


def event_transmitter(name: str, config: Provider, client: ProviderClient) -> Transmitter | None:
    """The transmitter of the provider's security events, which may be another server; `None` if there is none."""
    issuer = issuer_of_events(config)
    if issuer is None:
        return None
    issuers = frozenset({issuer} if config.issuer is None else {issuer, config.issuer})
    secret = config.events.authorization if config.events is not None else None
    label = entry_name(name)
    return Transmitter(label, client.realm, issuer, _audience(config), issuers, client.transmitter_keys, secret)


def _audience(config: Provider) -> frozenset[str]:
    named = config.events.audience if config.events is not None else None
    return frozenset(named or filter(None, (config.client_id,)))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.strip(" \t").encode("utf-8", "surrogateescape")).digest()
