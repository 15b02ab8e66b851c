"""Each key of the file either always has an effect, or `gateway check` warns where another key takes it away."""

import datetime as dt
import re
from pathlib import Path

import pytest
import trustme

from gateway.config.keys import keys_below
from gateway.config.load import load_text, warnings_of
from gateway.config.model import Config
from gateway.config.no_effect import keys_told

NOW_S = 1_700_000_000.0
SECRET = "0123456789abcdef"
REDIS = f"cache: {{redis: 'redis://r', secret: {SECRET}}}\n"
TWO = "[http://a, http://b]"

# Why a key is never without effect, and the keys of which that is true.
ALWAYS = {
    "it says where the gateway listens, or how it runs": """
        server.listen server.workers server.tls.certificate server.tls.key server.header_timeout
        server.idle_timeout server.drain_delay server.shutdown_timeout server.max_header_bytes server.max_headers
        server.min_body_rate server.max_connections server.fast_path server.watch server.problem_types
        admin.listen admin.token admin.cors.allow_origins decisions.listen log.level log.access log.format
        telemetry.otlp telemetry.sample telemetry.service""",
    "without what it needs it is an error": """
        server.proxy_protocol providers.realms providers.events.issuer providers.events.jwks_uri
        providers.events.audience providers.events.authorization routes.identity.token.header
        routes.identity.token.audience routes.identity.token.ttl routes.identity.token.claims routes.identity.answer
        routes.on_success routes.limits""",
    "gateway token and gateway introspect use it, too": """
        providers.token_endpoint providers.client_id providers.client_auth""",
    "each token of the provider is judged by it": """
        providers.issuer providers.validation providers.claims.scope providers.claims.roles providers.claims.groups
        providers.claims.client_id providers.claims.audience providers.leeway""",
    "each call to the provider is made by it, also for its keys": "providers.timeout providers.proxy",
    "the cache, or what the events arrive by": """
        cache.redis cache.ttl cache.max_entries events.from events.prefix events.repeat_after""",
    "a limit is made of it, and a limit that no route has is warned of as a whole": "limits.rate limits.burst",
    "each request is matched, or each backend reached by it": """
        routes.name routes.match.host routes.match.path routes.match.methods routes.backend.url routes.backend.tls.ca
        routes.backend.tls.certificate routes.backend.tls.key routes.backend.tls.server_name
        routes.allow_path_parameters routes.max_body routes.request_headers.set routes.request_headers.remove""",
    "each caller is judged by it, and without a token it is an error": """
        routes.auth.mode routes.auth.provider routes.auth.token_from routes.auth.scopes routes.auth.audience
        routes.auth.issuer routes.auth.roles routes.auth.groups routes.auth.permissions.resource
        routes.auth.permissions.scopes routes.auth.permissions.audience routes.auth.details routes.auth.acr
        routes.auth.max_auth_age routes.auth.claims routes.auth.proof""",
    "the gateway answers by it": """
        routes.resource.identifier routes.resource.scopes routes.resource.name routes.cors.allow_origins
        routes.cors.allow_methods routes.cors.allow_headers routes.cors.expose_headers routes.cors.allow_credentials
        routes.cors.max_age""",
    "its names are also removed from what clients send": "routes.identity.headers",
}


def route(keys: str, backend: str = "http://a") -> str:
    return f"{{name: a, auth: {{audience: [a]}}, backend: {backend}, {keys}}}"


def guarded(keys: str, more: str = "") -> str:
    return f"{{name: a, auth: {{audience: [a], {keys}}}, backend: http://a{more}}}"


def file(*routes: str, top: str = "", provider: str = "", issuer: str = "https://sso") -> str:
    """A file with one provider in line 1, its routes from line 3 on, and more of the top behind them."""
    head = f"providers: {{sso: {{issuer: '{issuer}', client_id: g, client_secret: {SECRET}{provider}}}}}\nroutes:\n"
    return head + "".join(f"  - {one}\n" for one in routes or (guarded(""),)) + top


def beside(keys: str) -> str:
    """A route that only answers other proxies."""
    return file(f"{{name: a, auth: {{audience: [a]}}, {keys}}}", top="decisions: {listen: '127.0.0.1:9191'}\n")


def jwt(keys: str, *routes: str) -> str:
    return file(*routes, provider=f", validation: jwt{keys}", top="events: {}\n")


PERMISSIONS = guarded("permissions: [{resource: a}]")
UNGUARDED = "{name: a, auth: none, backend: http://a}"
UNPROVEN = guarded("proof: ignore")
# For each key that can be without effect: its place in the warning, a file where it has none, one where it has.
IDLE = [
    (
        "server.trusted_headers",
        file(top="server: {trusted_headers: [X-Real-IP]}\n"),
        file(top="server: {trusted_headers: [X-Real-IP], trusted_proxies: [10.0.0.1]}\n"),
    ),
    (
        "server.tls.client_certificate",
        file(top="server: {tls: {certificate: cert.pem, key: key.pem, client_certificate: demand}}\n"),
        file(top="server: {tls: {certificate: cert.pem, key: key.pem, client_certificate: ask}}\n"),
    ),
    (
        "server.tls.client_ca",
        file(top="server: {tls: {certificate: cert.pem, key: key.pem, client_ca: ca.pem, client_certificate: ask}}\n"),
        file(top="server: {tls: {certificate: cert.pem, key: key.pem, client_ca: ca.pem}}\n"),
    ),
    (
        "server.dpop_nonce",
        file(UNPROVEN, top="server: {dpop_nonce: true}\n"),
        file(UNPROVEN, "{name: b, match: {path: /b}, backend: http://a}", top="server: {dpop_nonce: true}\n"),
    ),
    (
        "server.client_certificate_header",
        file(
            guarded("token_from: [{header: X-T}]"),
            top="server: {trusted_proxies: [10.0.0.1], client_certificate_header: {name: X-C, form: xfcc}}\n",
        ),
        file(top="server: {trusted_proxies: [10.0.0.1], client_certificate_header: {name: X-C, form: xfcc}}\n"),
    ),
    (
        "server.max_connections_per_network",
        file(top="server: {listen: 'unix:/run/g', max_connections_per_network: 9}\n"),
        file(top="server: {max_connections_per_network: 9}\n"),
    ),
    (
        "server.max_body",
        file(route("max_body: 1MiB"), top="server: {max_body: 2MiB}\n"),
        file(top="server: {max_body: 2MiB}\n"),
    ),
    (
        "server.unknown_tokens",
        file(UNGUARDED, top="server: {unknown_tokens: {rate: 9}}\n"),
        file(top="server: {unknown_tokens: {rate: 9}}\n"),
    ),
    (
        "server.trusted_proxies[1]",
        file(top="server: {trusted_proxies: [10.0.0.1, unix]}\n"),
        file(top="server: {listen: 'unix:/run/g', trusted_proxies: [10.0.0.1, unix]}\n"),
    ),
    (
        "server.trusted_proxies[0]",
        file(top="server: {listen: 'unix:/run/g', trusted_proxies: [10.0.0.1]}\n"),
        file(top="server: {trusted_proxies: [10.0.0.1]}\n"),
    ),
    (
        "cache.secret",
        file(top=f"cache: {{secret: {SECRET}}}\n"),
        file(top=f"cache: {{secret: {SECRET}}}\nserver: {{dpop_nonce: true}}\n"),
    ),
    ("cache.timeout", file(top="cache: {timeout: 9ms}\n"), file(top=REDIS.replace("}", ", timeout: 9ms}"))),
    ("cache.clock_skew", file(top="cache: {clock_skew: 9s}\n"), file(top=REDIS.replace("}", ", clock_skew: 9s}"))),
    (
        "cache.refresh_ahead",
        file(top="cache: {ttl: 0s, refresh_ahead: 0.8}\n"),
        file(top="cache: {refresh_ahead: 0.8}\n"),
    ),
    (
        "cache.inactive_ttl",
        jwt("") + "cache: {inactive_ttl: 9s}\n",
        jwt("", PERMISSIONS) + "cache: {inactive_ttl: 9s}\n",
    ),
    (
        "providers.sso.introspection",
        jwt(", introspection: {accept: jwt}"),
        file(provider=", introspection: {accept: jwt}"),
    ),
    (
        "providers.sso.introspection_endpoint",
        jwt(", introspection_endpoint: https://sso/i"),
        file(provider=", introspection_endpoint: https://sso/i"),
    ),
    (
        "providers.sso.require_token_type",
        jwt(", require_token_type: true"),
        file(provider=", require_token_type: true"),
    ),
    ("providers.sso.max_concurrency", jwt(", max_concurrency: 9"), jwt(", max_concurrency: 9", PERMISSIONS)),
    ("providers.sso.max_waiting", jwt(", max_waiting: 9"), file(provider=", max_waiting: 9")),
    ("providers.sso.breaker", jwt(", breaker: {failures: 9}"), file(provider=", breaker: {failures: 9}")),
    ("providers.sso.client_secret", file(provider=", client_auth: none"), file()),
    ("providers.sso.private_key_id", file(provider=", private_key_id: k"), file()),
    ("providers.sso.private_key_file", file(provider=", private_key_file: key.pem"), file()),
    (
        "providers.sso.jwks_uri",
        file(provider=", jwks_uri: https://sso/k"),
        file(provider=", jwks_uri: https://sso/k", top="events: {}\n"),
    ),
    (
        "providers.sso.algorithms",
        file(UNPROVEN, provider=", algorithms: [ES256]"),
        file(provider=", algorithms: [ES256]"),
    ),
    (
        "providers.sso.tls",
        file(provider=", tls: {server_name: b}", issuer="http://127.0.0.1"),
        file(provider=", tls: {server_name: b}"),
    ),
    (
        "providers.other",
        file(guarded("provider: sso"), top="").replace("{sso:", "{other: {issuer: 'https://o', validation: jwt}, sso:"),
        file(guarded("provider: [sso, other]"), top="").replace(
            "{sso:", "{other: {issuer: 'https://o', validation: jwt}, sso:"
        ),
    ),
    (
        "limits.l",
        file(top="limits: {l: {rate: 9/1s}}\n"),
        file(route("limits: l"), top="limits: {l: {rate: 9/1s}}\n"),
    ),
    (
        "limits.l.by",
        file(UNGUARDED.replace("}", ", limits: l}"), top="limits: {l: {rate: 9/1s, by: sub}}\n"),
        file(UNGUARDED.replace("}", ", limits: l}"), top="limits: {l: {rate: 9/1s, by: address}}\n"),
    ),
    (
        "limits.l.on_redis_error",
        file(route("limits: l"), top="limits: {l: {rate: 9/1s, on_redis_error: local}}\n"),
        file(route("limits: l"), top="limits: {l: {rate: 9/1s, on_redis_error: local}}\n" + REDIS),
    ),
    (
        "signing",
        file(top="signing: {key_file: key.pem, issuer: https://g}\n"),
        file(route("identity: {token: {audience: a}}"), top="signing: {key_file: key.pem, issuer: https://g}\n"),
    ),
    (
        "defaults.timeout",
        file(route("timeout: 9s"), top="defaults: {timeout: 8s}\n"),
        file(route("retries: 0"), top="defaults: {timeout: 8s}\n"),
    ),
    (
        "defaults.auth.audience",
        file(top="defaults: {auth: {audience: [b]}}\n"),
        file("{name: a, backend: http://a}", top="defaults: {auth: {audience: [b]}}\n"),
    ),
    (
        "routes[0].auth.stale_methods",
        file(guarded("stale_methods: [GET]")),
        file(guarded("stale_methods: [GET], stale_if_error: 1m")),
    ),
    (
        "routes[0].auth.stale_if_error",
        file(guarded("stale_if_error: 1m", ", match: {methods: [POST]}")),
        file(guarded("stale_if_error: 1m", ", match: {methods: [POST, HEAD]}")),
    ),
    ("routes[0].auth.max_age", file(guarded("max_age: 61s")), file(guarded("max_age: 60s"))),
    (
        "routes[0].auth.any_scope",
        file(guarded("scopes: [a, b], any_scope: [b, c]")),
        file(guarded("scopes: [a, b], any_scope: [c, d]")),
    ),
    (
        "routes[0].auth.streams",
        beside("auth: {audience: [a], streams: keep}").replace("auth: {audience: [a]}, ", ""),
        file(guarded("streams: keep")),
    ),
    ("routes[0].balance", file(route("balance: least_requests")), file(route("balance: least_requests", TWO))),
    (
        "routes[0].backend.weight",
        file(route("retries: 0", "{url: http://a, weight: 9}")),
        file(route("retries: 0", "[{url: http://a, weight: 9}, http://b]")),
    ),
    ("routes[0].outliers.eject", file(route("outliers: {eject: 9s}")), file(route("outliers: {eject: 9s}", TWO))),
    (
        "routes[0].outliers.max_ejected",
        file(route("outliers: {max_ejected: 50%}")),
        file(route("outliers: {max_ejected: 50%}", TWO)),
    ),
    (
        "routes[0].outliers.max_ejected",
        file(route("outliers: {max_ejected: 49%}", TWO)),
        file(route("outliers: {max_ejected: 49%}", "[http://a, http://b, http://c]")),
    ),
    (
        "routes[0].allow_encoded_slash",
        file(route("allow_encoded_slash: true, match: {path: /a}")),
        file(route("allow_encoded_slash: true, match: {path: '/a/{b}'}")),
    ),
    (
        "routes[0].authorization",
        file(guarded("token_from: [{header: X-T}]", ", authorization: keep")),
        file(guarded("token_from: [{header: X-T}, authorization]", ", authorization: keep")),
    ),
    ("routes[0].connect_timeout", file(route("connect_timeout: 31s")), file(route("connect_timeout: 29s"))),
    (
        "routes[0].retries",
        file(route("retries: 2, match: {methods: [POST, PATCH]}")),
        file(route("retries: 2, match: {methods: [POST, PUT]}")),
    ),
    *(
        (f"routes[0].{key}", beside(f"{key}: {value}"), file(route(f"{key}: {value}", TWO)))
        for key, value in {
            "balance": "least_requests",
            "health": "{path: /h}",
            "outliers": "{failures: 9}",
            "strip_prefix": "/a, match: {path: /a/**}",
            "rewrite": "/a",
            "preserve_host": "true",
            "response_headers": "{remove: [Server]}",
            "timeout": "9s",
            "connect_timeout": "1s",
            "read_timeout": "9s",
            "retries": "2",
            "connection_max_age": "9s",
        }.items()
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    authority, end = trustme.CA(), dt.datetime.fromtimestamp(NOW_S, dt.UTC) + dt.timedelta(days=90)
    pair = authority.issue_cert("localhost", not_after=end)
    pair.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "cert.pem").write_bytes(pair.cert_chain_pems[0].bytes())
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return folder


def warned(text: str, folder: Path) -> list[str]:
    found = warnings_of(text, "gateway.yaml", environ={}, directory=folder, now_s=NOW_S)
    return [f"{problem.place}: {problem.what}" for problem in found]


@pytest.mark.parametrize(("place", "idle", "in_force"), IDLE, ids=[f"{n}-{case[0]}" for n, case in enumerate(IDLE)])
def test_a_key_without_effect_is_warned_of_and_one_with_effect_is_not(folder, place, idle, in_force):
    load_text(idle, "gateway.yaml", environ={}, directory=folder)  # it can be used
    told = {line for line in warned(idle, folder) if line.startswith(f"{place}: ")} - set(warned(in_force, folder))
    assert told, warned(idle, folder)
    assert all("; " in line for line in told)


def test_each_key_is_warned_of_or_said_to_have_an_effect_always():
    always = [tuple(key.split(".")) for keys in ALWAYS.values() for key in keys.split()]
    as_a_whole = {("providers",), ("limits",)}  # entries that nobody names
    told = keys_told() - as_a_whole
    ends = [key.path for key in keys_below(Config) if key.inner is None]
    untold = [path for path in ends if not any(path[:length] in told for length in range(1, len(path) + 1))]
    assert sorted(always) == sorted(untold)


def test_each_key_that_is_warned_of_has_its_example_here():
    names = ("sso", "other", "l")
    shown = [re.sub(r"\[.\]|_file$", "", place).split(".") for place, _, _ in IDLE]
    assert keys_told() <= {tuple(part for part in path if part not in names) for path in shown}


@pytest.mark.parametrize(
    "text",
    [
        file(top="defaults: {retries: 0, outliers: {max_ejected: 10%}, balance: least_requests}\n"),
        file(top="server: {trusted_headers: [], dpop_nonce: false, trusted_proxies: []}\n"),
        file(route("limits: [], preserve_host: false")),
        file(top="defaults: {}\n"),
    ],
)
def test_what_a_default_says_for_other_routes_and_what_is_turned_off_is_left_alone(folder, text):
    assert warned(text, folder) == []
