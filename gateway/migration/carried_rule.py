"""One access rule as far as a route of ours can be like it: its keys, or the reasons why it must refuse.

What is carried over has passed the model of a route, so that `gateway check` takes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from gateway.config.pattern import PathPattern, SegmentKind, parse_path
from gateway.config.provider_model import Provider
from gateway.config.route_model import Match, Route
from gateway.migration.access_rules import AccessRule, Strategy, printable
from gateway.migration.rule_authentication import CarriedAuthentication, NotLikeThatError, ProviderNeed, authentication
from gateway.migration.rule_headers import ToldHeaders, told_headers
from gateway.migration.rule_places import RulePlaces, places_of

UNCOPIED = "${GATEWAY_CLIENT_SECRET:-write-it-into-the-environment}"  # secrets stay where they are
UNNAMED_ENDPOINT = "https://sso.example.com/oauth2/introspect"
# The backend of a route that refuses, where no rule says one: nobody listens on the port for discarding (RFC 863).
NOWHERE = "http://127.0.0.1:9"
_UPSTREAM = frozenset({"url", "strip_path", "preserve_host"})


@dataclass(frozen=True, slots=True)
class CarriedRule:
    """`keys` are those of a route beside name and match; empty where `why` says why its route refuses.

    `partly` says why a part of the requests, those of `places.cover`, are refused.
    """

    rule: AccessRule
    methods: tuple[str, ...]
    places: RulePlaces
    keys: Mapping[str, Any]
    provider: ProviderNeed | None
    why: tuple[str, ...]
    partly: tuple[str, ...]
    notes: tuple[str, ...]


def carry(rule: AccessRule, strategy: Strategy, *, widen: bool, decisions_only: bool) -> CarriedRule:
    """`decisions_only`: no rule of the file has an upstream, as where another proxy asks Oathkeeper and forwards."""
    places = places_of(rule.url, strategy, widen=widen)
    why = [places.why] if places.why and not places.places else []
    partly = (places.why,) if places.why and places.places else ()
    methods = tuple(method for method in rule.methods if _is_method(method))
    if rule.is_grpc:
        places, why = RulePlaces(), ["it matches gRPC, and the gateway speaks HTTP/1.1"]
    elif not methods:
        places, why = RulePlaces(), ["match.methods names none, so that no request matches it"]
    why += _authorizer(rule)
    why += [f"{name} is not enabled, so that Oathkeeper refuses every request" for name in rule.turned_off]
    asked, told = CarriedAuthentication("required"), ToldHeaders()
    try:
        asked = authentication(rule.authenticators)
        told = told_headers(rule.mutators, asked)
    except NotLikeThatError as error:
        why.append(str(error))
    keys: dict[str, Any] = {}
    try:
        keys |= {} if decisions_only else _forwarding(rule, places)
    except NotLikeThatError as error:
        why.append(str(error))
    keys |= {"auth": asked.auth, **_headers(told)}
    if not why:
        why += _unfit(keys, asked.provider)
    notes = (*places.notes, *asked.notes, *told.notes, *_errors(rule))
    provider = asked.provider if not why else None
    return CarriedRule(
        rule, methods, places, {} if why else keys, provider, tuple(why), partly, tuple(dict.fromkeys(notes))
    )


def _is_method(method: str) -> bool:
    """No request has what is not a token, such as `*`."""
    try:
        Match.model_validate({"methods": [method]})
    except ValidationError:
        return False
    return True


def _authorizer(rule: AccessRule) -> list[str]:
    if rule.authorizer is None:
        return ["it has no authorizer, so that Oathkeeper refuses every request"]
    if rule.authorizer.name == "allow":
        return []
    if rule.authorizer.name == "deny":
        return ["its authorizer is deny: Oathkeeper refuses every request"]
    return [f"the authorizer {rule.authorizer.name} has nothing like it here; write auth.claims, roles or permissions"]


def _errors(rule: AccessRule) -> Iterator[str]:
    for handler in rule.errors:
        if handler.name != "json":
            yield f"the error handler {handler.name} is left out: refusals are problem documents with a challenge"


def _headers(told: ToldHeaders) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if told.constant:
        changes["set"] = told.constant
    if told.absent:
        changes["remove"] = told.absent
    keys: dict[str, Any] = {"identity": {"headers": told.identity}}
    return {**keys, "request_headers": changes} if changes else keys


def _forwarding(rule: AccessRule, places: RulePlaces) -> dict[str, Any]:
    """`backend` and what belongs to it. Raises `NotLikeThatError`."""
    upstream = rule.upstream
    if others := sorted(key for key in upstream if key not in _UPSTREAM):
        raise NotLikeThatError(f"upstream has {', '.join(map(printable, others))}, which has nothing like it here")
    if not upstream.get("url"):
        raise NotLikeThatError("it has no upstream.url, and other rules have: the gateway would not know where to send")
    keys: dict[str, Any] = {"backend": str(upstream["url"]).rstrip("/")}
    prefix = "/" + str(upstream.get("strip_path") or "").strip("/")
    if prefix != "/":
        if not all(_begins_with(parse_path(place.path), prefix) for place in places.places):
            raise NotLikeThatError(f"strip_path {printable(prefix)} is not the beginning of the path of match.url")
        keys["strip_prefix"] = prefix
    if upstream.get("preserve_host"):
        keys["preserve_host"] = True
    return keys


def _begins_with(pattern: PathPattern, prefix: str) -> bool:
    literals = []
    for segment in pattern.segments:
        if segment.kind is not SegmentKind.LITERAL:
            break
        literals.append(segment.text)
    wanted = prefix.removeprefix("/").split("/")
    return literals[: len(wanted)] == wanted


def _unfit(keys: Mapping[str, Any], provider: ProviderNeed | None) -> list[str]:
    """What the models of a route and of a provider say against these."""
    try:
        Route.model_validate({"name": "carried", **keys, "auth": _written_out(keys["auth"])})
        if provider is not None:
            Provider.model_validate(provider_keys(provider))
    except ValidationError as error:
        return [
            f"{'.'.join(map(str, one['loc']))}: {printable(one['msg'].removeprefix('Value error, '))}"
            for one in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    return []


def named_provider(rule: AccessRule) -> ProviderNeed | None:
    """The provider of a rule that may not be carried over, if its configuration would be sound."""
    try:
        found = authentication(rule.authenticators).provider
        if found is not None:
            Provider.model_validate(provider_keys(found))
    except (NotLikeThatError, ValidationError):
        return None
    return found


def _written_out(auth: object) -> object:
    return {"mode": auth} if isinstance(auth, str) else auth


def provider_keys(need: ProviderNeed) -> dict[str, Any]:
    """The keys of the provider, but for its secret. An endpoint that nobody named is an example's."""
    if need.validation == "jwt":
        return {
            "issuer": need.issuer, "jwks_uri": need.endpoint, "validation": "jwt", "algorithms": list(need.algorithms)
        }  # fmt: skip
    keys: dict[str, Any] = {"introspection_endpoint": need.endpoint or UNNAMED_ENDPOINT}
    questions: dict[str, Any] = {}
    keys["client_id"] = need.client_id or "gateway"
    if need.token_endpoint:
        keys["token_endpoint"] = need.token_endpoint
        questions["auth"] = "bearer"
    if need.has_secret:
        keys["client_secret"] = UNCOPIED
    else:
        keys["client_auth"] = "none"
    if need.headers:
        questions["headers"] = dict(need.headers)
    return {**keys, "introspection": questions} if questions else keys
