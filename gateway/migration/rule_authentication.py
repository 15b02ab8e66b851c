"""What the authenticators of an access rule demand, as `auth` of a route and the provider that it needs.

A demand is never weaker than the rule's. Where a handler or a key has nothing like it here, `NotLikeThatError` says so.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from gateway.migration.access_rules import Handler, printable

_OPEN = frozenset({"noop", "anonymous"})
NEEDS_TOKEN = frozenset({"oauth2_introspection", "jwt"})
_ANONYMOUS = "anonymous"
_NOT_LOOKED_AT = "a request with Authorization passes unread, and is no longer refused by anonymous"
# The keys that change neither who passes nor what the backend gets.
_WITHOUT_EFFECT = frozenset({"retry", "cache", "enabled", "jwks_max_wait", "jwks_ttl"})
_INTROSPECTION = frozenset(
    {"introspection_url", "pre_authorization", "required_scope", "target_audience", "trusted_issuers", "scope_strategy",
     "token_from", "introspection_request_headers"}
)  # fmt: skip
_JWT = frozenset(
    {"jwks_urls", "required_scope", "target_audience", "trusted_issuers", "allowed_algorithms", "scope_strategy",
     "token_from"}
)  # fmt: skip


class NotLikeThatError(Exception):
    """Says what of a rule has nothing like it here."""


@dataclass(frozen=True, slots=True)
class ProviderNeed:
    """The provider that a rule's tokens are judged by. `endpoint` is that of introspection, or of the keys."""

    validation: str
    endpoint: str
    issuer: str = ""
    algorithms: tuple[str, ...] = ()
    token_endpoint: str = ""
    client_id: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def has_secret(self) -> bool:
        return bool(self.token_endpoint or self.client_id)


@dataclass(frozen=True, slots=True)
class CarriedAuthentication:
    """`auth` is the key of the route. `subject` is what the rule calls a caller without a token."""

    auth: str | Mapping[str, Any]
    provider: ProviderNeed | None = None
    subject: str = ""
    claims_below: str = ""  # where the claims of `.Extra` stand in ours, but for those of RFC 7662
    notes: list[str] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.auth == "none"


def authentication(handlers: tuple[Handler, ...]) -> CarriedAuthentication:
    """Raises `NotLikeThatError`. The handlers are asked in their order, and the first that is responsible decides."""
    for handler in handlers:
        if handler.name not in _OPEN | NEEDS_TOKEN:
            raise NotLikeThatError(_unknown(handler.name))
    names = [handler.name for handler in handlers]
    if not names:
        raise NotLikeThatError("it has no authenticators, so that Oathkeeper refuses every request")
    subject = next((str(one.config.get("subject") or _ANONYMOUS) for one in handlers if one.name == _ANONYMOUS), "")
    subject = "" if names[0] == "noop" else subject
    if names[0] == "noop" or not NEEDS_TOKEN & set(names):
        notes = [] if names[0] == "noop" else [_NOT_LOOKED_AT]
        return CarriedAuthentication("none", subject=subject, notes=notes)
    asked = [handler for handler in handlers if handler.name in NEEDS_TOKEN]
    if len(asked) > 1:
        raise NotLikeThatError(f"{' and '.join(one.name for one in asked)} both judge its tokens; write two providers")
    found = _introspected(asked[0].config) if asked[0].name == "oauth2_introspection" else _verified(asked[0].config)
    if not _OPEN & set(names):
        return found
    auth = {"mode": "optional", **(found.auth if isinstance(found.auth, dict) else {})}
    return CarriedAuthentication(auth, found.provider, subject, found.claims_below, found.notes)


def _unknown(name: str) -> str:
    if name == "unauthorized":
        return "its authenticator is unauthorized: Oathkeeper refuses every request"
    return f"the authenticator {name} has nothing like it here; callers come with an access token"


def _introspected(config: Mapping[str, Any]) -> CarriedAuthentication:
    _refuse_others(config, _INTROSPECTION, "oauth2_introspection")
    before = config.get("pre_authorization")
    before = before if isinstance(before, dict) and before.get("enabled", True) else {}
    headers = config.get("introspection_request_headers") or {}
    notes = []
    kept: dict[str, str] = {}
    client_id = ""
    for name, value in headers.items() if isinstance(headers, dict) else ():
        if str(name).lower() != "authorization":
            kept[str(name)] = str(value)
        elif not (client_id := _client_of(str(value))):
            notes.append("introspection_request_headers has Authorization; write client_id and client_secret")
    provider = ProviderNeed(
        "introspection",
        str(config.get("introspection_url") or ""),
        token_endpoint=str(before.get("token_url") or ""),
        client_id=str(before.get("client_id") or client_id),
        headers=tuple(sorted(kept.items())),
    )
    if before.get("scope") or before.get("audience"):
        notes.append("pre_authorization asks for a scope or an audience, and the gateway asks for none")
    auth, more = _demands(config)
    issuers = _texts(config, "trusted_issuers")
    if len(issuers) == 1:
        auth["issuer"] = issuers[0]
    elif issuers:
        auth["claims"] = {"iss": list(issuers)}
    return CarriedAuthentication(auth or "required", provider, claims_below="ext.", notes=[*notes, *more])


def _verified(config: Mapping[str, Any]) -> CarriedAuthentication:
    _refuse_others(config, _JWT, "jwt")
    urls, issuers = _texts(config, "jwks_urls"), _texts(config, "trusted_issuers")
    if len(urls) != 1 or not urls[0].startswith(("http://", "https://")):
        raise NotLikeThatError(f"jwt has {len(urls)} jwks_urls; write a provider with validation: jwt and one jwks_uri")
    if len(issuers) != 1:
        raise NotLikeThatError(f"jwt has {len(issuers)} trusted_issuers; name one, which its provider is known by")
    algorithms = _texts(config, "allowed_algorithms") or ("RS256",)
    auth, notes = _demands(config)
    return CarriedAuthentication(auth or "required", ProviderNeed("jwt", urls[0], issuers[0], algorithms), notes=notes)


def _client_of(authorization: str) -> str:
    """The client in `Basic …` (RFC 7617), without its secret; empty where there is none."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return unquote_plus(b64decode(credentials, validate=True).decode().partition(":")[0])
    except ValueError:
        return ""


def _demands(config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Scopes, audience and the token's place, which both kinds of authenticator name alike."""
    auth: dict[str, Any] = {}
    notes = []
    if scopes := _texts(config, "required_scope"):
        auth["scopes"] = list(scopes)
        strategy = str(config.get("scope_strategy") or "none").lower()
        if strategy not in {"exact", "none"}:
            notes.append(f"scopes are compared as they are, and no longer by the strategy {printable(strategy)}")
    audience = _texts(config, "target_audience")
    if len(audience) > 1:
        raise NotLikeThatError("all of target_audience must be in aud, and of auth.audience one is enough; name one")
    if audience:
        auth["audience"] = list(audience)
    if place := _token_place(config.get("token_from")):
        auth["token_from"] = [place]
    return auth, notes


def _token_place(written: object) -> dict[str, str] | None:
    if written is None:
        return None
    kinds = {"header": "header", "query_parameter": "query", "cookie": "cookie"}
    if isinstance(written, dict) and len(written) == 1 and (kind := kinds.get(str(next(iter(written))))):
        name = str(next(iter(written.values())))
        return None if (kind, name.lower()) == ("header", "authorization") else {kind: name}
    raise NotLikeThatError("token_from does not name one place; write auth.token_from")


def _refuse_others(config: Mapping[str, Any], known: frozenset[str], name: str) -> None:
    others = sorted(key for key, value in config.items() if key not in known | _WITHOUT_EFFECT and value)
    if others:
        raise NotLikeThatError(f"{name} has {', '.join(map(printable, others))}, which has nothing like it here")


def _texts(config: Mapping[str, Any], key: str) -> tuple[str, ...]:
    written = config.get(key)
    if written is None:
        return ()
    return tuple(str(one) for one in written) if isinstance(written, list) else (str(written),)
