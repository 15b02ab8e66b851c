"""Handlers of access rules as keys of a route: what is carried over, what is refused, what is only told."""

from base64 import b64encode
from pathlib import Path

import pytest
import yaml

from gateway.config.load import load_text
from gateway.migration.access_rules import OathkeeperSettings, read_rules
from gateway.migration.carried_rule import NOWHERE
from gateway.migration.written_config import REFUSES, migrate

RULE = {
    "id": "orders",
    "match": {"url": "https://api.example.com/orders<(/.*)?>", "methods": ["get", "POST"]},
    "upstream": {"url": "http://orders:8000"},
    "authenticators": [{"handler": "oauth2_introspection"}],
    "authorizer": {"handler": "allow"},
    "mutators": [{"handler": "noop"}],
}
INTROSPECTION = {"handler": "oauth2_introspection"}
JWT = {"jwks_urls": ["https://sso.example.com/jwks"], "trusted_issuers": ["https://sso.example.com"]}


def migrated(*rules, settings=None, widen=False):
    read = OathkeeperSettings.read(settings or {})
    found = migrate(
        read_rules([list(rules)], "rules.yaml", read),
        "rules.yaml",
        read.strategy or "regexp",
        widen=widen,
        listen=read.listen,
    )
    load_text(found.text, "gateway.yaml", environ={}, directory=Path("/"))  # as gateway check does
    return found


def route_of(rule, **more):
    found = migrated(rule, **more)
    [route] = yaml.safe_load(found.text)["routes"]
    return route, found


def introspection(**config):
    return {"authenticators": [{"handler": "oauth2_introspection", "config": config}]}


def jwt(**config):
    return {"authenticators": [{"handler": "jwt", "config": {**JWT, **config}}]}


def header(**headers):
    return {"mutators": [{"handler": "header", "config": {"headers": headers}}]}


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({}, {"auth": "required", "backend": "http://orders:8000"}),
        ({"authenticators": [{"handler": "noop"}]}, {"auth": "none"}),
        ({"authenticators": [{"handler": "anonymous"}]}, {"auth": "none"}),
        ({"authenticators": [{"handler": "noop"}, INTROSPECTION]}, {"auth": "none"}),
        ({"authenticators": [{"handler": "anonymous"}, INTROSPECTION]}, {"auth": {"mode": "optional"}}),
        ({"authenticators": [INTROSPECTION, {"handler": "noop"}]}, {"auth": {"mode": "optional"}}),
        (introspection(required_scope=["a", "b"]), {"auth": {"scopes": ["a", "b"]}}),
        (introspection(target_audience=["orders"]), {"auth": {"audience": ["orders"]}}),
        (introspection(trusted_issuers=["https://i"]), {"auth": {"issuer": "https://i"}}),
        (
            introspection(trusted_issuers=["https://i", "https://j"]),
            {"auth": {"claims": {"iss": ["https://i", "https://j"]}}},
        ),
        (introspection(token_from={"header": "X-Token"}), {"auth": {"token_from": [{"header": "X-Token"}]}}),
        (introspection(token_from={"header": "authorization"}), {"auth": "required"}),
        (introspection(token_from={"query_parameter": "t"}), {"auth": {"token_from": [{"query": "t"}]}}),
        (introspection(token_from={"cookie": "t"}), {"auth": {"token_from": [{"cookie": "t"}]}}),
        (introspection(required_scope=["${HOME}"]), {"auth": {"scopes": ["$${HOME}"]}}),
        (jwt(required_scope=["a"]), {"auth": {"scopes": ["a"]}}),
        (
            {"upstream": {"url": "http://orders:8000/v1/", "preserve_host": True, "strip_path": "orders/"}},
            {"backend": "http://orders:8000/v1", "preserve_host": True, "strip_prefix": "/orders"},
        ),
        (header(**{"X-User": "{{ print .Subject }}"}), {"identity": {"headers": {"X-User": "sub"}}}),
        (header(**{"X-User": "{{.Subject}}"}), {"identity": {"headers": {"X-User": "sub"}}}),
        (header(**{"X-Mail": "{{ .Extra.email }}"}), {"identity": {"headers": {"X-Mail": "ext.email"}}}),
        (header(**{"X-Aud": "{{ print .Extra.aud }}"}), {"identity": {"headers": {"X-Aud": "aud"}}}),
        (header(**{"X-A": '{{ index .Extra "a-b" }}'}), {"identity": {"headers": {"X-A": "ext.a-b"}}}),
        ({**jwt(), **header(**{"X-Mail": "{{ .Extra.email }}"})}, {"identity": {"headers": {"X-Mail": "email"}}}),
        (header(**{"X-Env": "prod"}), {"request_headers": {"set": {"X-Env": "prod"}}}),
        (
            {"authenticators": [{"handler": "anonymous", "config": {"subject": "guest"}}],
             **header(**{"X-User": "{{ print .Subject }}"})},
            {"request_headers": {"set": {"X-User": "guest"}}, "identity": {"headers": {}}},
        ),
        (
            {"authenticators": [{"handler": "noop"}], **header(**{"X-User": "{{ print .Subject }}"})},
            {"request_headers": {"remove": ["X-User"]}, "identity": {"headers": {}}},
        ),
    ],
)  # fmt: skip
def test_what_a_rule_says_is_said_here(change, keys):
    route, found = route_of({**RULE, **change})
    assert found.refused == ()
    assert route["match"] == {"host": "api.example.com", "path": "/orders/**", "methods": ["GET", "POST"]}
    assert {key: route[key] for key in keys} == keys


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"authenticators": []}, "no authenticators"),
        ({"authenticators": [{"handler": "unauthorized"}]}, "unauthorized"),
        ({"authenticators": [{"handler": "cookie_session"}]}, "cookie_session"),
        ({"authenticators": [{"handler": "cookie_session"}, INTROSPECTION]}, "cookie_session"),
        ({"authenticators": [{"handler": "noop"}, {"handler": "bearer_token"}]}, "bearer_token"),
        ({"authenticators": [INTROSPECTION, {"handler": "jwt"}]}, "both judge"),
        (introspection(prefix="ory_at_"), "prefix"),
        (introspection(preserve_host=True), "preserve_host"),
        (introspection(target_audience=["a", "b"]), "target_audience"),
        (introspection(token_from={"header": "A", "cookie": "b"}), "token_from"),
        (introspection(required_scope=["a b"]), "is not a scope"),
        (introspection(introspection_url="https://u:p@sso/i"), "introspection_endpoint"),
        (jwt(jwks_urls=["file:///keys.json"]), "jwks_urls"),
        (jwt(jwks_urls=["https://a", "https://b"]), "jwks_urls"),
        (jwt(trusted_issuers=[]), "trusted_issuers"),
        (jwt(allowed_algorithms=["HS256"]), "algorithms"),
        ({"authorizer": None}, "no authorizer"),
        ({"authorizer": {"handler": "deny"}}, "deny"),
        ({"authorizer": {"handler": "remote_json"}}, "remote_json"),
        ({"authorizer": {"handler": "keto_engine_acp_ory"}}, "keto_engine_acp_ory"),
        ({"mutators": [{"handler": "id_token"}]}, "signed-identity.md"),
        ({"mutators": [{"handler": "hydrator"}]}, "hydrator"),
        ({"mutator": {"handler": "cookie"}, "mutators": [{"handler": "cookie"}]}, "cookie"),
        (header(**{"X-A": "{{ if .Extra.a }}b{{ end }}"}), "not one claim"),
        (header(**{"X-A": "{{ .Subject }} and more"}), "not one claim"),
        (header(**{"X-A": '{{ .Header.Get "x" }}'}), "not one claim"),
        (header(Host="{{ .Subject }}"), "identity.headers"),
        ({"upstream": {"url": "orders:8000"}}, "backend"),
        ({"upstream": {"url": "http://orders:8000", "strip_path": "/other"}}, "strip_path"),
        ({"upstream": {"url": "http://orders:8000", "retry": 3}}, "retry"),
    ],
)  # fmt: skip
def test_what_has_nothing_like_it_here_becomes_a_route_that_refuses(change, why):
    route, found = route_of({**RULE, **change})
    assert (route["auth"], route["backend"]) == (REFUSES, backend_of({**RULE, **change}))
    assert any(why in line for line in found.refused), found.refused
    assert any(why in line for line in found.text.splitlines() if "# NOT CARRIED OVER: " in line)


def backend_of(rule):
    """The rule's own, so that `auth` is all that is left to write; nobody's where that is none."""
    url = rule["upstream"]["url"]
    return url if url.startswith("http://") else NOWHERE


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (introspection(required_scope=["a"], scope_strategy="wildcard"), "strategy wildcard"),
        ({"errors": [{"handler": "redirect"}]}, "error handler redirect"),
        (introspection(introspection_request_headers={"Authorization": "Token eDp5"}), "client_id and client_secret"),
        (
            {"authenticators": [INTROSPECTION, {"handler": "anonymous"}], **header(**{"X-U": "{{ .Subject }}"})},
            "X-U is absent for a caller without a token",
        ),
        ({"authenticators": [{"handler": "anonymous"}]}, "a request with Authorization passes unread"),
    ],
)  # fmt: skip
def test_what_changes_without_letting_more_through_is_told(change, note):
    _, found = route_of({**RULE, **change})
    assert found.refused == ()
    assert any(note in line for line in found.notes)
    assert any(note in line for line in found.text.splitlines() if "# NOTE: " in line)
    assert "eDp5" not in found.text


@pytest.mark.parametrize("rule", [{"match": {"url": "https://a/x", "methods": []}}, {"match": {"full_method": "a/B"}}])
def test_a_rule_without_requests_is_a_comment(rule):
    found = migrated(RULE, {**RULE, "id": "gone", **rule})
    assert [one["name"] for one in yaml.safe_load(found.text)["routes"]] == ["orders"]
    assert any("gone" in line for line in found.refused)
    assert "# NOT CARRIED OVER: rules.yaml: [1] gone: " in found.text


def test_providers_are_made_of_what_the_rules_name():
    settings = {
        "access_rules": {"matching_strategy": "glob"},
        "authenticators": {
            "oauth2_introspection": {
                "config": {
                    "introspection_url": "https://sso.example.com/introspect",
                    "introspection_request_headers": {"X-Tenant": "a"},
                    "pre_authorization": {
                        "enabled": True, "client_id": "gw", "client_secret": "hunter2-hunter2", "token_url": "https://sso.example.com/token",
                    },
                }
            },
        },
    }  # fmt: skip
    glob = {**RULE, "match": {"url": "https://api.example.com/a/<**>", "methods": ["GET"]}}
    keys = {**RULE, "id": "keys", "match": {"url": "https://api.example.com/k", "methods": ["GET"]}, **jwt()}
    found = migrated(glob, keys, settings=settings)
    document = yaml.safe_load(found.text)
    assert document["providers"] == {
        "sso": {
            "introspection_endpoint": "https://sso.example.com/introspect",
            "token_endpoint": "https://sso.example.com/token",
            "client_id": "gw",
            "introspection": {"auth": "bearer", "headers": {"X-Tenant": "a"}},
            "client_secret": "${GATEWAY_CLIENT_SECRET:-write-it-into-the-environment}",
        },
        "sso-2": {
            "issuer": "https://sso.example.com",
            "jwks_uri": "https://sso.example.com/jwks",
            "validation": "jwt",
            "algorithms": ["RS256"],
        },
    }
    assert [route["auth"]["provider"] for route in document["routes"][:2]] == ["sso", "sso-2"]
    assert "hunter2" not in found.text


def test_rules_without_an_upstream_are_for_the_decisions_listener():
    alone = {key: value for key, value in RULE.items() if key != "upstream"}
    found = migrated(alone)
    document = yaml.safe_load(found.text)
    assert document["decisions"] == {"listen": "127.0.0.1:9191"}
    assert "backend" not in document["routes"][0]
    beside = migrated(RULE, {**alone, "id": "b", "match": {"url": "https://b/x", "methods": ["GET"]}})
    assert "no upstream.url" in beside.refused[0]
    assert yaml.safe_load(beside.text)["routes"][1]["auth"] == REFUSES


def test_names_are_ours_and_each_is_its_own():
    rules = [
        {**RULE, "id": name, "match": {"url": f"https://a/{place}", "methods": ["GET"]}}
        for place, name in enumerate(["ory:a b/c\n# x", "ory:a b/c\n# x", "", "ü" * 300])
    ]
    found = migrated(*rules)
    names = [route["name"] for route in yaml.safe_load(found.text)["routes"]]
    assert names == ["ory:a-b-c-x", "ory:a-b-c-x-2", "rule-3", "rule"]
    assert all(line.lstrip().startswith(("#", "-")) for line in found.text.splitlines() if "ory:a" in line)


def test_kubernetes_objects_are_rules():
    spec = {key: value for key, value in RULE.items() if key != "id"}
    documents = [{"kind": "Rule", "metadata": {"name": "orders", "namespace": "shop"}, "spec": spec}, None]
    [rule] = read_rules(documents, "rules.yaml", OathkeeperSettings({}))
    assert (rule.id, rule.upstream) == ("shop.orders", {"url": "http://orders:8000"})


@pytest.mark.parametrize("documents", [[], [None], ["text"], [[1]], [[]]])
def test_what_is_not_a_list_of_rules_is_said(documents):
    with pytest.raises(ValueError, match="; name a file with a list of access rules"):
        read_rules(documents, "rules.yaml", OathkeeperSettings({}))


@pytest.mark.parametrize("document", [None, [], {"access_rules": {"matching_strategy": "other"}}])
def test_what_is_not_oathkeepers_configuration_is_said(document):
    with pytest.raises(ValueError, match="; "):
        OathkeeperSettings.read(document)


@pytest.mark.parametrize(
    "rule",
    [{"match": [], "upstream": [], "authorizer": [[]], "authenticators": {"handler": ["a"]}, "mutators": 5},
     {"match": {"url": ["a"], "methods": {"a": 1}}, "upstream": {"url": {}, "strip_path": 5}},
     {**RULE, **introspection(required_scope={"a": 1}, token_from=[], introspection_request_headers=[1])},
     {**RULE, **header(**{"X": None, "": "{{ .Subject }}"}), "id": ["a"]}],
)  # fmt: skip
def test_whatever_stands_in_a_rule_the_text_passes_the_check(rule):
    migrated(RULE, rule)


def test_alternatives_that_cannot_be_carried_over_refuse_and_the_others_do_not():
    rule = {**RULE, "match": {"url": "https://a/<{login,health/{alive,ready},**.css}>", "methods": ["GET"]}}
    found = migrated(rule, settings={"access_rules": {"matching_strategy": "glob"}})
    routes = yaml.safe_load(found.text)["routes"]
    assert {route["match"]["path"]: route["auth"] for route in routes} == {
        "/login": "required", "/health/alive": "required", "/health/ready": "required", "/**": REFUSES
    }  # fmt: skip
    assert "<**.css> is no whole segment" in found.refused[0]


@pytest.mark.parametrize("pattern", ["**", "{orders,carts}"])
def test_a_glob_that_is_read_as_a_regular_expression_says_what_to_use(pattern):
    rule = {**RULE, "match": {"url": f"https://a/x/<{pattern}>", "methods": ["GET"]}}
    assert "use --matching-strategy glob" in migrated(rule).refused[0]
    found = migrated(rule, settings={"access_rules": {"matching_strategy": "glob"}})
    assert [one for one in found.refused if f"<{pattern}>" in one] == []


def test_the_client_of_a_basic_header_is_carried_over_without_its_secret():
    basic = "Basic " + b64encode(b"gw%3A1:hunter2-hunter2").decode()
    found = migrated({**RULE, **introspection(introspection_request_headers={"Authorization": basic})})
    provider = yaml.safe_load(found.text)["providers"]["sso"]
    assert (provider["client_id"], "client_auth" in provider) == ("gw:1", False)
    assert provider["client_secret"].startswith("${GATEWAY_CLIENT_SECRET:-")
    assert any("GATEWAY_CLIENT_SECRET" in note for note in found.notes)
    assert basic not in found.text


@pytest.mark.parametrize(
    ("serve", "listen"),
    [
        ({"proxy": {"port": 4455}}, "0.0.0.0:4455"),
        ({"proxy": {"port": 4455, "host": "127.0.0.1"}}, "127.0.0.1:4455"),
        ({"proxy": {"port": "x"}}, None),
        ({"proxy": {"port": 0}}, None),
        ({"api": {"port": 4456}}, None),
    ],
)
def test_the_gateway_listens_where_the_proxy_did(serve, listen):
    assert OathkeeperSettings.read({"serve": serve}).listen == listen


def test_where_nothing_is_carried_over_the_named_provider_is_kept():
    asked = introspection(introspection_url="https://sso.example.com/introspect")
    found = migrated({**RULE, **asked, "authorizer": {"handler": "deny"}})
    assert (
        yaml.safe_load(found.text)["providers"]["sso"]["introspection_endpoint"] == "https://sso.example.com/introspect"
    )


@pytest.mark.parametrize("line_end", ["\n", "\r", "\x85", "\u2028", "\u2029"])
def test_nothing_that_a_rule_calls_itself_leaves_its_comment(line_end):
    told = f"x{line_end}signing: {{}}{line_end}"
    url = f"http://api.example.com/<(?!{told})>"
    found = migrated({**RULE, "id": told}, {**RULE, "id": "y", "match": {"url": url, "methods": ["GET"]}})
    assert set(yaml.safe_load(found.text)) == {"providers", "routes"}


@pytest.mark.parametrize(
    ("kind", "handler", "change"),
    [
        ("authenticators", "noop", {"authenticators": [INTROSPECTION, {"handler": "noop"}]}),
        ("authorizers", "allow", {}),
        ("mutators", "noop", {}),
    ],
)
def test_a_handler_that_is_not_enabled_refuses(kind, handler, change):
    route, found = route_of({**RULE, **change}, settings={kind: {handler: {"enabled": False}}})
    assert route["auth"] == REFUSES
    assert any(f"{kind}.{handler} is not enabled" in line for line in found.refused)
    route, found = route_of({**RULE, **change}, settings={kind: {handler: {"enabled": True}}})
    assert (route["auth"] != REFUSES, found.refused) == (True, ())


@pytest.mark.parametrize(
    ("url", "methods", "is_told"),
    [
        ("https://api.example.com/<(?!private).*>", ["GET"], True),
        ("https://<[a-z]+>.example.com/orders/7", ["GET"], True),
        ("https://api.example.com/<(?!private).*>", ["PUT"], False),
        ("https://api.example.com/orders/<(?!private).*>", ["GET"], False),  # its route is found first, and refuses
        ("https://api.example.com/bills/<(?!private).*>", ["GET"], False),
    ],
)
def test_a_rule_that_may_match_the_same_and_is_not_carried_over_is_told(url, methods, is_told):
    found = migrated(RULE, {**RULE, "id": "lost", "match": {"url": url, "methods": methods}})
    assert any(
        line.startswith("rules.yaml: [0] orders: lost may match these requests as well") for line in found.notes
    ) is (is_told)
