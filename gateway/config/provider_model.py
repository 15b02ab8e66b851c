"""Identity providers, as the configuration names them; see `gateway.config.model`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from gateway.config.backend_model import ClientTls
from gateway.config.introspection_model import IntrospectionSettings
from gateway.config.model_base import Model
from gateway.config.problems import MISSING, Loc, WrongAt
from gateway.config.value_types import (
    ONE_OR_MANY,
    Algorithm,
    AutoOrFlag,
    ClaimPath,
    Count,
    Endpoint,
    Issuer,
    OneOrMany,
    Part,
    ProxyUrl,
    RealmName,
    Seconds,
)

# Stands for one of `realms`, in these keys.
REALM = "{realm}"
URLS_BY_REALM = ("issuer", "introspection_endpoint", "token_endpoint", "jwks_uri")


class BreakerSettings(Model):
    """Says when calls to a failing provider stop, and for how long."""

    failures: Annotated[Count, Field(ge=1)] = 5
    """It opens after so many failed calls in a row. Default 5."""

    failure_rate: Part = 0.5
    """And when this part of the calls within the window has failed. Default 0.5; up to 1."""

    window: Annotated[Seconds, Field(gt=0)] = 10.0
    """Default 10s; more than 0."""

    minimum_calls: Annotated[Count, Field(ge=1)] = 20
    """With fewer calls within the window the rate says nothing. Default 20."""

    interval: Annotated[Seconds, Field(gt=0)] = 5.0
    """How long it stays open, and between one trial call and the next. Default 5s; more than 0."""


class ProviderEvents(Model):
    """How events of one provider are known for its own. `issuer` may be a transmitter apart from the provider."""

    issuer: Issuer | None = None
    """The iss of its security event tokens. Default: the provider's issuer."""

    jwks_uri: Endpoint | None = None
    """The keys that sign them. Default: the provider's own; needed where issuer is another one."""

    audience: Annotated[tuple[str, ...], OneOrMany, Field(min_length=1), ONE_OR_MANY] | None = None
    """One of these must be in aud, of logout tokens too. Default client_id. Name the clients whose logout URL is the
    gateway's."""

    authorization: SecretStr | None = None  # the whole header value
    """What the transmitter of security events sends as Authorization, scheme and all. Default: it is not looked at, and
    only the signature counts."""


class ClaimNames(Model):
    """Where a provider puts what policies and identity headers need: dotted paths. Only what is written is moved."""

    scope: ClaimPath | None = None
    """The scopes: a text, or, once this is written, a list of texts. Default scope, as a text."""

    roles: ClaimPath | None = None
    """The roles of the realm, a list or a text. Default realm_access.roles."""

    groups: ClaimPath | None = None
    """Default groups."""

    client_id: ClaimPath | None = None
    """Default client_id; of a JWT without it azp."""

    audience: ClaimPath | None = None
    """Default aud."""


class Provider(Model):
    """One identity provider. Naming `introspection_endpoint` skips discovery."""

    issuer: Issuer | None = None
    """Its issuer identifier; discovery fills in the endpoints that are not named."""

    introspection_endpoint: Endpoint | None = None
    """RFC 7662. Named, it skips discovery."""

    token_endpoint: Endpoint | None = None
    """RFC 6749, for gateway token. Default: from discovery."""

    jwks_uri: Endpoint | None = None
    """Its public keys (RFC 7517), for JWTs and events. Default: from discovery, which it skips with validation: jwt."""

    validation: Literal["introspection", "jwt", "jwt_then_introspection"] = "introspection"
    """How a token is judged. introspection: the provider is asked. jwt: by its signature and its own claims, without a
    call; opaque tokens are refused. jwt_then_introspection: the same first, so that a forged one costs no call, then
    the provider is asked. Default introspection. Danger: with jwt, a revocation arrives only by events and by DELETE
    /cache."""

    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "PS256", "ES256", "EdDSA")
    """The algorithms that JWTs may be signed with. Default [RS256, PS256, ES256, EdDSA]; RS384, RS512, PS384, PS512,
    ES384 and ES512, too. HS256 and its like, and none, are refused."""

    claims: ClaimNames = ClaimNames()
    """Where this provider puts scopes, roles, groups, the client's id and the audience. What is written feeds the
    policies, and the identity headers of the same names."""

    realms: Annotated[tuple[RealmName, ...], Field(min_length=1)] | None = None
    """Several realms of one server under one name, told apart by iss: each stands for {realm} in issuer and in the
    endpoints. Default none: one realm."""

    client_id: Annotated[str, Field(min_length=1)] = ""
    """The gateway's own client at the provider. Needed unless validation is jwt."""

    client_secret: SecretStr | None = None
    """The client's secret. Better by environment or file than here."""

    client_auth: Literal[
        "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"
    ] = "client_secret_basic"
    """How the client proves itself. Default client_secret_basic."""

    private_key: SecretStr | None = None  # PEM, for private_key_jwt
    """PEM, for private_key_jwt."""

    private_key_id: str | None = None  # the assertion's kid, where the provider holds several keys
    """The kid of that key, where the provider knows several. Default none."""

    timeout: Annotated[Seconds, Field(gt=0)] = 2.0
    """For a whole call, connecting included. Default 2s; more than 0. Every request with a fresh token may wait this
    long."""

    max_concurrency: Annotated[Count, Field(ge=1)] = 64
    """The most calls at a time per worker. Default 64."""

    max_waiting: Annotated[Count, Field(ge=0)] = 1_024
    """The most questions that wait for one of these calls, per worker, for 10s at most; beyond, 503. The client network
    that holds the most gives way. Default 1024; 0: none waits. Danger: with few, one network can fill them for a
    moment."""

    tls: ClientTls | None = None
    """For its https:// endpoints: own authorities, a client certificate, another name. Default: the system's
    authorities."""

    proxy: ProxyUrl | None = None  # a secret because the URL may carry a password
    """http://[user:password@]host:port: an HTTP proxy for every call to this provider, with CONNECT to https://
    endpoints. Default none, whatever the environment says."""

    introspection: IntrospectionSettings = IntrospectionSettings()
    """How it is asked about a token, and in which form it answers."""

    breaker: BreakerSettings | None = BreakerSettings()
    """When calls stop to a provider that fails and does not answer a question of the gateway's own. null: never.
    Danger: with null, each request with an unknown token waits for a provider that is away."""

    events: ProviderEvents | None = None
    """How its events are known, with events: at the top. Default: signed by its keys, for client_id."""

    leeway: Annotated[Seconds, Field(le=300)] | None = None
    """How far its clock may be ahead when nbf, and iat of a JWT, are looked at, never exp; at most 5m. Default: 5s
    where nbf is the moment of issue (within 1s of iat), else 0s."""

    require_token_type: AutoOrFlag = "auto"  # noqa: S105 - it is a word, not a secret
    """Whether an active answer without token_type is refused. Some providers call refresh and ID tokens active as well,
    and leave it out of those. auto: from the first answer of this provider on that has one. Default auto. Danger: with
    false, such a token passes for an access token."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> Provider:
        wrongs: list[str] = []
        if self.validation != "introspection" and self.issuer is None:
            wrongs.append(f"validation {self.validation} needs the iss of its tokens; write issuer: https://…")
        elif self.issuer is None and self.introspection_endpoint is None:
            wrongs.append("neither issuer nor introspection_endpoint is named; write issuer: https://…")
        if self.validation != "jwt":
            wrongs += self._lacking_credentials()
        places: list[tuple[Loc, str]] = [((), wrong) for wrong in wrongs]
        if self.validation != "jwt" and not self.client_id:
            places.append((("client_id",), MISSING))
        if self.events is not None and self.issuer is None and self.events.issuer is None:
            places.append((("events",), "it is not said whose events they are; write issuer: https://… there"))
        elif self.events is not None and self._has_unknown_keys(self.events):
            what = "its keys cannot be found by the provider's issuer; write jwks_uri: https://… there"
            places.append((("events",), what))
        if places:
            raise WrongAt(places)
        return self

    def _lacking_credentials(self) -> list[str]:
        if self.client_auth.startswith("client_secret_") and self.client_secret is None:
            return [f"client_auth {self.client_auth} needs a secret; write client_secret or client_secret_file"]
        if self.client_auth == "private_key_jwt" and self.private_key is None:
            return ["client_auth private_key_jwt needs a key; write private_key or private_key_file"]
        return []

    def _has_unknown_keys(self, events: ProviderEvents) -> bool:
        if events.jwks_uri is not None or self.jwks_uri is not None:
            return False
        return self.issuer is None or events.issuer not in (None, self.issuer)
