"""Identity providers, as the configuration names them; see `gateway.config.model`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from gateway.config.model_base import Model
from gateway.config.problems import Loc, WrongAt
from gateway.config.value_types import (
    ONE_OR_MANY,
    AutoOrFlag,
    Count,
    Endpoint,
    Issuer,
    OneOrMany,
    Part,
    Seconds,
)


class BreakerSettings(Model):
    """When a provider that fails is left alone, and for how long."""

    failures: Annotated[Count, Field(ge=1)] = 5
    failure_rate: Part = 0.5
    window: Annotated[Seconds, Field(gt=0)] = 10.0
    minimum_calls: Annotated[Count, Field(ge=1)] = 20
    interval: Annotated[Seconds, Field(gt=0)] = 5.0


class ProviderEvents(Model):
    """How events of one provider are known for its own. `issuer` may be a transmitter apart from the provider."""

    issuer: Issuer | None = None
    jwks_uri: Endpoint | None = None
    audience: Annotated[tuple[str, ...], OneOrMany, Field(min_length=1), ONE_OR_MANY] | None = None
    authorization: SecretStr | None = None  # the whole header value


class Provider(Model):
    """One identity provider. Naming `introspection_endpoint` skips discovery."""

    issuer: Issuer | None = None
    introspection_endpoint: Endpoint | None = None
    token_endpoint: Endpoint | None = None
    jwks_uri: Endpoint | None = None
    client_id: Annotated[str, Field(min_length=1)]
    client_secret: SecretStr | None = None
    client_auth: Literal[
        "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"
    ] = "client_secret_basic"
    private_key: SecretStr | None = None  # PEM, for private_key_jwt
    private_key_id: str | None = None  # the assertion's kid, where the provider holds several keys
    timeout: Annotated[Seconds, Field(gt=0)] = 2.0
    max_concurrency: Annotated[Count, Field(ge=1)] = 64
    max_waiting: Annotated[Count, Field(ge=0)] = 1_024
    breaker: BreakerSettings | None = BreakerSettings()
    events: ProviderEvents | None = None
    leeway: Annotated[Seconds, Field(le=300)] | None = None
    require_token_type: AutoOrFlag = "auto"  # noqa: S105 - it is a word, not a secret

    @model_validator(mode="after")
    def _can_be_reached(self) -> Provider:
        wrongs: list[str] = []
        if self.issuer is None and self.introspection_endpoint is None:
            wrongs.append("neither issuer nor introspection_endpoint is named; write issuer: https://…")
        if self.client_auth.startswith("client_secret_") and self.client_secret is None:
            wrongs.append(f"client_auth {self.client_auth} needs a secret; write client_secret or client_secret_file")
        if self.client_auth == "private_key_jwt" and self.private_key is None:
            wrongs.append("client_auth private_key_jwt needs a key; write private_key or private_key_file")
        places: list[tuple[Loc, str]] = [((), wrong) for wrong in wrongs]
        if self.events is not None and self.issuer is None and self.events.issuer is None:
            places.append((("events",), "it is not said whose events they are; write issuer: https://… there"))
        elif self.events is not None and self._has_unknown_keys(self.events):
            what = "its keys cannot be found by the provider's issuer; write jwks_uri: https://… there"
            places.append((("events",), what))
        if places:
            raise WrongAt(places)
        return self

    def _has_unknown_keys(self, events: ProviderEvents) -> bool:
        if events.jwks_uri is not None or self.jwks_uri is not None:
            return False
        return self.issuer is None or events.issuer not in (None, self.issuer)
