"""What `gateway check` warns of, in a file that can be used."""

import datetime as dt
import json
from pathlib import Path

import pytest
import trustme

from gateway.config.dangers import MILD, keys_warned_of
from gateway.config.keys import keys_below
from gateway.config.load import load_text, warnings_of
from gateway.config.model import Config
from gateway.config.problems import ConfigError, Problem
from gateway.config.report import in_order, report

NOW_S = 1_700_000_000.0
SECRET = "0123456789abcdef"


def warned(text: str, directory: Path = Path("/"), **environ: str) -> list[str]:
    found = warnings_of(text, "gateway.yaml", environ=environ, directory=directory, now_s=NOW_S)
    return [problem.render("gateway.yaml", "warning") for problem in found]


def file(route: str = "", *, top: str = "", provider: str = "", path: str = "/a") -> str:
    """A file that nothing is warned of, with more of a route, of the top or of the provider."""
    audience = "" if "auth:" in route else "auth: {audience: [a]}, "
    return (
        f"providers: {{sso: {{issuer: 'https://sso', client_id: g, client_secret: {SECRET}{provider}}}}}\n"
        f"routes:\n  - {{name: a, match: {{path: '{path}'}}, {audience}backend: 'http://a'{route}}}\n{top}"
    )


def test_there_is_nothing_to_warn_of_in_a_plain_file() -> None:
    assert warned(file()) == []


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (file(", authorization: keep"), "3: warning: routes[0].authorization", "can act as the caller elsewhere"),
        (file(", auth: {audience: [a], proof: ignore}"), "3: warning: routes[0].auth.proof", "write if_bound"),
        (file(", auth: {audience: [a], streams: keep}"), "3: warning: routes[0].auth.streams", "write end"),
        (file(", auth: {audience: [a], stale_if_error: 5m}"), "3: warning: routes[0].auth.stale_if_error", "revoked"),
        (
            file(", auth: {audience: [a], stale_if_error: 5m, stale_methods: [POST]}"),
            "3: warning: routes[0].auth.stale_methods",
            "write [GET, HEAD]",
        ),
        (file(provider=", validation: jwt"), "1: warning: providers.sso.validation", "events: {} or admin.token"),
        (
            file(provider=", validation: jwt, algorithms: [ES256, ES512]", top="events: {}\n"),
            "1: warning: providers.sso.algorithms[1]",
            "write ES256",
        ),
        (
            (
                "providers: {sso: {issuer: 'https://sso', validation: jwt}}\nevents: {}\nroutes:\n"
                "  - {name: a, auth: {audience: [a]}, backend: 'http://a'}\n"
            ),
            "1: warning: providers.sso",
            "events: {audience",
        ),
        (file(", allow_encoded_slash: true"), "3: warning: routes[0].allow_encoded_slash", "%2F"),
        (file(", allow_path_parameters: true"), "3: warning: routes[0].allow_path_parameters", "policy"),
        (file(", max_body: unlimited"), "3: warning: routes[0].max_body", "100MiB"),
        (file(top="defaults: {max_body: unlimited}\n"), "4: warning: defaults.max_body", "100MiB"),
        (file(top="server: {max_body: unlimited}\n"), "4: warning: server.max_body", "100MiB"),
        (file(top="server: {min_body_rate: 0}\n"), "4: warning: server.min_body_rate", "1KiB"),
        (file(top="server: {unknown_tokens: null}\n"), "4: warning: server.unknown_tokens", "calls to the provider"),
        (
            file(top="server: {trusted_proxies: [10.0.0.1], trusted_headers: [X-Real-IP]}\n"),
            "server.trusted_headers",
            "",
        ),
        (file(top="server: {trusted_proxies: [0.0.0.0/0]}\n"), "4: warning: server.trusted_proxies[0]", "every client"),
        (file(top="server: {trusted_proxies: ['::/0']}\n"), "4: warning: server.trusted_proxies[0]", "every client"),
        (file(top="server: {drain_delay: 48h}\n"), "4: warning: server.drain_delay", "such as 10s"),
        (
            file(top="server: {max_connections: 10, max_connections_per_network: 11}\n"),
            "4: warning: server.max_connections_per_network",
            "write less",
        ),
        (file(top="server: {workers: 4}\n"), "4: warning: server.workers", "cache.redis"),
        (file(top="admin: {listen: 0.0.0.0:9090}\n"), "4: warning: admin.listen", "127.0.0.1:9090"),
        (file(top="decisions: {listen: 0.0.0.0:9191}\n"), "4: warning: decisions.listen", "127.0.0.1:9191"),
        (file(top="cache: {ttl: 24h}\n"), "4: warning: cache.ttl", "revoked"),
        (file(top="cache: {clock_skew: 5m}\n"), "4: warning: cache.clock_skew", "revoked"),
        (file(provider=", breaker: null"), "1: warning: providers.sso.breaker", "leave the key out"),
        (file(provider=", require_token_type: false"), "1: warning: providers.sso.require_token_type", "write auto"),
        (file(provider=", token_endpoint: 'http://sso/token'"), "1: warning: providers.sso.token_endpoint", "https://"),
        (file().replace("https://sso", "http://sso"), "1: warning: providers.sso.issuer", "https://"),
        (file().replace(SECRET, "short"), "1: warning: providers.sso.client_secret", "5 characters"),
        (
            file().replace(SECRET, "$GATEWAY_SECRET"),
            "1: warning: providers.sso.client_secret",
            "write ${GATEWAY_SECRET}",
        ),
        (file().replace(SECRET, "\u201cgateway-secret\u201d"), "providers.sso.client_secret", "typographic quotes"),
        (file(path="/orders/:id"), "3: warning: routes[0].match.path", ":id is matched as it stands; write {id}"),
        (file(", rewrite: /v2/$1"), "3: warning: routes[0].rewrite", "$1 is sent as it stands"),
        (file(", request_headers: {set: {X-A: '{{ .Values.a }}'}}"), "request_headers.set.X-A", "template"),
        (
            file().replace("match: {", "match: {methods: [GTE], "),
            "3: warning: routes[0].match.methods[0]",
            "GTE is not a method that is known; write GET, if you mean that",
        ),
        (
            file(", auth: {audience: [a], roles: [realm_access.roles.manager]}"),
            "3: warning: routes[0].auth.roles[0]",
            "write manager",
        ),
        (file(", auth: {audience: [a], roles: ['realm:manager']}"), "routes[0].auth.roles[0]", "write manager"),
        (
            file(provider=", validation: jwt, introspection: {accept: jwt}", top="events: {}\n"),
            "1: warning: providers.sso.introspection",
            "with validation: jwt nobody is asked",
        ),
        (
            file(provider=", validation: jwt, introspection_endpoint: 'https://sso/i'", top="events: {}\n"),
            "1: warning: providers.sso.introspection_endpoint",
            "write jwt_then_introspection",
        ),
        (file(provider=", client_auth: none"), "1: warning: providers.sso.client_secret", "does not use it"),
        (file(provider=", private_key_id: k1"), "1: warning: providers.sso.private_key_id", "does not use it"),
        (file(top="server: {trusted_headers: [X-Real-IP]}\n"), "4: warning: server.trusted_headers", "there are none"),
        (
            file(", auth: {audience: [a], proof: ignore}", top="server: {dpop_nonce: true}\n"),
            "4: warning: server.dpop_nonce",
            "no route looks at a DPoP proof",
        ),
        (
            file(", auth: {audience: [a], stale_methods: [GET]}"),
            "3: warning: routes[0].auth.stale_methods",
            "without stale_if_error",
        ),
        (file(", auth: {scopes: [a]}"), "3: warning: routes[0]: audience is left out", "write audience: [orders-api]"),
    ],
)
def test_it_is_warned_of(text, place, words) -> None:
    load_text(text, "gateway.yaml", environ={}, directory=Path("/"))  # it can be used
    found = warned(text)
    assert any(place in line and words in line for line in found), found
    assert all("; " in line for line in found)


@pytest.mark.parametrize(
    "text",
    [
        file(", auth: none"),
        file(", authorization: strip"),
        file(top="admin: {listen: 127.0.0.1:9090}\nserver: {workers: 1, trusted_proxies: [10.0.0.0/8]}\n"),
        file(provider=", introspection_endpoint: 'http://127.0.0.1:8081/i'"),
        file(", response_headers: {set: {X-Price: '5$', X-B: '$$A'}}"),
        file().replace("match: {", "match: {methods: [PROPFIND, PURGE], "),
        file(path="/orders/a:b"),
    ],
)
def test_nobody_is_warned_of_what_is_as_it_should_be(text) -> None:
    assert warned(text) == []


def test_a_route_for_everything_beside_guarded_ones_of_its_backend() -> None:
    text = file() + "  - {name: site, match: {path: /**}, auth: none, backend: 'http://a'}\n"
    [line] = warned(text)
    assert line.startswith("gateway.yaml:4: warning: routes[1].match.path: what a does not match reaches its backend")
    assert warned(text.replace("none, backend: 'http://a'", "none, backend: 'http://b'")) == []


def test_routes_without_audience_are_told_once() -> None:
    text = "providers: {sso: {issuer: 'https://sso', client_id: g, client_secret: 0123456789abcdef}}\nroutes:\n"
    text += "".join(f"  - {{name: r{n}, match: {{path: /r{n}}}, backend: 'http://a'}}\n" for n in range(3))
    [line] = warned(text)
    assert line.startswith("gateway.yaml:3: warning: routes[0]: audience is left out")
    assert line.endswith("(and 2 more routes)")


def test_a_secret_of_the_environment_with_a_line_end_is_told_and_not_shown() -> None:
    [line] = warned(file().replace(SECRET, "'${S}'"), S="secret-of-the-client\n")
    assert "begins or ends with white space" in line
    assert "secret-of-the-client" not in line


def test_a_certificate_that_has_ended_or_ends_soon(tmp_path) -> None:
    def expiring(days: float) -> list[str]:
        end = dt.datetime.fromtimestamp(NOW_S, dt.UTC) + dt.timedelta(days=days)
        pair = trustme.CA().issue_cert("localhost", not_after=end)
        pair.private_key_pem.write_to_path(tmp_path / "key.pem")
        (tmp_path / "cert.pem").write_bytes(pair.cert_chain_pems[0].bytes())
        return warned(file(top="server: {tls: {certificate: cert.pem, key: key.pem}}\n"), tmp_path)

    assert [line.partition("cert.pem ")[2] for line in expiring(-1)] == ["ended on 2023-11-13; write a new one"]
    assert [line.partition("cert.pem ")[2] for line in expiring(5)] == ["ends on 2023-11-19; write a new one"]
    assert expiring(20) == []


def test_how_a_client_shows_its_certificate_says_nothing_where_none_is_asked_for(tmp_path) -> None:
    authority = trustme.CA()
    end = dt.datetime.fromtimestamp(NOW_S, dt.UTC) + dt.timedelta(days=90)
    pair = authority.issue_cert("localhost", not_after=end)
    pair.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "cert.pem").write_bytes(pair.cert_chain_pems[0].bytes())
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = "tls: {certificate: cert.pem, key: key.pem, client_certificate: demand"
    (line,) = warned(file(top=f"server: {{{tls}}}}}\n"), tmp_path)
    assert "server.tls.client_certificate: without client_ca" in line
    assert warned(file(top=f"server: {{{tls}, client_ca: ca.pem}}}}\n"), tmp_path) == []
    asks = tls.replace("demand", "ask")  # any certificate is taken then, for tokens that are bound to one
    assert warned(file(top=f"server: {{{asks}}}}}\n"), tmp_path) == []
    (line,) = warned(file(top=f"server: {{{asks}, client_ca: ca.pem}}}}\n"), tmp_path)
    assert "server.tls.client_ca: with client_certificate: ask no certificate is checked" in line


def test_the_certificates_shown_to_providers_and_backends_are_looked_at_too(tmp_path) -> None:
    end = dt.datetime.fromtimestamp(NOW_S, dt.UTC) + dt.timedelta(days=5)
    pair = trustme.CA().issue_cert("gateway", not_after=end)
    pair.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "cert.pem").write_bytes(pair.cert_chain_pems[0].bytes())
    tls = "tls: {certificate: cert.pem, key: key.pem}"
    text = file(provider=f", {tls}").replace("backend: 'http://a'", f"backend: {{url: 'https://a', {tls}}}")
    lines = [line for line in warned(text, tmp_path) if "cert.pem ends on 2023-11-19" in line]
    places = [line.split(": ")[2] for line in lines]
    assert places == ["providers.sso.tls.certificate", "routes[0].backend.tls.certificate"]


def test_of_a_file_with_problems_nobody_is_warned() -> None:
    with pytest.raises(ConfigError):
        warned(file(", authorization: kept"))


def test_each_key_that_is_called_a_danger_is_warned_of_or_said_to_be_mild() -> None:
    dangerous = {key.path for key in keys_below(Config) if key.danger}
    assert dangerous - keys_warned_of() == set(MILD)


FOUND = in_order(
    [Problem("routes[0].backend", "100% wrong; write less", 7)], [Problem("cache.ttl", "long,\nlong; write 60s", 2)]
)


def test_findings_as_lines() -> None:
    assert report("g.yaml", FOUND, "text").splitlines()[0] == "g.yaml:2: warning: cache.ttl: long,"
    assert report("g.yaml", FOUND, "text").endswith("g.yaml:7: routes[0].backend: 100% wrong; write less")


def test_findings_as_json() -> None:
    first, second = json.loads(report("g.yaml", FOUND, "json"))
    assert first == {
        "level": "warning",
        "file": "g.yaml",
        "line": 2,
        "path": "cache.ttl",
        "text": "long,\nlong; write 60s",
    }
    assert (second["level"], second["line"]) == ("error", 7)
    assert json.loads(report("g.yaml", [], "json")) == []


def test_findings_as_annotations() -> None:
    assert report("a,b:g.yaml", FOUND, "github").splitlines() == [
        "::warning file=a%2Cb%3Ag.yaml,line=2::cache.ttl: long,%0Along; write 60s",
        "::error file=a%2Cb%3Ag.yaml,line=7::routes[0].backend: 100%25 wrong; write less",
    ]


@pytest.mark.parametrize("way", ["events: {}\n", "admin: {token: 0123456789abcdef}\n"])
def test_one_way_for_revocations_to_arrive_is_enough_for_jwts(way) -> None:
    assert warned(file(provider=", validation: jwt", top=way)) == []
