"""The configuration as values: the meaning of each key, its default, its zero and its danger.

Every model is frozen and refuses unknown keys. A model checks only its own keys; `gateway.config.check` checks the rest
(names of providers, routes that tie). Durations are seconds and sizes are bytes, whatever unit the file used.
"""

from __future__ import annotations

from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, create_model, model_validator

from gateway.config.identity_model import Signing
from gateway.config.limit_model import LimitSettings
from gateway.config.model_base import Model
from gateway.config.pattern import parse_prefix
from gateway.config.problems import WrongAt
from gateway.config.provider_model import Provider
from gateway.config.route_model import Route
from gateway.config.server_model import Admin, Decisions, Server
from gateway.config.value_types import (
    ONE_OR_MANY,
    Count,
    Endpoint,
    Flag,
    Fraction,
    LongSecret,
    Name,
    OneOrMany,
    PathPrefix,
    RedisUrl,
    Sample,
    Seconds,
    SourceNetwork,
)

# The key of the file that no model has: it is merged into the routes before they are validated.
DEFAULTS = "Any key of a route but name and match, for every route; the route's own keys win."

_REPEATS_MAX = 5
# Each one costs two connections to Redis, and a lookup more.
_SECRETS_MAX = 3
_REPEAT_MAX_S = 300.0


class Cache(Model):
    """How long answers live and where they are shared. `ttl: 0s` asks the provider about every request."""

    redis: RedisUrl | None = None  # a secret because the URL may carry a password
    """redis://, rediss://, unix://, redis+sentinel://, redis+cluster:// (and rediss+…). Default none: each worker
    remembers for itself."""

    secret: Annotated[tuple[LongSecret, ...], OneOrMany, Field(min_length=1), ONE_OR_MANY] | None = None
    """For the keys' HMAC and the entries' encryption; required with redis, the same for the whole fleet. 16 characters
    at least. A list for rotation: the first seals, all open, and purges reach all."""

    ttl: Seconds = 60.0
    """How long an active answer is used, never past the token's exp. Default 60s; 0s asks each time. Danger: for this
    long a revoked token may still work."""

    inactive_ttl: Seconds = 10.0
    """How long an inactive answer is used. Default 10s; 0s asks each time."""

    max_entries: Annotated[Count, Field(ge=1)] = 100_000
    """The most answers one worker remembers. Default 100000."""

    timeout: Annotated[Seconds, Field(gt=0)] = 0.05
    """For one operation of Redis; a slower one is a miss. Default 50ms; more than 0."""

    refresh_ahead: Fraction | None = None
    """The part of its window after which an answer in use is asked for again in the background, so that hot tokens
    never wait: 0.8. Default null: at the end, while a request waits. Danger: a token in steady use costs 1/0.8 times as
    many calls; more than 0, less than 1."""

    clock_skew: Annotated[Seconds, Field(gt=0)] = 2.0
    """How far the clocks of two instances may be apart; beyond, they share nothing. Default 2s; more than 0. Danger:
    anyone who can write to Redis can keep a revoked token working for this long beyond ttl or max_age."""

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
    _FROM = (
        "The networks that events come from; deliveries of other addresses are 403. Default []: everywhere, for the "
        "signature counts. Behind proxies that trusted_proxies does not name, theirs is the address."
    )
    _sources = Annotated[tuple[SourceNetwork, ...], Field(description=_FROM)]
    _EventSources = create_model("_EventSources", __base__=Model, **{"from": (_sources, ())})


class Events(_EventSources):
    """Where providers tell the gateway what was revoked; without it nobody can, and no path is taken."""

    prefix: PathPrefix = parse_prefix("/.gateway/events")
    """The path, on every host, under which POST …/backchannel-logout, POST …/security-events and Keycloak's POST
    …/keycloak/k_logout and …/k_push_not_before are answered. Default /.gateway/events."""

    repeat_after: tuple[Annotated[Seconds, Field(gt=0)], ...] = (1.0, 5.0)
    """When an eviction is repeated: a provider may tell of a logout before it acts on it itself. Default [1s, 5s]; []
    never."""

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
    """The least that is logged. Default info."""

    access: Flag = True
    """A line for each request. Default true."""

    format: Literal["auto", "json", "console"] = "auto"
    """json: one object a line; console: lines for people, with colours on a terminal. Default auto: console where
    standard output is a terminal, else json."""


class Telemetry(Model):
    """Traces: where spans go, and of how many requests. Needs the extra introspection-gateway[otel]."""

    otlp: Endpoint
    """The collector's URL for OTLP over HTTP: http://collector:4318. The path /v1/traces is added where it has none."""

    sample: Sample = 0.1
    """The part of requests that is traced, from 0 to 1, unless a trusted proxy has decided. Default 0.1. Danger: with
    much of it, a busy gateway and its collector spend more on traces than on requests."""

    service: Annotated[str, Field(min_length=1)] = "gateway"
    """service.name of the spans. Default gateway."""

    @model_validator(mode="after")
    def _the_sdk_is_there(self) -> Telemetry:
        if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None:
            raise ValueError(
                "traces need the OpenTelemetry SDK, which is not installed; pip install 'introspection-gateway[otel]'"
            )
        return self


class Config(Model):
    """The whole file, with `defaults` already merged into each route."""

    server: Server = Server()
    """Where clients connect, and what one of them may use up."""

    admin: Admin = Admin()
    """The second listener: health, metrics, routes, explain, cache."""

    decisions: Decisions | None = None
    """The listener that other proxies ask about their requests. Default none: nobody can."""

    providers: dict[Name, Provider] = Field(default_factory=dict)
    """The identity providers that are asked about tokens, by a name of your own."""

    cache: Cache = Cache()
    """How long answers of the providers are remembered, and where they are shared."""

    events: Events | None = None
    """Where providers tell what was revoked. Default none: no path is taken and nobody can."""

    signing: Signing | None = None
    """What signs identity tokens, and where backends find its key. Default none: no path is taken."""

    limits: dict[Name, LimitSettings] = Field(default_factory=dict)
    """How much one caller may ask for, by names that routes use under limits."""

    log: LogSettings = LogSettings()
    """Lines on standard output: JSON, or for people at a terminal."""

    telemetry: Telemetry | None = None
    """Where traces of requests go. Default none: traceparent passes, and no span is made."""

    routes: tuple[Route, ...] = ()
    """What is forwarded where, and what a token must show. The most specific route wins."""
