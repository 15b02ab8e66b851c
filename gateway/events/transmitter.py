"""Who may tell the gateway that something was revoked, and what shows that it was them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from gateway.config.check_events import issuer_of_events
from gateway.config.provider_model import Provider
from gateway.provider.provider import ProviderClient


class KeySource(Protocol):
    async def has_signed(self, token: str, algorithm: str, kid: str | None) -> bool | None:
        """Whether a key has signed; `None`: none can have. Raises `ProviderError` when that cannot be told now."""
        ...


@dataclass(frozen=True, slots=True)
class Transmitter:
    """One provider by one of the protocols. `issuer` is that of its tokens here, `subject_issuers` of its subjects."""

    provider: str
    realm: str
    issuer: str
    audience: frozenset[str]
    subject_issuers: frozenset[str]
    keys: KeySource
    authorization: SecretStr | None = None

    def admits(self, authorization: Sequence[str]) -> bool:
        """Whether these `Authorization` headers are what was agreed on; anything is where nothing was."""
        if self.authorization is None:
            return True
        expected = self.authorization.get_secret_value()
        # Digests, so that neither the length nor a common beginning shows in the time it takes.
        return len(authorization) == 1 and hmac.compare_digest(_digest(authorization[0]), _digest(expected))


def logout_transmitter(name: str, config: Provider, client: ProviderClient) -> Transmitter | None:
    """The provider as the sender of its own logout tokens; `None` where its issuer is not known."""
    issuer = config.issuer or issuer_of_events(config)
    if issuer is None:
        return None
    return Transmitter(name, client.realm, issuer, _audience(config), frozenset({issuer}), client.keys)


def event_transmitter(name: str, config: Provider, client: ProviderClient) -> Transmitter | None:
    """The provider's transmitter of security events, which may be somebody else."""
    issuer = issuer_of_events(config)
    if issuer is None:
        return None
    issuers = frozenset({issuer} if config.issuer is None else {issuer, config.issuer})
    secret = config.events.authorization if config.events is not None else None
    return Transmitter(name, client.realm, issuer, _audience(config), issuers, client.transmitter_keys, secret)


def _audience(config: Provider) -> frozenset[str]:
    named = config.events.audience if config.events is not None else None
    return frozenset(named or (config.client_id,))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.strip(" \t").encode("utf-8", "surrogateescape")).digest()
