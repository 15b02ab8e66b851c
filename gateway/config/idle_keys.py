"""Tables of keys that another key leaves without effect: at the top of the file and under a provider.

Each row says when its key has none. A key whose row is missing is one that always has an effect, and
`tests/config/test_no_effect.py` names the reason. The rows of routes are in `gateway.config.idle_route_keys`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.config.credential_model import BackendCredential
from gateway.config.model import Cache
from gateway.config.provider_model import URLS_BY_REALM, Provider
from gateway.config.route_model import Route
from gateway.config.sections import Sections
from gateway.config.server_model import Server
from gateway.config.token_place import IN_AUTHORIZATION


@dataclass(frozen=True, slots=True)
class IdleKey:
    """Says when the key at `path` has no effect. `is_idle` gets the section that has the key, and the whole file."""

    path: tuple[str, ...]
    is_idle: Callable[[Any, Sections], bool]
    what: str


_NOT_ASKED = "with validation: jwt nobody is asked about a token; take this out, or write jwt_then_introspection"
_NEITHER_ASKED = (
    "with validation: jwt nobody is asked about a token, and no route wants a grant; take this out, or write "
    "jwt_then_introspection"
)
_NOT_OF_THIS_WAY = "this client_auth does not use it; take it out, or write the client_auth that does"
_NO_REDIS = "without cache.redis nothing is shared; write cache.redis, or take this out"
_NO_PROOFS = "no route looks at a {}; take this out, or write proof: if_bound and a place authorization"
_NO_JWTS = "nothing of this provider is verified by its keys; write validation: jwt_then_introspection, or take it out"
# What each way of client_auth uses of the secrets.
_USED_BY_WAY = {"private_key_jwt": ("private_key", "private_key_id"), "none": ()}


def _is_jwt(provider: Provider, _: Sections) -> bool:
    return provider.validation == "jwt"


def _is_never_asked(provider: Provider, sections: Sections) -> bool:
    return provider.validation == "jwt" and not _wants_grants(sections)


def _does_not_use(key: str) -> Callable[[Provider, Sections], bool]:
    return lambda provider, _: key not in _USED_BY_WAY.get(provider.client_auth, ("client_secret",))


def _verifies_nothing(provider: Provider) -> bool:
    return provider.validation == "introspection" and provider.introspection.accept != "jwt"


def _has_no_https(provider: Provider, _: Sections) -> bool:
    urls = [getattr(provider, key) for key in URLS_BY_REALM]
    urls += [] if provider.events is None else [provider.events.jwks_uri]
    return all(url is None or url.startswith("http://") for url in urls)


def _wants_grants(sections: Sections) -> bool:
    return any(_wants_grant(route.value) for route in sections.routes)


def _wants_grant(route: Route) -> bool:
    is_permission = bool(route.auth.permissions) and route.auth.mode != "none"
    credential = route.authorization
    return is_permission or (isinstance(credential, BackendCredential) and not credential.phantom)


def _nobody_looks_at_proofs(sections: Sections) -> bool:
    return not any(_looks_at_proofs(route.value) for route in sections.routes)


def _looks_at_proofs(route: Route) -> bool:
    return route.auth.mode != "none" and route.auth.proof != "ignore" and IN_AUTHORIZATION in route.auth.token_from


def _nobody_looks_at_tokens(sections: Sections) -> bool:
    return all(route.value.auth.mode == "none" and route.value.on_success is None for route in sections.routes)


def _without_redis(_: Any, sections: Sections) -> bool:
    return sections.section("cache").redis is None


def _remembers_no_refusal(_: Cache, sections: Sections) -> bool:
    providers = [provider.value for provider in sections.providers.values()]
    are_jwt = bool(providers) and all(one.validation == "jwt" for one in providers)
    return are_jwt and not _wants_grants(sections)


def _demands_nothing(server: Server, _: Sections) -> bool:
    """Whoever is asked may show a certificate without an authority, so that `ask` has its effect alone."""
    return server.tls is not None and server.tls.client_ca is None and server.tls.client_certificate == "demand"


def _checks_no_certificate(server: Server, _: Sections) -> bool:
    return server.tls is not None and server.tls.client_certificate == "ask"


def _has_no_proxies(server: Server, sections: Sections) -> bool:
    return not server.trusted_proxies and sections.decisions is None


def _routes_have_their_own(key: str) -> Callable[[Any, Sections], bool]:
    return lambda _, sections: all(not route.origin.find((key,)).rest for route in sections.routes)


SERVER: tuple[IdleKey, ...] = (
    IdleKey(
        ("trusted_headers",),
        _has_no_proxies,
        "only server.trusted_proxies may send them, and there are none; name the proxies there, or take this out",
    ),
    IdleKey(
        ("tls", "client_certificate"),
        _demands_nothing,
        "without client_ca no certificate is demanded; write client_ca: ca.pem, or ask, or take this out",
    ),
    IdleKey(
        ("tls", "client_ca"),
        _checks_no_certificate,
        "with client_certificate: ask no certificate is checked against it, and anybody may connect; write demand, or "
        "take this out",
    ),
    IdleKey(("dpop_nonce",), lambda _, sections: _nobody_looks_at_proofs(sections), _NO_PROOFS.format("DPoP proof")),
    IdleKey(
        ("client_certificate_header",),
        lambda _, sections: _nobody_looks_at_proofs(sections),
        _NO_PROOFS.format("client's certificate"),
    ),
    IdleKey(
        ("max_connections_per_network",),
        lambda server, _: server.listen.path is not None and not server.proxy_protocol,
        "a Unix socket knows no networks; take this out, or write listen: host:port",
    ),
    IdleKey(
        ("max_body",), _routes_have_their_own("max_body"), "each route has its own max_body; take one of the two out"
    ),
    IdleKey(
        ("unknown_tokens",),
        lambda _, sections: _nobody_looks_at_tokens(sections),
        "no route looks at a token; take this out, or write auth: required where one is wanted",
    ),
)
CACHE: tuple[IdleKey, ...] = (
    IdleKey(
        ("secret",),
        lambda cache, sections: cache.redis is None and not sections.section("server").dpop_nonce,
        "without cache.redis nothing is sealed with it; write cache.redis, or take this out",
    ),
    IdleKey(("timeout",), _without_redis, _NO_REDIS),
    IdleKey(("clock_skew",), _without_redis, _NO_REDIS),
    IdleKey(
        ("refresh_ahead",),
        lambda cache, _: cache.ttl == 0,
        "with ttl: 0s nothing is remembered that could be refreshed; write a ttl such as 60s, or take this out",
    ),
    IdleKey(
        ("inactive_ttl",),
        _remembers_no_refusal,
        "with validation: jwt alone a refused token is judged anew each time; take this out",
    ),
)
PROVIDER: tuple[IdleKey, ...] = (
    IdleKey(("introspection",), _is_jwt, _NOT_ASKED),
    IdleKey(("introspection_endpoint",), _is_jwt, _NOT_ASKED),
    IdleKey(("require_token_type",), _is_jwt, _NOT_ASKED),
    IdleKey(("max_concurrency",), _is_never_asked, _NEITHER_ASKED),
    IdleKey(("max_waiting",), _is_never_asked, _NEITHER_ASKED),
    IdleKey(("breaker",), _is_never_asked, _NEITHER_ASKED),
    IdleKey(("client_secret",), _does_not_use("client_secret"), _NOT_OF_THIS_WAY),
    IdleKey(("private_key",), _does_not_use("private_key"), _NOT_OF_THIS_WAY),
    IdleKey(("private_key_id",), _does_not_use("private_key_id"), _NOT_OF_THIS_WAY),
    IdleKey(
        ("jwks_uri",), lambda provider, sections: _verifies_nothing(provider) and sections.events is None, _NO_JWTS
    ),
    IdleKey(
        ("algorithms",),
        lambda provider, sections: _verifies_nothing(provider) and _nobody_looks_at_proofs(sections),
        "nothing of this provider is verified by its keys, and no route looks at a DPoP proof; take this out, or write "
        "validation: jwt_then_introspection",
    ),
    IdleKey(
        ("tls",),
        _has_no_https,
        "no URL of this provider is https, so that there is no TLS; write https://, or take this out",
    ),
)
