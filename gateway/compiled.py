"""The configuration compiled for deciding: built once per (re)load and shared by all requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from gateway.authn.dpop_nonce import Nonces
from gateway.authn.token_places import TokenPlaces, compile_places
from gateway.authn.token_type import TokenTypeRule
from gateway.authn.tolerance import tolerances_s
from gateway.config.identity_key import IdentityKey, key_set
from gateway.config.model import Config
from gateway.config.published_resources import compile_resources
from gateway.config.realms import by_realm, names_by_realm
from gateway.config.route_model import Cors, Route
from gateway.config.server_model import CertificateHeader, Server
from gateway.grants.grant_rules import GrantRules, compile_grants
from gateway.http.backend import Backend
from gateway.http.fates import FieldFates
from gateway.http.forwarded import NOBODY_TRUSTED, TrustedProxies
from gateway.http.headers import RequestRules, ResponseRules, fates_under
from gateway.http.location import OwnUrls
from gateway.http.percent import canonical_percent
from gateway.http.protected_resource import metadata_location
from gateway.http.public_document import PublicDocument, identity_keys
from gateway.http.response_head import ResponseHeaderRules
from gateway.http.told_request import SubrequestFates
from gateway.http.trace_context import draws_below
from gateway.http.unfinished import HeadLimits
from gateway.identity import IdentityRules, compile_identity
from gateway.limits.limit import CompiledLimit
from gateway.policy import Policy, TrustedIssuer, compile_policy, trusted_issuer
from gateway.routing import Table
from gateway.signed_identity import IdentityTokenRules


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRoute:
    """Holds a route with everything that can be computed before a request comes."""

    config: Route
    mode: Literal["required", "optional", "none"]
    max_age_s: float | None
    tolerances_s: Mapping[str, float]  # by method: how much older facts may be when the provider cannot tell
    policy: Policy
    identity: IdentityRules
    providers: tuple[str, ...]
    providers_by_issuer: Mapping[str, tuple[str, ...]]  # the first of each issuer; a server may have very many realms
    request_rules: RequestRules
    fields_to_client: ResponseHeaderRules
    own_urls: OwnUrls
    backends: tuple[Backend, ...]
    max_body_bytes: int | None  # None: unlimited
    moves_path: bool  # the backend gets another path than the client sent
    stripped: str | None  # the part taken off each path, where it is always the same
    resource_metadata: str | None  # the URL that each challenge of the route names (RFC 9728 §5.1)
    limits: tuple[CompiledLimit, ...]
    grants: GrantRules | None  # what is asked of token endpoints
    has_conditions: bool  # something beside the facts may have to hold (`gateway.conditions`)
    is_plain: bool  # its responses wait for nothing but the backend
    token_places: TokenPlaces | None  # None: only Authorization
    dpop_algorithms: tuple[str, ...]  # of the proofs that it takes
    for_query_token: CompiledRoute | None  # what stands in for it where the token came in the query
    # Settings that each request reads: an attribute of a pydantic model takes several times as long as one of this.
    name: str = field(init=False)
    cors: Cors | None = field(init=False)
    preserves_host: bool = field(init=False)
    retries: int = field(init=False)
    timeout: float = field(init=False)
    read_timeout: float = field(init=False)

    def __post_init__(self) -> None:
        config = self.config
        object.__setattr__(self, "name", config.name)
        object.__setattr__(self, "cors", config.cors)
        object.__setattr__(self, "preserves_host", config.preserve_host)
        object.__setattr__(self, "retries", config.retries)
        object.__setattr__(self, "timeout", config.timeout)
        object.__setattr__(self, "read_timeout", config.read_timeout)


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """Holds what differs where another proxy asks about its request: `compiled` is the configuration for that.

    `answered` are the names of the fields of each 200: those of all identity headers, those of headers that may have a
    token, which the backend does not get, and `Authorization`.
    """

    compiled: CompiledConfig
    answered: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class CompiledConfig:
    """Holds the routing table, the compiled routes and the limits of one configuration."""

    table: Table[CompiledRoute]
    routes: tuple[CompiledRoute, ...]
    trusted_issuers: Mapping[str, TrustedIssuer]
    trusted_proxies: TrustedProxies
    head_limits: HeadLimits
    resources: Mapping[tuple[str, str], PublicDocument]  # metadata that is published, by host and path (RFC 9728)
    fates: FieldFates  # what is done with a client's fields before the route is known
    sampled_below: str | None = (
        None  # a request whose id is less is recorded; None: the gateway takes no part in traces
    )
    events_prefix: str | None = None  # where events arrive; None: nowhere
    keys: PublicDocument | None = None  # those that verify identity tokens
    keys_path: str | None = None  # where these are published, on every host
    answers_preflights: bool = True
    beside: Beside | None = None  # None: no other proxy asks
    nonces: Nonces | None = None  # that proofs must have; None: none
    client_certificate: CertificateHeader | None = None  # that trusted proxies send
    has_own_paths: bool = field(init=False)  # the gateway itself answers at some paths

    def __post_init__(self) -> None:
        has_own_paths = bool(self.resources) or self.events_prefix is not None or self.keys_path is not None
        object.__setattr__(self, "has_own_paths", has_own_paths)


def compile_config(
    config: Config,
    token_types: Mapping[str, TokenTypeRule] = MappingProxyType({}),
    nonce_keys: Sequence[bytes] = (),
) -> CompiledConfig:
    """Compile a configuration in which `gateway check` found no problem.

    `token_types` are the rules of the providers, which may have learned; a provider without one gets a new rule.
    `nonce_keys` are what nonces of proofs are made with; without any, none are asked for.
    """
    keys = () if config.signing is None else config.signing.keys
    common = _common_to_routes(config, keys)
    routes = tuple(_gated(route, config, common) for route in config.routes)
    compiled = CompiledConfig(
        table=Table((route.config.match, route) for route in routes if route.backends),
        routes=routes,
        trusted_issuers={
            name: trusted_issuer(provider, token_types.get(name))
            for name, provider in by_realm(config.providers).items()
        },
        trusted_proxies=_trusted(config.server),
        head_limits=HeadLimits(config.server.max_header_bytes, config.server.max_headers),
        resources=compile_resources(config),
        fates=fates_under((route.request_rules for route in routes), reads_trace=config.telemetry is not None),
        sampled_below=None if config.telemetry is None else draws_below(config.telemetry.sample),
        events_prefix=None if config.events is None else canonical_percent(str(config.events.prefix)),
        keys=identity_keys(key_set(keys)) if keys else None,
        keys_path=None if config.signing is None else canonical_percent(str(config.signing.path)),
        nonces=Nonces(nonce_keys) if config.server.dpop_nonce and nonce_keys else None,
        client_certificate=config.server.client_certificate_header,
    )
    return compiled if config.decisions is None else replace(compiled, beside=_beside(compiled, common.identity_names))


@dataclass(frozen=True, slots=True, eq=False)
class _CommonToRoutes:
    """Holds what all routes are compiled with. Those with equal rules share one memory of response fields."""

    identity_names: frozenset[str]
    to_client: dict[ResponseRules, ResponseHeaderRules]
    key: IdentityKey | None  # which signs
    limits: Mapping[str, CompiledLimit]
    issuers: Mapping[str, str | None]  # of each provider, and of each realm of one


def _common_to_routes(config: Config, keys: Sequence[IdentityKey]) -> _CommonToRoutes:
    names = frozenset(name for route in config.routes for name in route.identity.names)
    issuers = {name: provider.issuer for name, provider in by_realm(config.providers).items()}
    return _CommonToRoutes(names, {}, keys[0] if keys else None, compile_limits(config), issuers)


def _beside(compiled: CompiledConfig, identity_names: frozenset[str]) -> Beside:
    """For the requests of other proxies: all routes, nothing that the gateway answers itself, and every peer is
    believed about its client.
    """
    places = [route.token_places for route in compiled.routes if route.token_places is not None]
    names = [*sorted(identity_names), *(name for place in places for name in place.header_names)]
    by_lower = {name.lower(): name for name in reversed(names)}
    told = replace(
        compiled,
        table=Table((route.config.match, route) for route in compiled.routes),
        trusted_proxies=replace(compiled.trusted_proxies, every_peer=True),
        resources={},
        fates=SubrequestFates(
            identity_names,
            keeps_authorization=any(route.request_rules.keep_authorization for route in compiled.routes),
            reads_trace=compiled.sampled_below is not None,
        ),
        events_prefix=None,
        keys=None,
        keys_path=None,
        answers_preflights=False,
    )
    return Beside(told, (*by_lower.values(), "Authorization"))


def _gated(route: Route, config: Config, common: _CommonToRoutes) -> CompiledRoute:
    response_rules, grants = _response_rules(route), compile_grants(route, config)
    places = None if route.auth.mode == "none" else compile_places(route.auth.token_from)
    providers = route.auth.provider or tuple(config.providers)
    names = names_by_realm(providers, config.providers)
    algorithms = dict.fromkeys(one for name in providers for one in config.providers[name].algorithms)
    compiled = CompiledRoute(
        config=route,
        mode=route.auth.mode,
        max_age_s=route.auth.max_age,
        tolerances_s=tolerances_s(route.auth),
        policy=compile_policy(route.auth),
        identity=_identity(route, config, common.key),
        providers=names,
        providers_by_issuer=_by_issuer(names, common.issuers),
        request_rules=_request_rules(route, config.server, common.identity_names, places),
        fields_to_client=common.to_client.setdefault(response_rules, ResponseHeaderRules(response_rules)),
        own_urls=OwnUrls([one.url for one in route.backend]),
        backends=tuple(one.backend for one in route.backend),
        max_body_bytes=route.max_body,
        limits=tuple(common.limits[name] for name in route.limits),
        grants=grants,
        has_conditions=bool(route.limits) or grants is not None,
        is_plain=route.on_success is None,
        moves_path=route.rewrite is not None or route.strip_prefix is not None,
        stripped=None if route.strip_prefix is None else route.strip_prefix.only_path,
        resource_metadata=None if route.resource is None else metadata_location(route.resource.identifier).url,
        token_places=places,
        dpop_algorithms=tuple(algorithms),
        for_query_token=None,
    )
    if places is None or not places.parameters:
        return compiled
    private_rules = replace(response_rules, is_private=True)
    private = common.to_client.setdefault(private_rules, ResponseHeaderRules(private_rules))
    return replace(compiled, for_query_token=replace(compiled, fields_to_client=private))


def _by_issuer(names: Sequence[str], issuers: Mapping[str, str | None]) -> Mapping[str, tuple[str, ...]]:
    return {issuer: (name,) for name in reversed(names) if (issuer := issuers[name]) is not None}


def _response_rules(route: Route) -> ResponseRules:
    return ResponseRules(
        remove=frozenset(route.response_headers.remove),
        set=tuple(route.response_headers.set.items()),
        own_cors=route.cors is not None,
    )


def _request_rules(
    route: Route, server: Server, identity_names: frozenset[str], places: TokenPlaces | None
) -> RequestRules:
    return RequestRules(
        identity_names=identity_names,
        keep_authorization=route.authorization == "keep" and (places is None or places.has_authorization),
        remove=frozenset([*route.request_headers.remove, *(() if places is None else places.header_names)]),
        set=tuple(route.request_headers.set.items()),
        trusted=_trusted_names(server),
        cookies=frozenset() if places is None else places.cookies,
    )


def compile_limits(config: Config) -> dict[str, CompiledLimit]:
    """Every limit by its name."""
    return {
        name: CompiledLimit(name, one.rate.quota, one.rate.window_s, one.burst or one.rate.quota, one.by)
        for name, one in config.limits.items()
    }


def _identity(route: Route, config: Config, key: IdentityKey | None) -> IdentityRules:
    settings, signing, token = route.identity, config.signing, None
    rules = compile_identity(tuple(settings.headers.items()))
    if settings.token is not None and signing is not None and key is not None:
        asked = settings.token
        audience = asked.audience[0] if len(asked.audience) == 1 else asked.audience
        claims = tuple(asked.claims.items())
        token = IdentityTokenRules(asked.header, key, signing.issuer, audience, asked.ttl, claims)
    if token is None and settings.answer is None:
        return rules
    return IdentityRules(rules.headers, token, settings.answer)


def _trusted_names(server: Server) -> frozenset[str]:
    header = server.client_certificate_header
    return frozenset(server.trusted_headers if header is None else (*server.trusted_headers, header.name))


def _trusted(server: Server) -> TrustedProxies:
    networks = tuple(peer for peer in server.trusted_proxies if peer != "unix")
    # A TCP connection that broke as it was accepted has no address either, so only the listener can tell the two apart.
    trusted = TrustedProxies(networks, unix="unix" in server.trusted_proxies and server.listen.path is not None)
    return NOBODY_TRUSTED if trusted.are_none else trusted
