"""What a token must show, as the configuration names it; see `gateway.config.model`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gateway.config.model_base import KeyMark, Model
from gateway.config.problems import WrongAt
from gateway.config.token_place import IN_AUTHORIZATION
from gateway.config.value_types import (
    ONE_OR_MANY,
    Acr,
    AuthorizationDetail,
    Claims,
    Method,
    OneOrMany,
    PermissionScope,
    PermissionText,
    Scope,
    Seconds,
    Text,
    TokenPlace,
)


class PermissionSettings(Model):
    """A permission at the provider: `resource` may have parts of the path, as in order/{id}."""

    resource: PermissionText
    """Its name or id there; {name} is the path's own, decoded."""

    scopes: Annotated[tuple[PermissionScope, ...], OneOrMany, ONE_OR_MANY] = ()
    """All of these. Default none: any scope of the resource will do for the provider."""

    audience: Annotated[str, Field(min_length=1)] | None = None
    """The client of the resource server. Default: the gateway's own."""


class Auth(Model):
    """What a request to the route must show. An empty list asks for nothing."""

    keys_demand_token = True

    mode: Annotated[Literal["required", "optional", "none"], KeyMark.NEEDS_NO_TOKEN] = "required"
    """required; optional: no token passes without identity, a bad one is 401; none. Default required. Danger: with none
    nobody looks at a token."""

    provider: Annotated[tuple[str, ...], OneOrMany, ONE_OR_MANY] = ()
    """Who is asked; a list picks by the token's iss. Default: the only provider. Danger: with a list, an opaque token
    of one provider is shown to those before it, which can then use it."""

    token_from: Annotated[tuple[TokenPlace, ...], Field(min_length=1)] = (IN_AUTHORIZATION,)
    """Where the token may stand: authorization, {header: NAME}, {cookie: NAME}, {query: NAME}; all places are looked
    at, two tokens that differ are 400, and the backend gets none of them. Default [authorization]. Danger: a browser
    sends a cookie with requests that pages of other sites make."""

    scopes: Annotated[tuple[Scope, ...], OneOrMany, ONE_OR_MANY] = ()
    """All of these must be in scope. Default none."""

    any_scope: Annotated[tuple[Scope, ...], OneOrMany, ONE_OR_MANY] = ()
    """One of these must be in scope. Default none."""

    audience: Annotated[tuple[str, ...], OneOrMany, ONE_OR_MANY] = ()
    """One of these must be in aud. Default: aud is not looked at. Danger: without it, tokens meant for other services
    pass."""

    issuer: str | None = None
    """What iss must be; written out, facts without iss are refused. Default: the provider's."""

    roles: Annotated[tuple[str, ...], OneOrMany, ONE_OR_MANY] = ()
    """All of these: of the realm, of our client, or client:role for another client's. Default none."""

    groups: tuple[Text, ...] = ()
    """All of these must be in the claim groups, as they stand there (Keycloak writes /staff where its mapper gives the
    full path). Default none."""

    permissions: tuple[PermissionSettings, ...] = ()
    """All of these. Facts that carry permissions decide by themselves; else the provider is asked (UMA 2.0). Default
    none. Danger: where a resource is nothing but a part of the path, the caller chooses among all resources of the
    provider."""

    details: tuple[AuthorizationDetail, ...] = ()
    """Each of these objects must be within one element of authorization_details (RFC 9396): lists are subsets, scalars
    are equal. Default none."""

    acr: tuple[Acr, ...] = ()
    """acr must be one of these; else 401 with acr_values (RFC 9470). Default: it is not looked at."""

    max_auth_age: Annotated[Seconds, Field(ge=1)] | None = None
    """How long ago the caller may have signed in (auth_time); else 401 with max_age (RFC 9470). Default: it is not
    looked at; 1s at least."""

    claims: Claims = ()
    """Each claim equals the value, or one of a list, compared with its type, or has it as an element of a list or as a
    name in an object; {name} is the path's own."""

    proof: Literal["if_bound", "required", "ignore"] = "if_bound"
    """A token that is bound (cnf) is good only with its proof: a DPoP proof by its key, its client certificate.
    if_bound; required: a token that is not bound is refused, too; ignore: nobody looks. Default if_bound. Danger: with
    ignore, somebody who has got hold of a bound token can use it."""

    max_age: Seconds | None = None
    """The oldest answer this route accepts. Default: cache.ttl; 0s asks for every request."""

    stale_if_error: Seconds | None = None
    """How much older the last known answer may be when the provider cannot tell. Default none: 503. Danger: so long
    after cache.ttl or max_age, a revoked token may still work while the provider is away."""

    stale_methods: Annotated[tuple[Method, ...], Field(min_length=1)] = ("GET", "HEAD", "OPTIONS")
    """The methods stale_if_error holds for. Default GET, HEAD, OPTIONS. Danger: what others do cannot be undone."""

    streams: Annotated[Literal["end", "keep"], KeyMark.NEEDS_NO_TOKEN] = "end"  # streams end with their route too
    """What a WebSocket, an event stream or another open exchange does when its token or its route ends. Default end.
    Danger: with keep, a client that holds one open is served after logout, revocation and exp."""

    @model_validator(mode="after")
    def _places_differ(self) -> Auth:
        places = self.token_from
        twice = [index for index, place in enumerate(places) if place in places[:index]]
        if twice:
            raise WrongAt(
                (("token_from", index), f"{places[index]} stands there twice; name it once") for index in twice
            )
        return self
