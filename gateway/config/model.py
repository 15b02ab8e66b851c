"""The configuration as values: what each key means, its default, its zero and its danger.

Every model is frozen and refuses unknown keys. A model checks what can be seen from its own keys alone; what
spans the file (names of providers, routes that tie) is checked in `gateway.config.check`. Durations are
seconds, sizes are bytes, whatever unit the file used.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    WithJsonSchema,
    model_validator,
)

from gateway.config.claims import ClaimRule, parse_claim_path, parse_claim_rules
from gateway.config.fields import (
    parse_header_name,
    parse_header_value,
    parse_method,
    parse_origin,
    parse_scope,
)
from gateway.config.pattern import HostPattern, PathPattern, parse_host, parse_path, parse_template
from gateway.config.upstream import Backend, parse_backend, parse_endpoint
from gateway.config.values import (
    Address,
    parse_address,
    parse_duration_s,
    parse_limit_bytes,
    parse_size_bytes,
)


def _text(pattern: str | None = None, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **({"pattern": pattern} if pattern else {}), **more})


def _one_or_many(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


Seconds = Annotated[float, BeforeValidator(parse_duration_s), _text(r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$", examples=["2s"])]
Bytes = Annotated[
    int,
    BeforeValidator(parse_size_bytes),
    WithJsonSchema({"type": ["string", "integer"], "pattern": "^[0-9]+(B|KiB|MiB|GiB)?$", "examples": ["10MiB"]}),
]
BytesOrUnlimited = Annotated[
    int | None,
    BeforeValidator(parse_limit_bytes),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "pattern": "^([0-9]+(B|KiB|MiB|GiB)?|unlimited)$",
            "examples": ["10MiB"],
        }
    ),
]
Listen = Annotated[Address, BeforeValidator(parse_address), _text(examples=["0.0.0.0:8080", "unix:/run/gateway.sock"])]
Endpoint = Annotated[str, BeforeValidator(parse_endpoint), _text(examples=["https://sso.example.com/realms/demo"])]
HeaderName = Annotated[str, BeforeValidator(parse_header_name), _text()]
HeaderValue = Annotated[str, BeforeValidator(parse_header_value), _text()]
Method = Annotated[str, BeforeValidator(parse_method), _text(examples=["GET"])]
Origin = Annotated[str, BeforeValidator(parse_origin), _text(examples=["https://app.example.com"])]
Scope = Annotated[str, BeforeValidator(parse_scope), _text(examples=["orders:read"])]
ClaimPath = Annotated[tuple[str, ...], BeforeValidator(parse_claim_path), _text(examples=["realm_access.roles"])]


class Model(BaseModel):
    """What all parts share: frozen, no unknown keys, no secrets in error messages."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


class Tls(Model):
    """Certificates of the listener; `client_ca` asks clients for certificates of their own."""

    certificate: str
    key: str
    client_ca: str | None = None


class Server(Model):
    listen: Listen = Address("0.0.0.0", 8080)  # noqa: S104 - a gateway is there to be reached
    workers: Literal["auto"] | Annotated[int, Field(ge=1, le=256)] = 1
    tls: Tls | None = None
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    header_timeout: Seconds = 10.0
    idle_timeout: Seconds = 75.0
    shutdown_timeout: Seconds = 30.0
    max_header_bytes: Bytes = 32 * 2**10
    max_headers: Annotated[int, Field(ge=1, le=10_000)] = 100
    max_body: BytesOrUnlimited = 10 * 2**20
    max_connections: Annotated[int, Field(ge=1)] = 10_000


class AdminCors(Model):
    allow_origins: tuple[Origin, ...] = ()


class Admin(Model):
    """`token` guards what changes state or shows a token's facts; without one, those answer 403."""

    listen: Listen = Address("127.0.0.1", 9090)
    token: SecretStr | None = None
    cors: AdminCors = AdminCors()


class Provider(Model):
    """One identity provider. Naming `introspection_endpoint` skips discovery."""

    issuer: Endpoint | None = None
    introspection_endpoint: Endpoint | None = None
    token_endpoint: Endpoint | None = None
    client_id: Annotated[str, Field(min_length=1)]
    client_secret: SecretStr | None = None
    client_auth: Literal[
        "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"
    ] = "client_secret_basic"
    private_key: SecretStr | None = None  # PEM, for private_key_jwt
    private_key_id: str | None = None  # the assertion's kid, where the provider holds several keys
    timeout: Annotated[Seconds, Field(gt=0)] = 2.0
    max_concurrency: Annotated[int, Field(ge=1)] = 64

    @model_validator(mode="after")
    def _can_be_reached(self) -> Provider:
        if self.issuer is None and self.introspection_endpoint is None:
            raise ValueError("neither issuer nor introspection_endpoint is named; write issuer: https://…")
        if self.client_auth.startswith("client_secret_") and self.client_secret is None:
            raise ValueError(
                f"client_auth {self.client_auth} needs a secret; write client_secret or client_secret_file"
            )
        if self.client_auth == "private_key_jwt" and self.private_key is None:
            raise ValueError("client_auth private_key_jwt needs a key; write private_key or private_key_file")
        return self


class Cache(Model):
    """How long answers live and where they are shared. `ttl: 0s` asks the provider about every request."""

    redis: SecretStr | None = None  # a secret because the URL may carry a password
    secret: SecretStr | None = None
    ttl: Seconds = 60.0
    inactive_ttl: Seconds = 10.0
    max_entries: Annotated[int, Field(ge=1)] = 100_000
    timeout: Annotated[Seconds, Field(gt=0)] = 0.05

    @model_validator(mode="after")
    def _redis_needs_a_secret(self) -> Cache:
        if self.redis is not None and self.secret is None:
            raise ValueError("redis is shared, so its keys and entries need a secret; write secret or secret_file")
        return self


class Log(Model):
    level: Literal["debug", "info", "warning", "error"] = "info"
    access: bool = True


class Match(Model):
    host: Annotated[HostPattern, BeforeValidator(parse_host), _text(examples=["*.example.com"])] | None = None
    path: Annotated[PathPattern, BeforeValidator(parse_path), _text(pattern="^/", examples=["/orders/**"])] = (
        parse_path("/**")
    )
    methods: Annotated[tuple[Method, ...], Field(min_length=1)] | None = None


class Auth(Model):
    """What a request to the route must show. An empty list asks for nothing."""

    mode: Literal["required", "optional", "none"] = "required"
    provider: Annotated[
        tuple[str, ...],
        BeforeValidator(_one_or_many),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
    ] = ()
    scopes: tuple[Scope, ...] = ()
    any_scope: tuple[Scope, ...] = ()
    audience: tuple[str, ...] = ()
    issuer: str | None = None
    roles: tuple[str, ...] = ()
    claims: Annotated[
        tuple[ClaimRule, ...], BeforeValidator(parse_claim_rules), WithJsonSchema({"type": "object"})
    ] = ()
    max_age: Seconds | None = None


class Identity(Model):
    """Header name -> the claim paths of which the first present one is sent."""

    headers: dict[
        HeaderName,
        Annotated[
            tuple[ClaimPath, ...],
            BeforeValidator(_one_or_many),
            WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
        ],
    ] = Field(
        default_factory=lambda: {
            "X-User-Id": (("sub",),),
            "X-User-Name": (("preferred_username",), ("username",)),
            "X-Client-Id": (("client_id",),),
            "X-Scopes": (("scope",),),
            "X-Roles": (("realm_access", "roles"),),
        }
    )


class Headers(Model):
    set: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    remove: tuple[HeaderName, ...] = ()


class Cors(Model):
    allow_origins: Annotated[tuple[Origin, ...], Field(min_length=1)]
    allow_methods: tuple[Method, ...] = ("GET", "HEAD", "POST")
    allow_headers: tuple[HeaderName | Literal["*"], ...] = ()
    expose_headers: tuple[HeaderName, ...] = ()
    allow_credentials: bool = False
    max_age: Seconds | None = None

    @model_validator(mode="after")
    def _credentials_need_names(self) -> Cors:
        if self.allow_credentials and "*" in self.allow_origins:
            raise ValueError("allow_credentials with the origin * would give every site the user's session; name them")
        return self


class Route(Model):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")]
    match: Match = Match()
    backend: Annotated[
        tuple[Annotated[Backend, BeforeValidator(parse_backend), _text(examples=["http://orders:8000"])], ...],
        BeforeValidator(_one_or_many),
        Field(min_length=1),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
    ]
    strip_prefix: Annotated[PathPattern, BeforeValidator(parse_path), _text(pattern="^/")] | None = None
    rewrite: Annotated[PathPattern, BeforeValidator(parse_template), _text(pattern="^/")] | None = None
    preserve_host: bool = False
    allow_encoded_slash: bool = False
    auth: Annotated[Auth, BeforeValidator(lambda value: {"mode": value} if isinstance(value, str) else value)] = Auth()
    identity: Identity = Identity()
    authorization: Literal["strip", "keep"] = "strip"
    request_headers: Headers = Headers()
    response_headers: Headers = Headers()
    cors: Cors | None = None
    timeout: Annotated[Seconds, Field(gt=0)] = 30.0
    connect_timeout: Annotated[Seconds, Field(gt=0)] = 2.0
    read_timeout: Annotated[Seconds, Field(gt=0)] = 60.0
    retries: Annotated[int, Field(ge=0, le=10)] = 1
    max_body: BytesOrUnlimited = 10 * 2**20


class Config(Model):
    """The whole file, with `defaults` already merged into each route."""

    server: Server = Server()
    admin: Admin = Admin()
    providers: dict[str, Provider] = Field(default_factory=dict)
    cache: Cache = Cache()
    log: Log = Log()
    routes: tuple[Route, ...] = ()
