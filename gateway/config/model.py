"""The configuration as values: what each key means, its default, its zero and its danger.

Every model is frozen and refuses unknown keys. A model checks what can be seen from its own keys alone; what
spans the file (names of providers, routes that tie) is checked in `gateway.config.check`. Durations are
seconds, sizes are bytes, whatever unit the file used.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, create_model, model_validator

from gateway.config.model_base import Model
from gateway.config.pattern import parse_prefix
from gateway.config.problems import WrongAt
from gateway.config.provider_model import Provider
from gateway.config.route_model import Route
from gateway.config.value_types import (
    ONE_OR_MANY,
    Bytes,
    BytesOrUnlimited,
    Count,
    Flag,
    Fraction,
    Listen,
    LongSecret,
    LongSecretOrNone,
    Name,
    OneOrMany,
    Origin,
    PathPrefix,
    RedisUrl,
    Seconds,
    SourceNetwork,
    TrustedName,
    TrustedPeer,
    Workers,
)
from gateway.config.values import Address

_REPEATS_MAX = 5
# Each one costs two connections to Redis, and a lookup more.
_SECRETS_MAX = 3
_REPEAT_MAX_S = 300.0


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
    proxy_protocol: Flag = False
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
    fast_path: Flag = True
    unknown_tokens: UnknownTokens | None = UnknownTokens()


class AdminCors(Model):
    allow_origins: tuple[Origin, ...] = ()


class Admin(Model):
    """`token` guards what changes state or shows a token's facts; without one, those answer 403."""

    listen: Listen = Address("127.0.0.1", 9090)
    token: LongSecretOrNone | None = None
    cors: AdminCors = AdminCors()


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


class LogSettings(Model):
    level: Literal["debug", "info", "warning", "error"] = "info"
    access: Flag = True


class Config(Model):
    """The whole file, with `defaults` already merged into each route."""

    server: Server = Server()
    admin: Admin = Admin()
    providers: dict[Name, Provider] = Field(default_factory=dict)
    cache: Cache = Cache()
    events: Events | None = None
    log: LogSettings = LogSettings()
    routes: tuple[Route, ...] = ()
