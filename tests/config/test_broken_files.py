"""Broken and doubtful files, and everything that `gateway check` says of each."""

from pathlib import Path

import pytest

from gateway.config.load import load_text, warnings_of
from gateway.config.problems import ConfigError, Problem

SECRET = "0123456789abcdef"
PROVIDER = f"providers:\n  sso: {{issuer: https://sso.example.com, client_id: gateway, client_secret: {SECRET}}}\n"
ROUTE = "routes:\n  - {name: a, match: {path: /a}, auth: {audience: a}, backend: http://a}\n"
# The same, with a line for each key of the route: its name stands in line 4.
WHOLE = PROVIDER + ("routes:\n  - name: a\n    match: {path: /a}\n    backend: http://a\n    auth: {audience: a}\n")
NO_MAPPING = "stands where a mapping belongs"


def with_provider(**keys: str | None) -> str:
    """A file whose provider has a line for each key, from line 3 on; `None` leaves one out."""
    both = {"issuer": "https://sso.example.com", "client_id": "gateway", "client_secret": SECRET, **keys}
    return "providers:\n  sso:\n" + "".join(f"    {key}: {value}\n" for key, value in both.items() if value) + ROUTE


def said(text: str) -> list[str]:
    """Problems, or else warnings."""
    options = {"environ": {}, "directory": Path("/nowhere")}
    try:
        load_text(text, "gateway.yaml", **options)
    except ConfigError as error:
        return [shown(problem) for problem in error.problems]
    return [shown(problem, "warning") for problem in warnings_of(text, "gateway.yaml", now_s=1.7e9, **options)]


def shown(problem: Problem, level: str = "") -> str:
    return problem.render("", level).removeprefix(":").strip()


# A message that ends in … goes on with what depends on other keys.
FILES = [
    # what is not YAML
    (
        "a host that begins with a star",
        WHOLE.replace("{path: /a}", "\n      host: *.example.com"),
        ['6: * begins an alias; write "*.example.com" in quotes'],
    ),
    (
        "an IPv6 address without quotes",
        "server:\n  listen: [::1]:8080\n" + PROVIDER + ROUTE,
        ['2: [ begins a list; write "[::1]:8080" in quotes'],
    ),
    (
        "a tab",
        "server:\n\tlisten: 0.0.0.0:8080\n" + PROVIDER + ROUTE,
        ["2: a tab stands where blanks belong; write blanks"],
    ),
    (
        "a bracket too many",
        WHOLE.replace("{path: /a}", "{path: /a}}"),
        ["5: the } in column 22 closes nothing; take it out"],
    ),
    (
        "a bracket of the other kind",
        WHOLE.replace("{path: /a}", "{path: /a, methods: [GET}"),
        ["5: the [ in column 32 is closed by }; write ]"],
    ),
    (
        "an item among keys",
        WHOLE + "    - timeout: 3s\n",
        ["8: an item of a list stands among keys; take the - off, or write the key of its list above"],
    ),
    (
        "a key among items",
        WHOLE + "  timeout: 3s\n",
        ["8: a key stands among the items of the list of line 4; indent it as theirs"],
    ),
    (
        "one word where a mapping belongs",
        "log: info\n" + WHOLE + "    health: /healthz\n    outliers: false\n    cors: true\n",
        [
            "1: log: a text stands where a mapping belongs; write log: {level: info}",
            f"9: routes[0].health: a text {NO_MAPPING}; write health: {{path: /healthz}}, or null for none",
            f"10: routes[0].outliers: true or false {NO_MAPPING}; write outliers: null to turn it off, or a mapping …",
            f"11: routes[0].cors: true or false {NO_MAPPING}; write cors: {{allow_origins: [https://app.example.com]}}",
        ],
    ),
    (
        "one blank too many",
        PROVIDER + "routes:\n  - name: a\n   - name: b\n",
        ["5: this line is indented by 3, and its list, which begins in line 4, by 2; indent it as its neighbours"],
    ),
    (
        "a key further in than its neighbour",
        WHOLE + "     retries: 1\n",
        ["8: this line is indented by 5, and its mapping, which begins in line 4, by 4; indent it as its neighbours"],
    ),
    (
        "a quote that is never closed",
        PROVIDER + ROUTE + "log:\n  level: 'info\n",
        ["6: the quote that begins here is never closed; close it"],
    ),
    (
        "a quote that is closed by a later one",
        'log: {level: info}\nserver:\n  listen: "0.0.0.0:8080\nadmin:\n  listen: "127.0.0.1:9090"\n',
        ["3: a quote begins here and does not end in its line; close it (line 5 ends it)"],
    ),
    (
        "an apostrophe in quotes",
        PROVIDER + ROUTE + "x-note: 'it's'\n",
        ["5: a text in quotes ends before its line does; write a quote inside it twice, or the other kind around it"],
    ),
    (
        "no blank behind a colon",
        "server:\n  listen:8080\n  workers: 1\n" + PROVIDER + ROUTE,
        ["2: there is no blank behind the colon; write key: value"],
    ),
    (
        "a line without a colon",
        "server\n" + PROVIDER + ROUTE,
        ["1: this is not a key with a value; write key: value, with a blank behind the colon"],
    ),
    (
        "a bracket that stays open",
        PROVIDER + "routes: [{name: a, backend: http://a\n",
        ["3: a [ or { is not closed before the file ends; close it"],
    ),
    ("an at sign", PROVIDER + ROUTE + "log: {level: @info}\n", ["5: a text cannot begin with @; write it in quotes"]),
    (
        "a template of Helm in a value",
        "server:\n  listen: {{ .Values.listen }}\n" + PROVIDER + ROUTE,
        [
            (
                "2: server.listen: this looks like a template that nobody has rendered; "
                "render it first, or write it in quotes"
            )
        ],
    ),
    (
        "a template of Helm around keys",
        "{{- if .Values.x }}\nserver: {}\n{{- end }}\n",
        ["1: this looks like a template that nobody has rendered; render it first, or write it in quotes"],
    ),
    (
        "a capture in brackets without quotes",
        PROVIDER + "routes: [{name: a, match: {path: /a/{id}}, backend: http://a}]\n",
        ['3: { begins a mapping here; inside [ ] and { } write a path with {name} in it in quotes: "/orders/{name}"'],
    ),
    (
        "a key that stands twice",
        PROVIDER + ROUTE + "log: {level: info}\nlog: {level: debug}\n",
        ["6: log: this key stands twice, in line 5 and here; keep one"],
    ),
    (
        "two documents",
        PROVIDER + ROUTE + "---\n" + PROVIDER + ROUTE,
        ["6: a second document begins here; write one only, without ---"],
    ),
    ("an empty file", "# nothing yet\n", ["the file is empty; write server:, providers: and routes:"]),
    (
        "access rules of Oathkeeper",
        "- id: a\n  upstream: {url: http://a}\n  match: {url: http://b/<.*>}\n",
        [
            (
                "1: these look like Ory Oathkeeper's access rules; "
                "gateway import oathkeeper writes a configuration for them"
            )
        ],
    ),
    (
        "a no-break space",
        PROVIDER + ROUTE + "\u00a0log: {}\n",
        ["5: ['\\xa0log']: there is a no-break space (U+00A0) in this key; write plain blanks, and none in the key"],
    ),
    # keys
    (
        "provider for providers",
        PROVIDER.replace("providers:", "provider:") + ROUTE,
        ["1: provider: unknown key; did you mean providers?"],
    ),
    (
        "route for routes",
        PROVIDER + ROUTE.replace("routes:", "route:"),
        ["3: route: unknown key; did you mean routes?"],
    ),
    (
        "backed for backend",
        WHOLE.replace("backend:", "backed:"),
        ["6: routes[0].backed: unknown key; did you mean backend?"],
    ),
    (
        "issuer misspelt",
        with_provider(isuer="https://sso.example.com", issuer=None),
        ["5: providers.sso.isuer: unknown key; did you mean issuer?"],
    ),
    (
        "camel case",
        with_provider(clientId="gateway", client_id=None),
        ["5: providers.sso.clientId: unknown key; did you mean client_id?"],
    ),
    (
        "a hyphen for an underscore",
        with_provider(**{"client-secret": "0123456789abcdef", "client_secret": None}),
        ["5: providers.sso.client-secret: unknown key; did you mean client_secret?"],
    ),
    (
        "cert of a listener",
        "server: {tls: {cert: cert.pem, key: key.pem}}\n" + PROVIDER + ROUTE,
        ["1: server.tls.cert: cert is called certificate here; write certificate:"],
    ),
    (
        "a port at the top",
        WHOLE + "port: 80\n",
        [f"{WHOLE.count(chr(10)) + 1}: port: unknown key; write server: {{listen: 0.0.0.0:8080}}"],
    ),
    (
        "upstream",
        WHOLE.replace("backend:", "upstream:"),
        ["6: routes[0].upstream: upstream is called backend here; write backend: http://orders:8000"],
    ),
    (
        "url",
        WHOLE.replace("backend:", "url:"),
        ["6: routes[0].url: url is called backend here; write backend: http://orders:8000"],
    ),
    (
        "aud",
        WHOLE.replace("audience:", "aud:"),
        ["7: routes[0].auth.aud: aud is called audience here; write audience:"],
    ),
    (
        "required_scope",
        WHOLE.replace("{audience: a}", "{audience: a, required_scope: a}"),
        ["7: routes[0].auth.required_scope: required_scope is called scopes here; write scopes: [orders:read]"],
    ),
    (
        "port",
        "server: {port: 8080}\n" + PROVIDER + ROUTE,
        ["1: server.port: port is called listen here; write listen: 0.0.0.0:8080"],
    ),
    ("id", WHOLE.replace("name: a", "id: a"), ["4: routes[0].id: id is called name here; write name: orders"]),
    (
        "paths",
        WHOLE.replace("match: {path: /a}", "paths: [/a]"),
        ["5: routes[0].paths: unknown key; write match: {path: /orders/**}"],
    ),
    (
        "weight",
        WHOLE + "    weight: 5\n",
        ["8: routes[0].weight: unknown key; write it at the backend: [{url: http://orders:8000, weight: 3}]"],
    ),
    (
        "health_check",
        WHOLE + "    health_check: /health\n",
        ["8: routes[0].health_check: health_check is called health here; write health: {path: /health}"],
    ),
    (
        "tls_skip_verify",
        WHOLE + "    tls_skip_verify: true\n",
        [
            (
                "8: routes[0].tls_skip_verify: unknown key; "
                "leave it out: certificates are always verified; write tls: {ca: ca.pem} for your own"
            )
        ],
    ),
    ("rate_limit", WHOLE + "    rate_limit: 100\n", ["8: routes[0].rate_limit: …"]),
    (
        "priority",
        WHOLE + "    priority: 10\n",
        ["8: routes[0].priority: unknown key; leave it out: the most specific route wins"],
    ),
    (
        "include",
        "include: conf.d/*.yaml\n" + PROVIDER + ROUTE,
        ["1: include: unknown key; write everything into this file, and what is shared under x-…: with an anchor"],
    ),
    (
        "plugins",
        WHOLE + "    plugins: [cors]\n",
        ["8: routes[0].plugins: unknown key; there are no plugins: write auth, identity, cors or request_headers"],
    ),
    (
        "redis at the top",
        "redis: redis://redis\n" + PROVIDER + ROUTE,
        ["1: redis: unknown key here; write it under cache:"],
    ),
    (
        "scopes outside auth",
        WHOLE + "    scopes: [a]\n",
        ["8: routes[0].scopes: unknown key here; write it under auth:"],
    ),
    (
        "providers as a list",
        "providers:\n  - name: sso\n    issuer: https://sso.example.com\n" + ROUTE,
        [
            (
                "1: providers: a list stands where a mapping belongs; "
                "write each provider's name as its key, such as sso:, without -"
            )
        ],
    ),
    (
        "routes as a mapping",
        PROVIDER + "routes:\n  a: {backend: http://a}\n",
        ["3: routes: a mapping stands where a list belongs; write a line with - for each route"],
    ),
    # values
    (
        "auth: true",
        WHOLE.replace("{audience: a}", "true"),
        ["7: routes[0].auth: true or false stands where a mapping belongs; write required, optional or none"],
    ),
    (
        "auth: off",
        WHOLE.replace("{audience: a}", "off"),
        ["7: routes[0].auth: 'off' is not one of required, optional, none; write none"],
    ),
    (
        "client_auth: basic",
        with_provider(client_auth="basic"),
        [
            (
                "6: providers.sso.client_auth: 'basic' is not one of client_secret_basic, client_secret_post, "
                "client_secret_jwt, private_key_jwt, none; "
                "write client_secret_basic"
            )
        ],
    ),
    (
        "a password with signs",
        PROVIDER + ROUTE + "cache: {redis: 'redis://:p@ss/w#rd@redis', secret: 0123456789abcdef}\n",
        [
            (
                "5: cache.redis: the user or the password has a sign that means something in URLs; "
                "write @ as %40, / as %2F, # as %23, ? as %3F, [ as %5B, ] as %5D"
            )
        ],
    ),
    (
        "a default as in Spring",
        PROVIDER + ROUTE + "log: {level: '${LEVEL:info}'}\n",
        ["5: log.level: ${LEVEL:…} is not how a default is written; write ${LEVEL:-default}"],
    ),
    (
        "a variable that is not set",
        PROVIDER + ROUTE + "log: {level: '${LEVEL}'}\n",
        ["5: log.level: the environment has no variable LEVEL; set it, or write ${LEVEL:-default}"],
    ),
    ("1m30s", WHOLE + "    timeout: 1m30s\n", ["8: routes[0].timeout: '1m30s' is not a duration; write 90s"]),
    ("5min", WHOLE + "    timeout: 5min\n", ["8: routes[0].timeout: '5min' is not a duration; write 5m"]),
    ("a number without a unit", WHOLE + "    timeout: 30\n", ["8: routes[0].timeout: 30 is not a duration; write 30s"]),
    ("1d", PROVIDER + ROUTE + "cache: {ttl: 1d}\n", ["5: cache.ttl: '1d' is not a duration; write 24h"]),
    (
        "10MB",
        WHOLE + "    max_body: 10MB\n",
        ["8: routes[0].max_body: '10MB' is not a size; write 10MiB, or unlimited"],
    ),
    (
        "a discovery document as issuer",
        with_provider(issuer="https://sso.example.com/.well-known/openid-configuration"),
        [
            (
                "3: providers.sso.issuer: 'https://sso.example.com/.well-known/openid-configuration' is the address "
                "of a discovery document; "
                "write the issuer: https://sso.example.com"
            )
        ],
    ),
    (
        "a backend without a scheme",
        WHOLE.replace("http://a", "orders:8000"),
        [
            (
                "6: routes[0].backend: 'orders:8000' is not an http or https URL with a host; "
                "write a URL such as http://orders:8000"
            )
        ],
    ),
    (
        "a method in small letters",
        WHOLE.replace("{path: /a}", "{path: /a, methods: get}"),
        ["5: routes[0].match.methods: methods are case-sensitive and 'get' is not in capitals; write GET"],
    ),
    (
        "any method",
        WHOLE.replace("{path: /a}", "{path: /a, methods: ['*']}"),
        ["5: routes[0].match.methods[0]: '*' does not stand for any method; leave methods out for that"],
    ),
    (
        "a secret that is too short",
        PROVIDER + ROUTE + "cache: {secret: abc}\n",
        [
            (
                "5: cache.secret: this is shorter than 16 characters and can be guessed; "
                "write the output of openssl rand -base64 32"
            )
        ],
    ),
    (
        "a network with bits behind its prefix",
        "server: {trusted_proxies: [10.0.0.1/8]}\n" + PROVIDER + ROUTE,
        [
            (
                "1: server.trusted_proxies[0]: '10.0.0.1/8' has bits set behind its prefix, which is likely a slip; "
                "write 10.0.0.0/8"
            )
        ],
    ),
    (
        "two routes that tie",
        WHOLE + "  - {name: b, match: {path: /a}, auth: {audience: a}, backend: http://b}\n",
        [
            (
                "8: routes[1].match.path: a in line 5 matches the same requests (/a); "
                "write another host, path or methods in one of them"
            )
        ],
    ),
    # what passes, and is doubtful
    (
        "a capture as in Express",
        WHOLE.replace("/a}", "'/a/:id'}"),
        ["5: warning: routes[0].match.path: :id is matched as it stands; write {id} for any segment"],
    ),
    (
        "a variable as in the shell",
        with_provider(client_secret="$CLIENT_SECRET"),
        [
            (
                "5: warning: providers.sso.client_secret: $CLIENT_SECRET is not read from the environment; "
                "write ${CLIENT_SECRET}"
            )
        ],
    ),
    (
        "a group of a regular expression",
        WHOLE + "    rewrite: /v2/$1\n",
        [
            (
                "8: warning: routes[0].rewrite: $1 is sent as it stands, because paths are not regular expressions; "
                "write {name} or {**}"
            )
        ],
    ),
    (
        "a method that nobody knows",
        WHOLE.replace("{path: /a}", "{path: /a, methods: GTE}"),
        ["5: warning: routes[0].match.methods: GTE is not a method that is known; write GET, if you mean that"],
    ),
    (
        "typographic quotes",
        with_provider(client_secret="\u201c0123456789abcdef\u201d"),
        ["5: warning: providers.sso.client_secret: typographic quotes are part of the text; write \" or '"],
    ),
    (
        "everybody is a trusted proxy",
        "server: {trusted_proxies: [0.0.0.0/0]}\n" + PROVIDER + ROUTE,
        [
            (
                "1: warning: server.trusted_proxies[0]: everyone in 0.0.0.0/0 can speak for every client; "
                "write the addresses of the proxies"
            )
        ],
    ),
    (
        "no audience",
        WHOLE.replace("    auth: {audience: a}\n", ""),
        [
            (
                "4: warning: routes[0]: audience is left out, so that tokens meant for other services pass; "
                "write audience: [orders-api]"
            )
        ],
    ),
    (
        "the provider in clear",
        with_provider(issuer="http://sso.example.com"),
        ["3: warning: providers.sso.issuer: tokens and secrets go over the network in clear; write https://"],
    ),
    (
        "a role by its path",
        WHOLE.replace("{audience: a}", "{audience: a, roles: realm_access.roles.manager}"),
        [
            (
                "7: warning: routes[0].auth.roles: realm_access.roles.manager is looked for as the name of a role; "
                "write manager"
            )
        ],
    ),
    # what is fine
    (
        "one text where lists may stand",
        WHOLE.replace("{path: /a}", "{path: /a, methods: GET}").replace(
            "{audience: a}", "{audience: a, scopes: b, roles: c, any_scope: d}"
        ),
        [],
    ),
    (
        "an anchor below x-",
        "x-shared: &shared {timeout: 5s}\n"
        + PROVIDER
        + "routes:\n  - {<<: *shared, name: a, match: {path: /a}, auth: {audience: a}, backend: http://a}\n",
        [],
    ),
    ("yes and no", PROVIDER + ROUTE + "log: {access: no}\n", []),
]


@pytest.mark.parametrize(("text", "expected"), [one[1:] for one in FILES], ids=[one[0] for one in FILES])
def test_check_says(text: str, expected: list[str]) -> None:
    found = said(text)
    assert [want for want in expected if not want.endswith("…")] == [
        line for line, want in zip(found, expected, strict=True) if not want.endswith("…")
    ]
    assert all(line.startswith(want.removesuffix("…")) for line, want in zip(found, expected, strict=True))
    assert all("; " in line for line in found)
    assert SECRET not in str(found)


def test_there_are_enough() -> None:
    assert len({name for name, _, _ in FILES}) == len(FILES) >= 60
