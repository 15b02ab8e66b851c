"""Routes, as the configuration names them; see `gateway.config.model`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from gateway.config.model_base import Model
from gateway.config.pattern import parse_path
from gateway.config.problems import WrongAt
from gateway.config.value_types import (
    ONE_OR_MANY,
    BackendUrl,
    BytesOrUnlimited,
    ClaimPath,
    Claims,
    CorsHeaderName,
    Count,
    Flag,
    HeaderName,
    HeaderValue,
    HostMatch,
    IdentityName,
    Method,
    Name,
    OneOrMany,
    Origin,
    PathMatch,
    Rewrite,
    Scope,
    Seconds,
)
from gateway.http.header_names import fold_header_name


def _refuse_twins(key: str, names: Iterable[str]) -> None:
    """Names that some backend takes for the same header can not both be sent."""
    first: dict[str, str] = {}
    twins = [(name, other) for name in names if (other := first.setdefault(fold_header_name(name), name)) != name]
    if twins:
        raise WrongAt(
            ((key, name), f"{name} and {other} are one header to a backend; keep one") for name, other in twins
        )


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


class IdentitySettings(Model):
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
    def _names_differ(self) -> IdentitySettings:
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
_IDENTITY = IdentitySettings()
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
    identity: IdentitySettings = Field(default_factory=lambda: _IDENTITY)
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
