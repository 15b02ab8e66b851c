"""Routes, as the configuration names them; see `gateway.config.model`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from gateway.config.addresses import parse_backend
from gateway.config.auth_model import Auth
from gateway.config.backend_model import BackendSettings, HealthSettings, OutlierSettings
from gateway.config.balance_rule import ROUND_ROBIN
from gateway.config.credential_model import Authorization
from gateway.config.identity_model import IdentitySettings, refuse_twins
from gateway.config.model_base import Model
from gateway.config.pattern import parse_path
from gateway.config.value_types import (
    ONE_OR_MANY,
    BalanceRule,
    BytesOrUnlimited,
    CorsHeaderName,
    Count,
    Flag,
    HeaderName,
    HeaderValue,
    HostMatch,
    Method,
    Name,
    OneOrMany,
    Origin,
    PathMatch,
    ResourceIdentifier,
    Rewrite,
    Scope,
    Seconds,
)

# The keys of a route that `defaults` cannot have.
ONE_ROUTES_OWN = frozenset(["name", "match"])


def _by_url(value: object) -> object:
    """A backend that is written as its URL."""
    return {"url": parse_backend(value)} if isinstance(value, str) else value


class Match(Model):
    host: HostMatch | None = None
    """api.example.com, or *.example.com for any depth below. Default any."""

    path: PathMatch = parse_path("/**")
    """Segments: a literal, {name} for one of anything, ** at the end for all below. Default /**."""

    methods: Annotated[tuple[Method, ...], OneOrMany, Field(min_length=1), ONE_OR_MANY] | None = None
    """Default any. GET stands for HEAD too."""


class Headers(Model):
    set: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    """Replaces what is there."""

    remove: tuple[HeaderName, ...] = ()
    """In any spelling: only letters and digits count."""

    @model_validator(mode="after")
    def _names_differ(self) -> Headers:
        refuse_twins((("set", name), name) for name in self.set)
        return self


class Resource(Model):
    """A resource by the name that its clients know (RFC 9728). The gateway publishes its metadata on that host."""

    identifier: ResourceIdentifier
    """https://host/path, as clients name it in resource=. Routes with the same one share its metadata."""

    scopes: tuple[Scope, ...] = ()
    """What a client may ask for; shown as scopes_supported. Default none."""

    name: Annotated[str, Field(min_length=1)] | None = None
    """For people; shown as resource_name. Default none."""


class Cors(Model):
    allow_origins: Annotated[tuple[Origin, ...], Field(min_length=1)]
    """scheme://host[:port] of each, or *."""

    allow_methods: tuple[Method, ...] = ("GET", "HEAD", "POST")
    """Default GET, HEAD, POST."""

    allow_headers: tuple[CorsHeaderName, ...] = ()
    """Default none; * for any."""

    expose_headers: tuple[CorsHeaderName, ...] = ()
    """What pages may read of the answer. Default none."""

    allow_credentials: Flag = False
    """Cookies and Authorization of the browser. Default false; never with *."""

    max_age: Seconds | None = None
    """How long a browser remembers a preflight. Default: the browser's own."""

    @model_validator(mode="after")
    def _credentials_need_names(self) -> Cors:
        if self.allow_credentials and "*" in self.allow_origins:
            raise ValueError("allow_credentials with the origin * would give every site the user's session; name them")
        return self


# Shared by all routes that say nothing: pydantic would copy them for each, for they cannot be hashed.
_IDENTITY = IdentitySettings()
_NO_HEADERS = Headers()


class Route(Model):
    name: Name
    """Unique; the label in metrics and logs."""

    match: Match = Match()
    """Which requests take this route. Default: all."""

    backend: Annotated[
        tuple[Annotated[BackendSettings, BeforeValidator(_by_url)], ...],
        OneOrMany,
        Field(min_length=1),
    ] = ()
    """http(s)://host[:port][/prefix] or unix:/socket[:/prefix], a mapping with that as url, or a list of both. Left out
    where another proxy forwards the request: such a route is for the decisions listener."""

    balance: BalanceRule = ROUND_ROBIN
    """round_robin, least_requests, or {hash: KEY}, by which what has one value goes to one backend: sub, client_id, a
    claim's path, address, header:NAME or cookie:NAME. Default round_robin. Danger: what a client writes into a header
    or cookie chooses the backend, so that one client can send all that it asks for to one of them."""

    health: HealthSettings | None = None
    """What the backends are asked in the background. Default: nothing."""

    outliers: OutlierSettings | None = OutlierSettings()
    """When a backend that fails is passed over. null: never. Danger: then each backend that is away costs its share of
    the requests time, and some of them fail."""

    strip_prefix: PathMatch | None = None
    """Taken off the path: its first segments. Default nothing."""

    rewrite: Rewrite | None = None
    """The path that the backend gets; {name} and {**} are what match.path matched. Default: as it came."""

    preserve_host: Flag = False
    """Send the client's Host, not the backend's. Default false."""

    allow_encoded_slash: Flag = False
    """Pass %2F on undecoded. Default false: 400. Danger: a backend that decodes it sees another path than was
    authorised."""

    allow_path_parameters: Flag = False
    """Pass path parameters (/a;v=1) on. Default false: 400. Routes and policies go by the path without them. Danger: a
    backend that reads them can be told there what nobody has authorised."""

    auth: Annotated[Auth, BeforeValidator(lambda value: {"mode": value} if isinstance(value, str) else value)] = Auth()
    """What a token must show, or just required, optional or none. Default required."""

    resource: Resource | None = None
    """The metadata by which clients find the authorization server, also named in each 401 and 403. Default none."""

    identity: IdentitySettings = Field(default_factory=lambda: _IDENTITY)
    """How the backend learns who is calling."""

    authorization: Authorization = "strip"
    """What the backend gets of the caller's token: strip, keep, or another credential in its place, by exchange,
    client_credentials or phantom. Default strip. Danger: with keep, a backend can act as the caller elsewhere."""

    request_headers: Headers = Field(default_factory=lambda: _NO_HEADERS)
    """Set and removed on the way to the backend."""

    response_headers: Headers = Field(default_factory=lambda: _NO_HEADERS)
    """Set and removed on the way to the client."""

    cors: Cors | None = None
    """Cross-origin requests, answered by the gateway. Default none: they are ordinary requests."""

    limits: Annotated[tuple[Name, ...], OneOrMany, ONE_OR_MANY] = ()
    """Names of limits that each request must be within, else 429. Default none."""

    timeout: Annotated[Seconds, Field(gt=0)] = 30.0
    """Request sent to the headers of the answer. Default 30s; more than 0."""

    connect_timeout: Annotated[Seconds, Field(gt=0)] = 2.0
    """Default 2s; more than 0."""

    read_timeout: Annotated[Seconds, Field(gt=0)] = 60.0
    """Between two parts of an answer's body. Default 60s; more than 0."""

    retries: Annotated[Count, Field(ge=0, le=10)] = 1
    """How often an idempotent request is sent again when no byte of an answer came. Default 1; 0 to 10. A connection
    that was not made costs none: the next backend of the list is asked."""

    connection_max_age: Annotated[Seconds, Field(gt=0)] = 300.0
    """A connection to the backend that is older takes no further request, so that its name is resolved again. Default
    5m; more than 0."""

    on_success: Literal["evict_token"] | None = None
    """evict_token: the backend revokes tokens (RFC 7009), and what it takes is forgotten before it is answered. Default
    nothing."""

    max_body: BytesOrUnlimited = 10 * 2**20
    """The largest request body. Default: the server's; 0 allows none, or unlimited."""
