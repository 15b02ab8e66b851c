import os

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.configuration import PROVIDER, ROUTE, lines, loaded, with_route

from gateway.config.load import describe_problems, load
from gateway.config.problems import ConfigError, Problem
from gateway.config.route_model import IdentitySettings
from gateway.config.values import Address


def test_the_shortest_file_has_every_default():
    config = loaded(PROVIDER + ROUTE)
    [route] = config.routes
    assert config.server.listen == Address("0.0.0.0", 8080)
    assert (str(route.match.path), route.match.host, route.match.methods) == ("/**", None, None)
    assert (route.auth.mode, route.timeout, route.retries) == ("required", 30.0, 1)
    assert route.identity == IdentitySettings()
    assert config.providers["p"].client_secret.get_secret_value() == "hush-hush"


def test_a_section_with_nothing_in_it_is_as_good_as_absent():
    assert loaded("server:\nadmin:\ncache:\nlog:\ndefaults:\n" + PROVIDER + ROUTE) == loaded(PROVIDER + ROUTE)


def test_numbers_flags_and_words_may_come_from_the_environment():
    text = """
    server: {workers: "${N}", max_headers: "${M}", max_body: "${B}"}
    log: {level: "${L}", access: "${A}"}
    providers: {p: {issuer: "${I}", client_id: gw, client_auth: none, timeout: "${T:-3s}"}}
    routes: [{name: a, backend: "http://${H}:${P}", retries: "${R:-0}", auth: "${MODE}"}]
    """
    environ = {"N": "2", "M": "50", "B": "unlimited", "L": "debug", "A": "false", "I": "https://i.example"}
    config = loaded(text, {**environ, "H": "orders", "P": "8000", "MODE": "optional"})
    assert (config.server.workers, config.server.max_headers, config.server.max_body) == (2, 50, None)
    assert (config.log.level, config.log.access) == ("debug", False)
    assert config.providers["p"].timeout == 3.0
    assert str(config.routes[0].backend[0]) == "http://orders:8000"
    assert (config.routes[0].retries, config.routes[0].auth.mode) == (0, "optional")


def test_yaml_1_1_booleans_are_booleans_where_one_belongs():
    assert (
        loaded(PROVIDER + "log: {access: off}\nroutes: [{name: a, backend: http://a, preserve_host: yes}]")
        .routes[0]
        .preserve_host
    )


def test_the_servers_body_limit_is_that_of_routes_that_say_none():
    text = PROVIDER + "server: {max_body: 5MiB}\n"
    routes = "routes: [{name: a, match: {path: /a}, backend: http://a}, {name: b, backend: http://b, max_body: 1KiB}]"
    assert [r.max_body for r in loaded(text + routes).routes] == [5 * 2**20, 2**10]
    assert [r.max_body for r in loaded(text + "defaults: {max_body: unlimited}\n" + routes).routes] == [None, 2**10]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("server: {workrs: 3}", ["1: server.workrs: unknown key; did you mean workers?"]),
        (
            "log: {zzzzz: 1}",
            ["1: log.zzzzz: unknown key; write one of level, access, format"],
        ),
        (
            "servers: {}",
            ["1: servers: unknown key; did you mean server?"],
        ),
        (
            "server:\n  listen: nonsense\n  workers: 0\n  max_headers: many\n  idle_timeout: 75",
            [
                (
                    "2: server.listen: 'nonsense' is not an address to listen on; "
                    "write host:port such as 0.0.0.0:8080, or unix:/path"
                ),
                "3: server.workers: 0 is not a number of processes; write 1 to 256, or auto",
                "4: server.max_headers: 'many' is not a whole number; write digits such as 100",
                "5: server.idle_timeout: 75 is not a duration; write 75s",
            ],
        ),
        ("server: {max_headers: 0}", ["1: server.max_headers: 0 is too little; write 1 or more"]),
        (
            "server: {max_headers: true}",
            ["1: server.max_headers: true is not a whole number; write digits such as 100"],
        ),
        ("server: {header_timeout: 0s}", ["1: server.header_timeout: '0s' is too little; write more than 0"]),
        (
            "server: {max_body: }",
            ["1: server.max_body: this is empty; write a number and a unit: 64KiB, 10MiB or 1GiB, or unlimited"],
        ),
        ("server: [a]", ["1: server: a list stands where a mapping belongs; write key: value"]),
        ("server: 5", ["1: server: a number stands where a mapping belongs; write key: value"]),
        (
            "server: {tls: {certificate: 5}}",
            [
                (
                    "1: server.tls.certificate: a number stands where a text belongs; "
                    "write a text, in quotes if it looks like a number"
                ),
                "1: server.tls.key: is missing; write key: key.pem",
            ],
        ),
        (
            "server:\n  trusted_proxies:\n    - 10.0.0.0/8\n    - 10.0.0.1/8\n    - proxy",
            [
                (
                    "4: server.trusted_proxies[1]: '10.0.0.1/8' has bits set behind its prefix, "
                    "which is likely a slip; write 10.0.0.0/8"
                ),
                "5: server.trusted_proxies[2]: 'proxy' is not a network; write one such as 10.0.0.0/8 or 2001:db8::/32",
            ],
        ),
        (
            "server: {trusted_proxies: 10.0.0.0/8}",
            [
                (
                    "1: server.trusted_proxies: a text stands where a list belongs; "
                    "write [one, two], or a line with - for each"
                )
            ],
        ),
        ("log: {level: INFO}", ["1: log.level: 'INFO' is not one of debug, info, warning, error; write info"]),
        ("log: {access: maybe}", ["1: log.access: 'maybe' is neither true nor false; write one of these"]),
        (
            "server: {proxy_protocol: v2, fast_path: never}",
            [
                "1: server.fast_path: 'never' is neither true nor false; write one of these",
                "1: server.proxy_protocol: 'v2' is neither true nor false; write one of these",
            ],
        ),
        (
            "admin: {token: 12345}",
            ["1: admin.token: a number stands where a text belongs; write a text, in quotes if it looks like a number"],
        ),
        (
            "cache: {max_entries: 0, timeout: 0ms}",
            [
                "1: cache.max_entries: 0 is too little; write 1 or more",
                "1: cache.timeout: '0ms' is too little; write more than 0",
            ],
        ),
        (
            "cache: {redis: redis://h}",
            [
                "1: cache: redis is shared, so its keys and entries need a secret; write secret or secret_file",
            ],
        ),
        (
            "server: {unknown_tokens: {rate: 0, brust: 5}}",
            [
                "1: server.unknown_tokens.brust: unknown key; did you mean burst?",
                "1: server.unknown_tokens.rate: 0 is too little; write 1 or more",
            ],
        ),
        (
            "server: {unknown_tokens: 200}",
            ["1: server.unknown_tokens: a number stands where a mapping belongs; write key: value"],
        ),
        (
            "admin: {cors: {allow_origins: [https://app.example.com/]}}",
            [
                (
                    "1: admin.cors.allow_origins[0]: 'https://app.example.com/' is not an origin; "
                    "write scheme://host in small letters, without path or wildcard, or only *"
                )
            ],
        ),
    ],
)
def test_sections(text, expected):
    assert lines(text + "\n" + PROVIDER + ROUTE) == expected


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        (
            "{}",
            [
                "1: providers.p.client_id: is missing; write client_id: and the name of the gateway at the provider",
                (
                    "1: providers.p: client_auth client_secret_basic needs a secret; "
                    "write client_secret or client_secret_file"
                ),
                "1: providers.p: neither issuer nor introspection_endpoint is named; write issuer: https://…",
            ],
        ),
        (
            "{issuer: https://i, client_id: gw, client_auth: private_key_jwt}",
            ["1: providers.p: client_auth private_key_jwt needs a key; write private_key or private_key_file"],
        ),
        (
            "{issuer: https://i, client_id: gw, client_auth: private_key, private_key: x}",
            [
                (
                    "1: providers.p.client_auth: 'private_key' is not one of client_secret_basic, client_secret_post, "
                    "client_secret_jwt, private_key_jwt, none; write private_key_jwt"
                ),
                (
                    "1: providers.p.private_key: this is not a private key in PEM without a passphrase; "
                    "write -----BEGIN PRIVATE KEY-----…"
                ),
            ],
        ),
        (
            "{issuer: sso.example.com, client_id: gw, client_secret: s}",
            [
                (
                    "1: providers.p.issuer: 'sso.example.com' is not an http or https URL with a host; "
                    "write a URL such as https://sso.example.com/realms/demo"
                )
            ],
        ),
        ("[]", ["1: providers.p: a list stands where a mapping belongs; write key: value"]),
        (
            (
                "{issuer: https://i, client_id: gw, client_secret: s, max_waiting: -1, "
                "breaker: {failures: 0, failure_rate: 50%, window: 0s, interval: 5}}"
            ),
            [
                (
                    "1: providers.p.breaker.failure_rate: '50%' is not a part of a whole; "
                    "write a number above 0 and up to 1, such as 0.5"
                ),
                "1: providers.p.breaker.failures: 0 is too little; write 1 or more",
                "1: providers.p.breaker.interval: 5 is not a duration; write 5s",
                "1: providers.p.breaker.window: '0s' is too little; write more than 0",
                "1: providers.p.max_waiting: -1 is too little; write 0 or more",
            ],
        ),
        ("{issuer: https://i, client_id: gw, client_secret: s, breaker: null}", []),
        ("{issuer: https://i, client_id: gw, client_secret: s, leeway: 5m, require_token_type: true}", []),
        ("{issuer: https://i, client_id: gw, client_secret: s, leeway: null, require_token_type: auto}", []),
        (
            "{issuer: https://i, client_id: gw, client_secret: s, leeway: 301s, require_token_type: Bearer}",
            [
                "1: providers.p.leeway: '301s' is too much; write 300s or less",
                "1: providers.p.require_token_type: 'Bearer' is none of these; write auto, true or false",
            ],
        ),
        (
            "{issuer: https://i/realms/demo/.well-known/openid-configuration, client_id: gw, client_secret: s}",
            [
                (
                    "1: providers.p.issuer: 'https://i/realms/demo/.well-known/openid-configuration' is the address of "
                    "a discovery document; write the issuer: https://i/realms/demo"
                )
            ],
        ),
        (
            "{issuer: https://i/.well-known/oauth-authorization-server/demo, client_id: gw, client_secret: s}",
            [
                (
                    "1: providers.p.issuer: 'https://i/.well-known/oauth-authorization-server/demo' is the address of "
                    "a discovery document; write the issuer: https://i/demo"
                )
            ],
        ),
        ("{issuer: https://i, validation: jwt}", []),
        ("{issuer: https://i, validation: jwt, jwks_uri: https://i/keys, algorithms: [ES256]}", []),
        ("{issuer: https://i, validation: jwt_then_introspection, client_id: gw, client_secret: s}", []),
        (
            "{validation: jwt, jwks_uri: https://i/keys}",
            ["1: providers.p: validation jwt needs the iss of its tokens; write issuer: https://…"],
        ),
        (
            "{issuer: https://i, validation: jwt_then_introspection}",
            [
                "1: providers.p.client_id: is missing; write client_id: and the name of the gateway at the provider",
                (
                    "1: providers.p: client_auth client_secret_basic needs a secret; "
                    "write client_secret or client_secret_file"
                ),
            ],
        ),
        (
            "{issuer: https://i, validation: jwt, algorithms: [HS256, none, RS1, RS256]}",
            [
                (
                    "1: providers.p.algorithms[0]: with 'HS256' whoever verifies a token can make one; write one of "
                    "ES256, ES384, ES512, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512"
                ),
                (
                    "1: providers.p.algorithms[1]: a token without a signature is anybody's; write one of "
                    "ES256, ES384, ES512, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512"
                ),
                (
                    "1: providers.p.algorithms[2]: 'RS1' is not an algorithm that is verified here; write one of "
                    "ES256, ES384, ES512, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512"
                ),
            ],
        ),
        (
            "{issuer: https://i, validation: jwt, algorithms: []}",
            ["1: providers.p.algorithms: the list is empty; write at least one, or leave the key out"],
        ),
        ("{issuer: 'https://i/{realm}', validation: jwt, realms: [a, b-2.c_~]}", []),
        (
            "{issuer: 'https://i/{realm}', validation: jwt, realms: [a, ../b, .., a b, '']}",
            [
                f"1: providers.p.realms[{index}]: {shown} is not a realm; write up to 100 letters, digits and - . _ ~"
                for index, shown in ((1, "'../b'"), (2, "'..'"), (3, "'a b'"), (4, "''"))
            ],
        ),
        (
            "{issuer: 'https://i/{realm}', validation: jwt, realms: [a, b, a]}",
            ["1: providers.p.realms: one realm stands there twice; write each once"],
        ),
        (
            "{issuer: 'https://i/{realm}', jwks_uri: 'https://i/{realm}/keys', validation: jwt}",
            [
                (
                    f"1: providers.p.{key}: {{realm}} stands for one of realms, and there are none; "
                    "write realms: [a, b] beside it"
                )
                for key in ("issuer", "jwks_uri")
            ],
        ),
        (
            "{issuer: 'https://i/{realm}', jwks_uri: https://i/keys, validation: jwt, realms: [a]}",
            [
                (
                    "1: providers.p.jwks_uri: all realms would share it; write {realm} into it, as in "
                    "https://sso.example.com/realms/{realm}"
                )
            ],
        ),
        (
            "{issuer: https://i, validation: jwt, realms: [a, b]}",
            [
                (
                    "1: providers.p.issuer: all realms would share it; write {realm} into it, as in "
                    "https://sso.example.com/realms/{realm}"
                )
            ],
        ),
        (
            "{introspection_endpoint: 'https://i/{realm}', client_id: gw, client_secret: s, realms: [a, b]}",
            [("1: providers.p.realms: realms are told apart by their iss; write issuer: https://…/{realm} beside it")],
        ),
        (
            "{issuer: 'https://{realm}.example.com', validation: jwt, realms: [a]}",
            [
                (
                    "1: providers.p.issuer: 'https://{realm}.example.com' is not an http or https URL with a host; "
                    "write a URL such as https://sso.example.com/realms/demo"
                )
            ],
        ),
        ("{issuer: https://i, validation: jwt, claims: {scope: scp, roles: https://e.com/roles}}", []),
        (
            "{issuer: https://i, validation: jwt, claims: {scope: a..b, rolls: x}}",
            [
                ("1: providers.p.claims.rolls: unknown key; did you mean roles?"),
                (
                    "1: providers.p.claims.scope: 'a..b' is not a claim; write a name, or names joined by dots "
                    "such as realm_access.roles"
                ),
            ],
        ),
        (
            "{issuer: https://i, client_id: '', client_secret: [hush-hush]}",
            [
                "1: providers.p.client_id: the text is empty; write a value, or leave the key out",
                (
                    "1: providers.p.client_secret: a list stands where a text belongs; "
                    "write a text, in quotes if it looks like a number"
                ),
            ],
        ),
    ],
)
def test_providers(provider, expected):
    assert sorted(lines(f"providers: {{p: {provider}}}\n" + ROUTE)) == sorted(expected)


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("name: a", ["3: routes[0].backend: is missing; write backend: http://orders:8000"]),
        ("backend: http://a", ["3: routes[0].name: is missing; write name: orders, unique in the file"]),
        (
            "name: a b\nbackend: http://a",
            ["3: routes[0].name: 'a b' is not a name; write up to 100 letters, digits and _ . : -"],
        ),
        (
            "name: a\nbackend:\n  - http://a\n  - ftp://b\n  - http://c?x=1",
            [
                (
                    "6: routes[0].backend[1]: 'ftp://b' is not an http or https URL with a host; "
                    "write a URL such as http://orders:8000"
                ),
                (
                    "7: routes[0].backend[2]: 'http://c?x=1' carries a query or a fragment; "
                    "write a URL such as http://orders:8000"
                ),
            ],
        ),
        (
            "name: a\nbackend: []",
            ["4: routes[0].backend: the list is empty; write at least one, or leave the key out"],
        ),
        (
            "name: a\nbackend: http://user:hunter22@a",
            [
                (
                    "4: routes[0].backend: the URL carries a user or a password; "
                    "write it without, and the secret under its own key"
                )
            ],
        ),
        (
            "name: a\nbackend: http://a\nscopes: [x]",
            ["5: routes[0].scopes: unknown key here; write it under auth:"],
        ),
        (
            "name: a\nbackend: http://a\nauth:\n  mode: required\n  scope: [x]",
            ["7: routes[0].auth.scope: scope is called scopes here; write scopes: [orders:read]"],
        ),
        (
            "name: a\nbackend: http://a\nauth: requird",
            ["5: routes[0].auth: 'requird' is not one of required, optional, none; write required"],
        ),
        (
            "name: a\nbackend: http://a\nauth:",
            [
                (
                    "5: routes[0].auth: this is empty; "
                    "write auth: none for no tokens, or a mapping such as auth: {scopes: [orders:read]}"
                )
            ],
        ),
        ("name: a\nbackend: http://a\nauth: {scopes: orders:read, roles: a, audience: b, any_scope: c}", []),
        (
            "name: a\nbackend: http://a\nauth:\n  claims:\n    acr:\n      - x\n      - {x: 1}\n    a..b: 1\n    z: []",
            [
                (
                    "9: routes[0].auth.claims.acr[1]: a mapping cannot be compared; "
                    "write a text, a number, true or false, or a list of them"
                ),
                (
                    "10: routes[0].auth.claims.a..b: 'a..b' is not a claim; "
                    "write a name, or names joined by dots such as realm_access.roles"
                ),
                "11: routes[0].auth.claims.z: the list is empty, so no token could pass; write the accepted values",
            ],
        ),
        (
            "name: a\nbackend: http://a\nidentity:\n  headers:\n    X-User-Id: sub\n    x_user.id: sub\n",
            ["8: routes[0].identity.headers.x_user.id: x_user.id and X-User-Id are one header to a backend; keep one"],
        ),
        (
            "name: a\nbackend: http://a\nidentity:\n  headers:\n    X-User-Id: sub\n    XUserId: sub\n",
            ["8: routes[0].identity.headers.XUserId: XUserId and X-User-Id are one header to a backend; keep one"],
        ),
        (
            "name: a\nbackend: http://a\nrequest_headers:\n  set: {X-A: 1}\n  remove: ['--']\n",
            [
                (
                    "7: routes[0].request_headers.remove[0]: '--' has neither letter nor digit; "
                    "write a name such as X-User-Id"
                ),
            ],
        ),
        (
            "name: a\nbackend: http://a\nrequest_headers:\n  set: {X-A: 1, X!A: 2}\n",
            ["6: routes[0].request_headers.set['X!A']: X!A and X-A are one header to a backend; keep one"],
        ),
        (
            (
                "name: a\nbackend: http://a\nidentity:\n  headers:\n    Authorization: sub\n    x_forwarded_a: sub\n"
                "    X-Ok: []\n    X-Id: [sub, 5]\n    Te: x\n    B d: sub"
            ),
            [
                (
                    "7: routes[0].identity.headers.Authorization: Authorization has a meaning of its own on the wire; "
                    "write a name such as X-User-Id"
                ),
                (
                    "8: routes[0].identity.headers.x_forwarded_a: x_forwarded_a has a meaning of its own on the wire; "
                    "write a name such as X-User-Id"
                ),
                "9: routes[0].identity.headers.X-Ok: the list is empty; write at least one, or leave the key out",
                (
                    "10: routes[0].identity.headers.X-Id[1]: 5 is not a claim; "
                    "write a name, or names joined by dots such as realm_access.roles"
                ),
                (
                    "11: routes[0].identity.headers.Te: Te has a meaning of its own on the wire; "
                    "write a name such as X-User-Id"
                ),
                (
                    "12: routes[0].identity.headers['B d']: 'B d' is not a header name; "
                    "write letters, digits and dashes, such as X-User-Id"
                ),
            ],
        ),
        (
            "name: a\nbackend: http://a\nrequest_headers:\n  set:\n    X-A: []\n    Host: b\n  remove: [TE]",
            [
                (
                    "7: routes[0].request_headers.set.X-A: a list is not a header value; "
                    "write a text, in quotes where YAML reads something else"
                ),
                (
                    "8: routes[0].request_headers.set.Host: Host belongs to the connection, which the gateway keeps; "
                    "leave it out"
                ),
                (
                    "9: routes[0].request_headers.remove[0]: TE belongs to the connection, "
                    "which the gateway keeps; leave it out"
                ),
            ],
        ),
        (
            "name: a\nbackend: http://a\ncors: {allow_origins: ['*'], allow_credentials: true}",
            [
                (
                    "5: routes[0].cors: allow_credentials with the origin * would give every site the user's session; "
                    "name them"
                )
            ],
        ),
        (
            "name: a\nbackend: http://a\ncors: {allow_origins: [https://a.example:443]}",
            [
                (
                    "5: routes[0].cors.allow_origins[0]: browsers leave the port of https://a.example:443 out, "
                    "so it never matches; write https://a.example"
                )
            ],
        ),
        (
            "name: a\nbackend: http://a\nretries: 11\ntimeout: 0s\nmatch: {methods: [get], host: '*'}",
            [
                "5: routes[0].retries: 11 is too much; write 10 or less",
                "6: routes[0].timeout: '0s' is too little; write more than 0",
                (
                    "7: routes[0].match.host: '*' is not a host; "
                    "leave host out for any, or write *.example.com for all below"
                ),
                "7: routes[0].match.methods[0]: methods are case-sensitive and 'get' is not in capitals; write GET",
            ],
        ),
        (
            "name: a\nbackend: http://a\nauth: {stale_if_error: 300, stale_methods: [get]}",
            [
                "5: routes[0].auth.stale_if_error: 300 is not a duration; write 5m",
                (
                    "5: routes[0].auth.stale_methods[0]: methods are case-sensitive and 'get' is not in capitals; "
                    "write GET"
                ),
            ],
        ),
        (
            "name: a\nbackend: http://a\nauth: {mode: none, stale_if_error: 5m}",
            [
                (
                    "5: routes[0].auth.stale_if_error: with mode none no token is looked at; "
                    "take this out, or write mode: required"
                )
            ],
        ),
        (
            "name: a\nbackend: http://a\nmatch: /orders/**\nauth: false",
            [
                "5: routes[0].match: a text stands where a mapping belongs; write match: {path: /orders/**}",
                "6: routes[0].auth: true or false stands where a mapping belongs; write required, optional or none",
            ],
        ),
        ("- x", ["3: routes[0]: a list stands where a mapping belongs; write key: value"]),
    ],
)
def test_routes(route, expected):
    assert lines(with_route(route)) == expected


@pytest.mark.parametrize("routes", ["", "routes: []", "routes:"])
def test_a_file_without_routes_is_refused(routes):
    assert [line.split(";")[0].lstrip("0123456789: ") for line in lines(PROVIDER + routes)] == [
        "routes: there are no routes"
    ]


def test_routes_that_are_no_list():
    assert lines(PROVIDER + "routes: {a: {}}") == [
        "2: routes: a mapping stands where a list belongs; write a line with - for each route"
    ]


def test_one_bad_piece_hides_no_other_problem():
    text = """\
    server: {listen: 1}
    providers:
      p: {issuer: https://sso.example.com, client_id: gw, client_secret: s, timeout: soon}
    routes:
      - {name: a, match: {path: /x}, backend: http://a, timeout: soon, auth: {provider: q}}
      - {name: b, match: {path: /x}, backend: nowhere}
      - {name: b, match: {path: /y}, backend: http://b, strip_prefix: /z}
    """
    assert [line.split(": ")[0:2] for line in lines(text)] == [
        ["1", "server.listen"],
        ["3", "providers.p.timeout"],
        ["5", "routes[0].auth.provider"],
        ["5", "routes[0].timeout"],
        ["6", "routes[1].backend"],
        ["6", "routes[1].match.path"],
        ["7", "routes[2].name"],
        ["7", "routes[2].strip_prefix"],
    ]


@pytest.mark.parametrize(
    ("auth", "places"),
    [
        ("{provider: q, scopes: 5}", ["provider", "scopes"]),
        ("{provider: [p, q], scope: x}", ["provider[1]", "scope"]),
        ("{provider: q, mode: non}", ["mode", "provider"]),
        ("{mode: none, roles: [r], scopes: 5}", ["roles", "scopes"]),
        ("{claims: {t: '{t}'}, scopes: 5}", ["claims.t", "scopes"]),
        ("{claims: {t: '{t}'}, mode: non}", ["mode"]),  # under mode none nobody would read the claim
    ],
)
def test_one_bad_key_of_auth_hides_no_problem_of_another(auth, places):
    text = PROVIDER + f"routes: [{{name: a, backend: http://a, match: {{path: /a}}, auth: {auth}}}]"
    assert [line.split(": ")[1] for line in lines(text)] == [f"routes[0].auth.{place}" for place in places]


@pytest.mark.parametrize(
    "text",
    [
        "providers: {p: {issuer: nonsense, client_id: gw, client_secret: s}}\n" + ROUTE,
        "providers: 5\n" + ROUTE,
        PROVIDER + "routes: [5]",
        PROVIDER + "routes: [{name: a, backend: http://a, match: {path: x}, auth: {claims: {t: '{t}'}}}]",
        PROVIDER + "routes: [{name: a, backend: http://a, auth: {mode: non, scopes: [a]}}]",
        PROVIDER + "cache: {redis: nonsense}\n" + ROUTE,
        PROVIDER + "cache: {redis: redis://h, secret: 5}\n" + ROUTE,
        PROVIDER + "server: 5\nadmin: {listen: 0.0.0.0:8080}\n" + ROUTE,
        "providers: {p: {issuer: https://i, client_id: gw, client_auth: ${NONE}}}\n".replace("${NONE}", '"${NONE}"')
        + ROUTE,
        PROVIDER + 'routes: [{name: "${NONE}", backend: "${NONE:-http://a}"}]',
        PROVIDER + 'routes: "${NONE}"',
        PROVIDER + 'server: "${NONE}"\nadmin: {listen: 0.0.0.0:8080}\n' + ROUTE,
        'providers: "${NONE}"\nroutes: [{name: a, backend: http://a, auth: {provider: x}}]',
        PROVIDER + 'routes: [{name: a, backend: http://a, auth: {claims: {t: ["${NONE}", b]}}}]',
    ],
)
def test_the_consequences_of_a_problem_are_no_problems(text):
    assert len(lines(text)) == 1


def test_a_problem_of_the_defaults_is_told_once_at_their_line():
    routes = "".join(f"  - {{name: r{i}, match: {{path: /{i}}}, backend: http://a}}\n" for i in range(5))
    text = (
        PROVIDER
        + "defaults:\n  timeout: soon\n  auth: {scope: [a]}\n  identity: {headers: {Host: a}}\nroutes:\n"
        + routes
    )
    assert lines(text) == [
        "3: defaults.timeout: 'soon' is not a duration; write a number and a unit: 250ms, 2s, 5m or 1h",
        "4: defaults.auth.scope: scope is called scopes here; write scopes: [orders:read]",
        "5: defaults.identity.headers.Host: Host has a meaning of its own on the wire; write a name such as X-User-Id",
    ]


def test_a_problem_of_the_defaults_is_told_when_every_route_overrides_it():
    text = PROVIDER + "defaults: {timeout: soon}\nroutes: [{name: a, backend: http://a, timeout: 1s}]"
    assert [line.split(": ")[:2] for line in lines(text)] == [["2", "defaults.timeout"]]


def test_what_the_defaults_leave_to_the_routes_is_no_problem():
    text = PROVIDER + "defaults: {cors: {allow_credentials: true}}\n"
    assert lines(text + "routes: [{name: a, backend: http://a, cors: {allow_origins: [https://a.example]}}]") == []
    assert lines(text + ROUTE) == [
        "2: defaults.cors.allow_origins: is missing; write allow_origins: [https://app.example.com]"
    ]


def test_name_and_match_belong_to_one_route():
    assert lines(PROVIDER + "defaults: {name: x, match: {host: a}}\n" + ROUTE) == [
        "2: defaults.match: match belongs to a single route; write it in the route",
        "2: defaults.name: name belongs to a single route; write it in the route",
    ]


def test_no_problem_shows_what_a_variable_or_a_secret_holds(tmp_path):
    (tmp_path / "secret").write_text("hunter22\nhunter22\n")
    environ = {"S": "hunter22", "T": "hunter 22"}
    for text in (
        'admin: {token: "${T}"}',
        "admin: {token: hunter 22}",
        "admin: {token_file: secret}",
        "admin: {token: [hunter22]}",
        'admin: {tokn: "${S}"}',
        'cache: {redis: "${S}"}',
        'cache: {redis: "redis://:${S}@h:99999", secret: "secret-of-the-fleet"}',
        'log: {level: "${S}"}',
        'server: {listen: "${S}"}',
        'server: {trusted_proxies: ["${S}"]}',
        'defaults: {backend: "user:${S}@x"}',
        'defaults: {backend: "http://user:${S}@x"}',
        'defaults: {strip_prefix: "/a b/${S}"}',
        'defaults: {request_headers: {set: {X-A: ["${S}"]}}}',
        'defaults: {auth: {provider: "${S}"}}',
    ):
        said = lines(text + "\n" + PROVIDER + ROUTE, environ, tmp_path)
        assert said
        assert "hunter" not in " ".join(said), said


def test_every_line_of_a_problem_is_one_line():
    assert len(lines(PROVIDER + ROUTE + '"a\\nb": 1\nserver: {listen: "x\\ny\\x1b"}')) == 2


def test_a_file_that_can_not_be_read_is_a_problem(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path, "nul\x00"):
        with pytest.raises(ConfigError) as caught:
            load(path)
        assert "cannot be read" in describe_problems(caught.value)
    (tmp_path / "latin.yaml").write_bytes("a: 1\nb: é\n".encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "latin.yaml")
    assert str(caught.value) == f"{tmp_path / 'latin.yaml'}:2: this is not UTF-8; save the file as UTF-8"


def test_a_file_is_read_with_the_processs_environment(tmp_path, monkeypatch):
    (tmp_path / "g.yaml").write_text(PROVIDER.replace("hush-hush", '"${GATEWAY_TEST_SECRET}"') + ROUTE)
    monkeypatch.setenv("GATEWAY_TEST_SECRET", "from-outside")
    assert load(os.fspath(tmp_path / "g.yaml")).providers["p"].client_secret.get_secret_value() == "from-outside"


def test_problems_are_sorted_by_line_and_told_once():
    error = ConfigError("f.yaml", [Problem("b", "x; y", 9), Problem("a", "x; y", 2), Problem("b", "x; y", 9)])
    assert describe_problems(error) == "f.yaml:2: a: x; y\nf.yaml:9: b: x; y"


WORDS = """
server admin providers cache log defaults routes name match path host methods backend auth mode provider scopes claims
roles identity headers X-User-Id cors allow_origins timeout retries max_body rewrite strip_prefix redis secret
secret_file token token_file listen tls certificate key issuer client_id client_secret client_auth p x
"""
KEYS = st.sampled_from(WORDS.split())
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 70000)
    | st.floats()
    | st.sampled_from(
        ["", "/a/{t}/**", "{t}", "none", "${A}", "${B}", "https://a", "redis://h", "5s", "0", "*", "p", "//"]
    )
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=5),
    max_leaves=25,
)
NAMED = st.fixed_dictionaries(
    {},
    optional={
        "providers": st.dictionaries(KEYS, VALUES, max_size=2)
        | st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES), max_size=2),
        "defaults": st.dictionaries(KEYS, VALUES, max_size=4),
        "routes": st.lists(st.dictionaries(KEYS, VALUES, max_size=6), max_size=3),
        "server": st.dictionaries(KEYS, VALUES, max_size=3),
        "cache": st.dictionaries(KEYS, VALUES, max_size=3),
    },
)


@given(NAMED | VALUES)
def test_any_structure_gives_a_configuration_or_problems_in_our_words(value):
    problems = []
    try:
        config = loaded(yaml.safe_dump(value), {"A": "alpha-value"})
    except ConfigError as error:
        problems = list(error.problems)
    else:
        assert config.routes
    for problem in problems:
        assert "; " in problem.what
        assert "\n" not in problem.render("f")
        assert "alpha-value" not in problem.what
        assert "pydantic" not in problem.what.lower()
        assert "not what the key takes" not in problem.what


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            PROVIDER + "routes: [{name: a, backed: http://a}]",
            ["2: routes[0].backed: unknown key; did you mean backend?"],
        ),
        (
            PROVIDER + "routes: [{name: a, backends: [http://a]}]",
            ["2: routes[0].backends: unknown key; did you mean backend?"],
        ),
        (
            PROVIDER + "routes: [{name: a, upstream: http://a}]",
            ["2: routes[0].upstream: upstream is called backend here; write backend: http://orders:8000"],
        ),
        (
            "providers: {p: {isuer: https://i, clientId: g, client-secret: s}}\n" + ROUTE,
            [
                "1: providers.p.client-secret: unknown key; did you mean client_secret?",
                "1: providers.p.clientId: unknown key; did you mean client_id?",
                "1: providers.p.isuer: unknown key; did you mean issuer?",
            ],
        ),
        (
            "providers: {p: {issuer: https://i, client_id: g, client_secert_file: s}}\n" + ROUTE,
            ["1: providers.p.client_secert_file: unknown key; did you mean client_secret_file?"],
        ),
        (
            PROVIDER + "server: {tls: {cert: a, key: b}}\n" + ROUTE,
            ["2: server.tls.cert: cert is called certificate here; write certificate:"],
        ),
        (
            "provider: {p: {issuer: https://i, client_id: g, client_secret: s}}\n" + ROUTE,
            ["1: provider: unknown key; did you mean providers?"],
        ),
        ("rutes: [{name: a}]\n" + PROVIDER, ["1: rutes: unknown key; did you mean routes?"]),
        (
            "default: {backend: http://a}\n" + PROVIDER + "routes: [{name: a}]",
            ["1: default: unknown key; did you mean defaults?"],
        ),
        (
            "defaults: {backed: http://a}\n" + PROVIDER + "routes: [{name: a}]",
            ["1: defaults.backed: unknown key; did you mean backend?"],
        ),
        (
            PROVIDER + "cache: {redis: redis://a, secrt: 0123456789abcdef}\n" + ROUTE,
            ["2: cache.secrt: unknown key; did you mean secret?"],
        ),
        (
            "event: {}\n" + PROVIDER.replace("hush-hush", "hush-hush, events: {}") + ROUTE,
            ["1: event: unknown key; did you mean events?"],
        ),
        (
            "providers: [{name: p}]\n" + ROUTE,
            [
                (
                    "1: providers: a list stands where a mapping belongs; "
                    "write each provider's name as its key, such as sso:, without -"
                )
            ],
        ),
    ],
)
def test_what_follows_from_a_misspelt_key_is_not_reported(text, expected):
    assert lines(text) == expected


def test_a_misspelt_key_hides_no_other_problem():
    assert lines(PROVIDER + "routes: [{backed: http://a, timeout: soon}]") == [
        "2: routes[0].backed: unknown key; did you mean backend?",
        "2: routes[0].name: is missing; write name: orders, unique in the file",
        "2: routes[0].timeout: 'soon' is not a duration; write a number and a unit: 250ms, 2s, 5m or 1h",
    ]


def test_keys_that_begin_with_x_are_a_place_for_anchors():
    text = "x-common: &c {timeout: 5s}\nx-unused: '${NONE}'\nx-auth: &a {roles: manager}\n" + PROVIDER
    [route] = loaded(text + "routes: [{<<: *c, name: a, backend: http://a, auth: *a}]").routes
    assert (route.timeout, route.auth.roles) == (5.0, ("manager",))


def test_traces_without_the_sdk_are_a_problem_that_says_what_to_install(monkeypatch):
    monkeypatch.setattr("gateway.config.model.find_spec", lambda _: None)
    (line,) = lines(PROVIDER + "telemetry: {otlp: http://collector:4318}\n" + ROUTE)
    assert "telemetry" in line
    assert "pip install 'introspection-gateway[otel]'" in line


BROKEN = [
    "decisions: {listen: 'nonsense::'}",
    "limits: {u: {rate: fast}}",
    "signing: {key_file: /nowhere.pem, issuer: https://gw.example.com}",
    "telemetry: {otlp: nonsense}",
    "telemetry: {otlp: 'http://me:word@collector:4318'}",
]


@pytest.mark.parametrize("section", BROKEN)
def test_a_demanded_key_with_a_bad_value_is_told_once_and_not_as_missing(section):
    (line,) = lines(PROVIDER + section + "\n" + ROUTE)
    assert "is missing" not in line
