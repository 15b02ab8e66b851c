"""The configuration compiled to what deciding needs: built once per (re)load, never changed, shared by all requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.config.fields import fold_header_name
from gateway.config.model import Config, Headers, Route
from gateway.config.percent import canonical_percent
from gateway.http.forwarded import Network
from gateway.http.headers import RequestRules, ResponseRules
from gateway.policy import Policy, Speaker, compile_policy
from gateway.routing import Table


@dataclass(frozen=True, slots=True, eq=False)
class GatedRoute:
    """A route with all that is decided about it beforehand."""

    config: Route
    policy: Policy
    providers: tuple[str, ...]
    request_rules: RequestRules
    response_rules: ResponseRules
    max_body_bytes: int | None  # None: unlimited

    @property
    def name(self) -> str:
        return self.config.name


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    table: Table[GatedRoute]
    routes: tuple[GatedRoute, ...]
    speakers: Mapping[str, Speaker]
    trusted_proxies: tuple[Network, ...]
    max_header_bytes: int
    max_headers: int
    events_prefix: str | None = None  # where events arrive; None: nowhere


def compile_gate(config: Config) -> Gate:
    """The gate of a configuration that `gateway check` found nothing wrong with."""
    identity_names = frozenset(fold_header_name(name) for route in config.routes for name in route.identity.headers)
    routes = tuple(_gated(route, config, identity_names) for route in config.routes)
    return Gate(
        table=Table((route.config.match, route) for route in routes),
        routes=routes,
        speakers={name: Speaker(provider.issuer, provider.client_id) for name, provider in config.providers.items()},
        trusted_proxies=config.server.trusted_proxies,
        max_header_bytes=config.server.max_header_bytes,
        max_headers=config.server.max_headers,
        events_prefix=None if config.events is None else canonical_percent(str(config.events.prefix)),
    )


def _gated(route: Route, config: Config, identity_names: frozenset[str]) -> GatedRoute:
    has_own_limit = "max_body" in route.model_fields_set
    return GatedRoute(
        config=route,
        policy=compile_policy(route.auth),
        providers=route.auth.provider or tuple(config.providers),
        request_rules=RequestRules(
            identity_names=identity_names,
            keep_authorization=route.authorization == "keep",
            remove=_lower(route.request_headers),
            set=tuple(route.request_headers.set.items()),
        ),
        response_rules=ResponseRules(
            remove=_lower(route.response_headers),
            set=tuple(route.response_headers.set.items()),
            own_cors=route.cors is not None,
        ),
        max_body_bytes=route.max_body if has_own_limit else config.server.max_body,
    )


def _lower(headers: Headers) -> frozenset[str]:
    return frozenset(name.lower() for name in headers.remove)
