"""The words of other gateways for the keys of this file, so that a message can answer with ours.

A word is looked up by the section that it stands in. Where the key that it means is there, the message names the key;
where nothing like it is, the message says how this gateway does it.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.model_base import Model


@dataclass(frozen=True, slots=True)
class ForeignWord:
    """`key`: what means the same here; empty for none. `instead`: what to write where no such key is known."""

    key: str
    instead: str


_BACKEND = ForeignWord("backend", "write backend: http://orders:8000")
_NAME = ForeignWord("name", "write name: orders")
_PATH = ForeignWord("", "write match: {path: /orders/**}")
_HOST = ForeignWord("", "write match: {host: api.example.com}")
_METHODS = ForeignWord("", "write match: {methods: [GET]}")
_VERIFIED = ForeignWord("", "leave it out: certificates are always verified; write tls: {ca: ca.pem} for your own")
_LISTEN = ForeignWord("listen", "write listen: 0.0.0.0:8080")
_LISTEN_THERE = ForeignWord("", "write server: {listen: 0.0.0.0:8080}")
_NO_PLUGINS = ForeignWord("", "there are no plugins: write auth, identity, cors or request_headers")
_IN_ROUTES = ForeignWord("", "write each backend into its route: routes: [{name: …, backend: …}]")
_ISSUER = ForeignWord("issuer", "write issuer: https://…")

_ROUTE = {
    **dict.fromkeys(
        ["upstream", "upstreams", "url", "uri", "target", "targets", "service", "to", "proxy_pass", "destination",
         "loadbalancer", "load_balancer", "servers", "cluster"],
        _BACKEND,
    ),
    **dict.fromkeys(["id", "route_id"], _NAME),
    **dict.fromkeys(["paths", "prefix", "path_prefix", "location", "rule"], _PATH),
    **dict.fromkeys(["hosts", "domains", "server_name"], _HOST),
    **dict.fromkeys(["method", "verbs"], _METHODS),
    **dict.fromkeys(["tls_skip_verify", "insecure_skip_verify", "skip_verify", "ssl_verify", "tls_verify"], _VERIFIED),
    **dict.fromkeys(["plugins", "middlewares", "middleware", "filters", "handle", "authenticators"], _NO_PLUGINS),
    **dict.fromkeys(["priority", "order"], ForeignWord("", "leave it out: the most specific route wins")),
    **dict.fromkeys(
        ["weight", "weights"], ForeignWord("", "write it at the backend: [{url: http://orders:8000, weight: 3}]")
    ),
    **dict.fromkeys(["lb_policy", "algorithm", "load_balancing"], ForeignWord("balance", "")),
    **dict.fromkeys(
        ["health_check", "healthcheck", "health_checks", "healthchecks"],
        ForeignWord("health", "write health: {path: /health}"),
    ),
    **dict.fromkeys(
        ["rate_limit", "rate_limits", "ratelimit", "rate_limiting", "throttle"],
        ForeignWord("limits", "leave it out: there are no limits but server.unknown_tokens"),
    ),
    **dict.fromkeys(["strip_path", "stripPrefix", "strip"], ForeignWord("strip_prefix", "write strip_prefix: /api")),
    **dict.fromkeys(
        ["rewrite_path", "path_rewrite", "url_rewrite", "replace_path"],
        ForeignWord("rewrite", "write rewrite: /v2/{**}"),
    ),
    **dict.fromkeys(["retry", "attempts"], ForeignWord("retries", "write retries: 1")),
    **dict.fromkeys(["passHostHeader", "pass_host_header"], ForeignWord("preserve_host", "write preserve_host: true")),
}  # fmt: skip
_WORDS: dict[str, dict[str, ForeignWord]] = {
    "Route": _ROUTE,
    "BackendSettings": {
        **dict.fromkeys(["uri", "address", "target", "host", "upstream", "server"], ForeignWord("url", "")),
        **dict.fromkeys(["tls_skip_verify", "insecure_skip_verify", "skip_verify", "ssl_verify"], _VERIFIED),
    },
    "Match": {
        **dict.fromkeys(["paths", "prefix", "path_prefix", "uri", "url", "location"], ForeignWord("path", "")),
        **dict.fromkeys(["hosts", "domains", "server_name"], ForeignWord("host", "write host: api.example.com")),
        **dict.fromkeys(["method", "verbs"], ForeignWord("methods", "write methods: [GET]")),
        **dict.fromkeys(["regex", "path_regex"], ForeignWord("path", "")),
    },
    "Auth": {
        **dict.fromkeys(["aud", "audiences", "allowed_audiences"], ForeignWord("audience", "")),
        **dict.fromkeys(
            ["required_scope", "required_scopes", "scope"], ForeignWord("scopes", "write scopes: [orders:read]")
        ),
        **dict.fromkeys(["role", "required_roles", "groups"], ForeignWord("roles", "write roles: [manager]")),
        **dict.fromkeys(["iss", "issuers", "trusted_issuers"], ForeignWord("issuer", "write issuer: https://…")),
        **dict.fromkeys(["type", "enabled", "required"], ForeignWord("mode", "write mode: required")),
    },
    "Provider": {
        **dict.fromkeys(
            ["introspection_url", "introspect_url", "introspection_uri"],
            ForeignWord("introspection_endpoint", "write introspection_endpoint: https://…"),
        ),
        **dict.fromkeys(["token_url", "token_uri"], ForeignWord("token_endpoint", "write token_endpoint: https://…")),
        **dict.fromkeys(["jwks_url", "jwks"], ForeignWord("jwks_uri", "write jwks_uri: https://…")),
        **dict.fromkeys(
            ["url", "discovery", "discovery_url", "well_known", "oidc_issuer_url", "issuer_url", "authority", "iss"],
            _ISSUER,
        ),
        "realm": ForeignWord("", "write the realm as a part of issuer: https://sso.example.com/realms/demo"),
        **dict.fromkeys(["id", "client"], ForeignWord("client_id", "write client_id: gateway")),
        **dict.fromkeys(["secret", "password"], ForeignWord("client_secret", "write client_secret: ${NAME}")),
        **dict.fromkeys(["tls_skip_verify", "insecure_skip_verify", "skip_verify", "ssl_verify"], _VERIFIED),
        "token_endpoint_auth_method": ForeignWord("client_auth", "write client_auth: client_secret_basic"),
    },
    "Server": {
        **dict.fromkeys(["port", "host", "address", "bind", "addr", "listeners"], _LISTEN),
        **dict.fromkeys(["ssl", "https"], ForeignWord("tls", "write tls: {certificate: cert.pem, key: key.pem}")),
        **dict.fromkeys(["rate_limit", "rate_limits"], ForeignWord("unknown_tokens", "")),
    },
    "Admin": dict.fromkeys(["port", "host", "address", "bind", "addr"], _LISTEN),
    "Tls": {
        **dict.fromkeys(["cert", "crt", "cert_file", "certfile", "ssl_certificate"], ForeignWord("certificate", "")),
        **dict.fromkeys(["key_file", "keyfile", "private_key", "ssl_certificate_key"], ForeignWord("key", "")),
        **dict.fromkeys(["ca", "ca_file", "client_cas"], ForeignWord("client_ca", "")),
    },
    "Cache": {
        **dict.fromkeys(["url", "redis_url", "host", "server"], ForeignWord("redis", "write redis://host:6379/0")),
        **dict.fromkeys(["negative_ttl"], ForeignWord("inactive_ttl", "write inactive_ttl: 10s")),
        **dict.fromkeys(["size", "max_size", "maxsize"], ForeignWord("max_entries", "write max_entries: 100000")),
    },
    "Config": {
        **dict.fromkeys(
            ["include", "includes", "import", "imports"],
            ForeignWord("", "write everything into this file, and what is shared under x-…: with an anchor"),
        ),
        **dict.fromkeys(["upstreams", "services", "clusters", "backends", "upstream"], _IN_ROUTES),
        **dict.fromkeys(["port", "host", "address", "bind", "addr"], _LISTEN_THERE),
        **dict.fromkeys(["http", "listeners", "entrypoints", "entryPoints", "serve"], ForeignWord("server", "")),
        **dict.fromkeys(["logging", "access_log", "accessLog"], ForeignWord("log", "")),
        **dict.fromkeys(["metrics", "dashboard"], ForeignWord("admin", "")),
        **dict.fromkeys(["oidc", "identity_providers", "idp", "auth_providers"], ForeignWord("providers", "")),
        **dict.fromkeys(["rules", "access_rules", "locations", "apis"], ForeignWord("routes", "")),
        **dict.fromkeys(["plugins", "middlewares", "filters", "authenticators", "mutators"], _NO_PLUGINS),
    },
}  # fmt: skip


def foreign_word(model: type[Model], word: str) -> ForeignWord | None:
    """What `word` means in a section of the type `model`."""
    return _WORDS.get(model.__name__, {}).get(word)
