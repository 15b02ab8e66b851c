"""What may be written under `introspection` of a provider, and what is said of the rest."""

import pytest
from support.configuration import ROUTE, lines, loaded

P = "issuer: https://sso.example.com, client_id: gw, client_secret: hush-hush"


def file(introspection: str, provider: str = P) -> str:
    return f"providers: {{p: {{{provider}, introspection: {introspection}}}}}\n{ROUTE}"


def test_what_is_left_out_asks_as_rfc_7662_has_it() -> None:
    how = loaded(file("{}")).providers["p"].introspection
    assert (how.accept, how.token_type_hint, how.headers, how.parameters, how.auth) == (
        "json",
        "access_token",
        {},
        {},
        "client",
    )
    assert loaded(file("{token_type_hint: null}")).providers["p"].introspection.token_type_hint is None


def test_headers_and_parameters_are_as_written_and_not_shown() -> None:
    how = loaded(file("{headers: {host: sso.internal, X-Api-Key: k3y-of-us}, parameters: {realm: 7, resource: r}}"))
    settings = how.providers["p"].introspection
    assert settings.headers == {"Host": "sso.internal", "X-Api-Key": "k3y-of-us"}
    assert settings.parameters == {"realm": "7", "resource": "r"}
    assert "k3y-of-us" not in repr(how)


@pytest.mark.parametrize(
    ("introspection", "place", "words"),
    [
        *[
            (f"{{headers: {{{name}: x}}}}", f"headers.{name}", "written by the gateway itself; ")
            for name in ("Authorization", "authorization", "Accept", "accept", "Accept-Encoding", "Accept_Charset")
        ],
        *[
            (f"{{headers: {{{name}: x}}}}", f"headers.{name}", "describes the form")
            for name in ("Content-Type", "Content-Length", "content-encoding", "Content_Type", "ContentType")
        ],
        *[
            (f"{{headers: {{{name}: x}}}}", f"headers.{name}", "belongs to the connection")
            for name in ("Connection", "Transfer-Encoding", "Proxy-Authorization", "Expect")
        ],
        ("{headers: {'X Y': x}}", "headers['X Y']", "not a header name"),
        ('{headers: {X-A: "a\\nb"}}', "headers.X-A", "control character"),
        ("{headers: {X-A: b, x_a: c}}", "headers.x_a", "X-A are one header"),
        *[
            (f"{{parameters: {{{name}: x}}}}", f"parameters.{name}", "written by the gateway itself; ")
            for name in (
                "token",
                "token_type_hint",
                "client_id",
                "client_secret",
                "client_assertion",
                "client_assertion_type",
                "Token",
            )
        ],
        ("{parameters: {'a b': x}}", "parameters['a b']", "not the name of a parameter"),
        ("{parameters: {a: [x]}}", "parameters.a", "not a parameter's value"),
        ("{parameters: {a: true}}", "parameters.a", "not a parameter's value"),
        ("{token_type_hint: refresh_token}", "token_type_hint", "write access_token"),
        ("{token_type_hint: ''}", "token_type_hint", "write access_token"),
        ("{accept: xml}", "accept", "json"),
        ("{auth: basic}", "auth", "bearer"),
        ("{hint: x}", "hint", "unknown key"),
    ],
)
def test_what_the_gateway_writes_itself_is_refused(introspection: str, place: str, words: str) -> None:
    [line] = lines(file(introspection))
    assert line.startswith(f"1: providers.p.introspection.{place}: ")
    assert words in line
    assert "; " in line


@pytest.mark.parametrize(
    ("introspection", "provider", "place", "words"),
    [
        ("{accept: jwt}", "introspection_endpoint: https://a/i, client_id: g, client_auth: none", "accept", "issuer:"),
        ("{auth: bearer}", "issuer: https://a, client_id: gw, client_auth: none", "auth", "client_auth"),
        (
            "{auth: bearer}",
            "introspection_endpoint: https://a/i, client_id: gw, client_secret: hush-hush",
            "auth",
            "token_endpoint:",
        ),
    ],
)
def test_what_it_needs_beside_it_is_told(introspection: str, provider: str, place: str, words: str) -> None:
    [line] = lines(file(introspection, provider))
    assert line.startswith(f"1: providers.p.introspection.{place}: ")
    assert words in line


def test_a_consequence_of_another_problem_is_not_reported() -> None:
    provider = "issuer: https://a, client_id: gw, client_secret: hush-hush, client_auth: nonsense"
    [line] = lines(file("{auth: bearer}", provider))
    assert line.startswith("1: providers.p.client_auth: ")
