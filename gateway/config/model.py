"""The configuration as values: what each key means, its default, its zero and its danger.

Every model is frozen and refuses unknown keys. A model checks what can be seen from its own keys alone; what
spans the file (names of providers, routes that tie) is checked in `gateway.config.check`. Durations are
seconds, sizes are bytes, whatever unit the file used.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, create_model, model_validator

from gateway.config.header_names import fold_header_name
from gateway.config.kinds import (
    ONE_OR_MANY,
    AutoOrFlag,
    BackendUrl,
    Bytes,
    BytesOrUnlimited,
    ClaimPath,
    Claims,
    CorsHeaderName,
    Count,
    Endpoint,
    Flag,
    Fraction,
    HeaderName,
    HeaderValue,
    HostMatch,
    IdentityName,
    Listen,
    LongSecret,
    LongSecretOrNone,
    Method,
    Name,
    OneOrMany,
    Origin,
    Part,
    PathMatch,
    PathPrefix,
    RedisUrl,
    Rewrite,
    Scope,
    Seconds,
    SourceNetwork,
    TrustedName,
    TrustedPeer,
    Workers,
)
from gateway.config.pattern import parse_path, parse_prefix
from gateway.config.problems import Loc, WrongAt
from gateway.config.values import Address


def _refuse_twins(key: str, names: Iterable[str]) -> None:
    """Names that some backend takes for the same header can not both be sent."""
    first: dict[str, str] = {}
    twins = [(name, other) for name in names if (other := first.setdefault(fold_header_name(name), name)) != name]
    if twins:
        raise WrongAt(
            ((key, name), f"{name} and {other} are one header to a backend; keep one") for name, other in twins
        )


_REPEATS_MAX = 5
# Each one costs two connections to Redis, and a lookup more.
_SECRETS_MAX = 3
_REPEAT_MAX_S = 300.0


class Model(BaseModel):
    """What all parts share: frozen, no unknown keys, no secrets in error messages."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


class Tls(Model):
    """Certificates of the listener; `client_ca` asks clients for certificates of their own."""

    certificate: str
    key: str
    client_ca: str | None = None


class UnknownTokens(Model):
    """A bucket for each client address: `burst` at once, refilled with `rate` a second."""

    rate: Annotated[Count, Field(ge=1)] = 200
    burst: Annotated[Count, Field(ge=1)] = 1_000


class Server(Model):
    listen: Listen = Address("0.0.0.0", 8080)  # noqa: S104 - a gateway is there to be reached
    workers: Workers = 1
    tls: Tls | None = None
    trusted_proxies: tuple[TrustedPeer, ...] = ()
    trusted_headers: tuple[TrustedName, ...] = ()
    header_timeout: Annotated[Seconds, Field(gt=0)] = 10.0
    idle_timeout: Annotated[Seconds, Field(gt=0)] = 75.0
    drain_delay: Seconds = 0.0
    shutdown_timeout: Seconds = 30.0
    max_header_bytes: Annotated[Bytes, Field(ge=1024, le=2**24)] = 32 * 2**10
    max_headers: Annotated[Count, Field(ge=1, le=10_000)] = 100
    max_body: BytesOrUnlimited = 10 * 2**20
    min_body_rate: Bytes = 240
    max_connections: Annotated[Count, Field(ge=1)] = 10_000
    max_connections_per_network: Annotated[Count, Field(ge=1)] | None = None  # half of max_connections
    fast_path: bool = True
    unknown_tokens: UnknownTokens | None = UnknownTokens()


class AdminCors(Model):
    allow_origins: tuple[Origin, ...] = ()


class Admin(Model):
    """`token` guards what changes state or shows a token's facts; without one, those answer 403."""

    listen: Listen = Address("127.0.0.1", 9090)
    token: LongSecretOrNone | None = None
    cors: AdminCors = AdminCors()


class Breaker(Model):
    """When a provider that fails is left alone, and for how long."""

    failures: Annotated[Count, Field(ge=1)] = 5
    failure_rate: Part = 0.5
    window: Annotated[Seconds, Field(gt=0)] = 10.0
    minimum_calls: Annotated[Count, Field(ge=1)] = 20
    interval: Annotated[Seconds, Field(gt=0)] = 5.0


class ProviderEvents(Model):
    """How events of one provider are known for its own. `issuer` may be a transmitter apart from the provider."""

    issuer: Endpoint | None = None
    jwks_uri: Endpoint | None = None
    audience: Annotated[tuple[str, ...], OneOrMany, Field(min_length=1), ONE_OR_MANY] | None = None
    authorization: SecretStr | None = None  # the whole header value


class Provider(Model):
    """One identity provider. Naming `introspection_endpoint` skips discovery."""

    issuer: Endpoint | None = None
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
    breaker: Breaker | None = Breaker()
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


class Cache(Model):
    """How long answers live and where they are shared. `ttl: 0s` asks the provider about every request."""

    redis: RedisUrl | None = None  # a secret because the URL may carry a password
    secret: Annotated[tuple[LongSecret, ...], OneOrMany, Field(min_length=1), ONE_OR_MANY] | None = None
    ttl: Seconds = 60.0
    inactive_ttl: Seconds = 10.0
    max_entries: Annotated[Count, Field(ge=1)] = 100_000
    timeout: Annotated[Seconds, Field(gt=0)] = 0.05
    refresh_ahead: Fraction | None = None
    clock_skew: Annotated[Seconds, Field(gt=0)] = 2.0

    @model_validator(mode="after")
    def _redis_needs_a_secret(self) -> Cache:
        if self.redis is not None and self.secret is None:
            raise ValueError("redis is shared, so its keys and entries need a secret; write secret or secret_file")
        return self

    @model_validator(mode="after")
    def _secrets_are_few_and_differ(self) -> Cache:
        secrets = () if self.secret is None else tuple(one.get_secret_value() for one in self.secret)
        if len(secrets) > _SECRETS_MAX:
            what = f"these are more than {_SECRETS_MAX} secrets; write the new one and those that are still in use"
            raise WrongAt([(("secret",), what)])
        if len(set(secrets)) < len(secrets):
            raise WrongAt([(("secret",), "one secret stands there twice; write each once")])
        return self


if TYPE_CHECKING:
    _EventSources = Model
else:
    # `from` is a word of Python's, so that no class statement can declare the key.
    _EventSources = create_model("_EventSources", __base__=Model, **{"from": (tuple[SourceNetwork, ...], ())})


class Events(_EventSources):
    """Where providers tell the gateway what was revoked; without it nobody can, and no path is taken."""

    prefix: PathPrefix = parse_prefix("/.gateway/events")
    repeat_after: tuple[Annotated[Seconds, Field(gt=0)], ...] = (1.0, 5.0)

    @property
    def sources(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The key `from`; empty for everywhere."""
        networks: tuple[IPv4Network | IPv6Network, ...] = getattr(self, "from")
        return networks

    @model_validator(mode="after")
    def _repeats_are_few(self) -> Events:
        if len(self.repeat_after) > _REPEATS_MAX or any(each > _REPEAT_MAX_S for each in self.repeat_after):
            what = f"too many, or too late; write up to {_REPEATS_MAX} durations of at most 5m"
            raise WrongAt([(("repeat_after",), what)])
        return self


class Log(Model):
    level: Literal["debug", "info", "warning", "error"] = "info"
    access: Flag = True


class Match(Model):
    host: HostMatch | None = None
    path: PathMatch = parse_path("/**")
    methods: Annotated[tuple[Method, ...], Field(min_length=1)] | None = None


class Auth(Model):
    """What a request to the route must show. An empty list asks for nothing."""

    mode: Literal["required", "optional", "none"] = "required"
    provider: Annotated[tuple[str, ...], OneOrMany, ONE_OR_MANY] = ()
    scopes: tuple[Scope, ...] = ()
    any_scope: tuple[Scope, ...] = ()
    audience: tuple[str, ...] = ()
    issuer: str | None = None
    roles: tuple[str, ...] = ()
    claims: Claims = ()
    proof: Literal["if_bound", "required", "ignore"] = "if_bound"
    max_age: Seconds | None = None
    stale_if_error: Seconds | None = None
    stale_methods: Annotated[tuple[Method, ...], Field(min_length=1)] = ("GET", "HEAD", "OPTIONS")
    streams: Literal["end", "keep"] = "end"


class Identity(Model):
    """Header name -> the claim paths of which the first present one is sent."""

    headers: dict[IdentityName, Annotated[tuple[ClaimPath, ...], OneOrMany, Field(min_length=1), ONE_OR_MANY]] = Field(
        default_factory=lambda: {
            "X-User-Id": (("sub",),),
            "X-User-Name": (("preferred_username",), ("username",)),
            "X-Client-Id": (("client_id",),),
            "X-Scopes": (("scope",),),
            "X-Roles": (("realm_access", "roles"),),
        }
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Identity:
        _refuse_twins("headers", self.headers)
        return self


class Headers(Model):
    set: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    remove: tuple[HeaderName, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> Headers:
        _refuse_twins("set", self.set)
        return self


class Cors(Model):
    allow_origins: Annotated[tuple[Origin, ...], Field(min_length=1)]
    allow_methods: tuple[Method, ...] = ("GET", "HEAD", "POST")
    allow_headers: tuple[CorsHeaderName, ...] = ()
    expose_headers: tuple[CorsHeaderName, ...] = ()
    allow_credentials: Flag = False
    max_age: Seconds | None = None

    @model_validator(mode="after")
    def _credentials_need_names(self) -> Cors:
        if self.allow_credentials and "*" in self.allow_origins:
            raise ValueError("allow_credentials with the origin * would give every site the user's session; name them")
        return self


# Shared by all routes that say nothing: pydantic would copy them for each, for they can not be hashed.
_IDENTITY = Identity()
_NO_HEADERS = Headers()


class Route(Model):
    name: Name
    match: Match = Match()
    backend: Annotated[tuple[BackendUrl, ...], OneOrMany, Field(min_length=1), ONE_OR_MANY]
    strip_prefix: PathMatch | None = None
    rewrite: Rewrite | None = None
    preserve_host: Flag = False
    allow_encoded_slash: Flag = False
    allow_path_parameters: Flag = False
    auth: Annotated[Auth, BeforeValidator(lambda value: {"mode": value} if isinstance(value, str) else value)] = Auth()
    identity: Identity = Field(default_factory=lambda: _IDENTITY)
    authorization: Literal["strip", "keep"] = "strip"
    request_headers: Headers = Field(default_factory=lambda: _NO_HEADERS)
    response_headers: Headers = Field(default_factory=lambda: _NO_HEADERS)
    cors: Cors | None = None
    timeout: Annotated[Seconds, Field(gt=0)] = 30.0
    connect_timeout: Annotated[Seconds, Field(gt=0)] = 2.0
    read_timeout: Annotated[Seconds, Field(gt=0)] = 60.0
    retries: Annotated[Count, Field(ge=0, le=10)] = 1
    connection_max_age: Annotated[Seconds, Field(gt=0)] = 300.0
    on_success: Literal["evict_token"] | None = None
    max_body: BytesOrUnlimited = 10 * 2**20


class Config(Model):
    """The whole file, with `defaults` already merged into each route."""

    server: Server = Server()
    admin: Admin = Admin()
    providers: dict[Name, Provider] = Field(default_factory=dict)
    cache: Cache = Cache()
    events: Events | None = None
    log: Log = Log()
    routes: tuple[Route, ...] = ()
