"""Where a route looks for its token, against what the gateway empties before and what a proof needs."""

from pathlib import Path

import pytest

from gateway.config.load import load_text
from gateway.config.problems import ConfigError

CERTIFICATES = (
    "server: {trusted_proxies: [10.0.0.1], client_certificate_header: {name: X-Client-Cert, form: pem_escaped}}\n"
)


def file(auth: str, *, top: str = "", more: str = "") -> str:
    return (
        "providers: {sso: {issuer: 'https://sso', client_id: g, client_secret: 0123456789abcdef}}\nroutes:\n"
        f"  - {{name: a, match: {{path: /a}}, backend: 'http://a', auth: {{audience: [a], {auth}}}, "
        "identity: {headers: {X-User-Id: sub}}}\n"
        "  - {name: b, match: {path: /b}, backend: 'http://b', auth: {audience: [a]}, "
        "identity: {headers: {X-B: sub}}}\n"
        f"{top}{more}"
    )


def problems(text: str) -> list[str]:
    try:
        load_text(text, "gateway.yaml", environ={}, directory=Path("/"))
    except ConfigError as error:
        return [problem.render("gateway.yaml") for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (file("token_from: [{header: X-User-Id}]"), "routes[0].auth.token_from[0]", "is an identity header"),
        (file("token_from: [authorization, {header: x_user_id}]"), "auth.token_from[1]", "is an identity header"),
        (file("token_from: [{header: X-B}]"), "auth.token_from[0]", "is an identity header"),
        (
            file("token_from: [{header: X.Client.Cert}]", top=CERTIFICATES),
            "auth.token_from[0]",
            "server.client_certificate_header",
        ),
        (file("token_from: [{cookie: t}], proof: required"), "routes[0].auth.proof", "nobody gets in"),
        (file("token_from: [{header: X-Token}, {query: t}], proof: required"), "routes[0].auth.proof", "if_bound"),
        (
            file("token_from: [{cookie: t}]", more="defaults: {auth: {proof: required}}\n"),
            "defaults.auth.proof",
            "add authorization there",
        ),
    ],
)
def test_a_route_that_would_let_nobody_in_is_a_problem(text: str, place: str, words: str) -> None:
    found = problems(text)
    assert len(found) == 1, found
    assert place in found[0]
    assert words in found[0]


@pytest.mark.parametrize(
    "text",
    [
        file("token_from: [{header: X-Token}]", top=CERTIFICATES),
        file("token_from: [authorization, {cookie: t}], proof: required"),
        file("token_from: [{cookie: t}], proof: if_bound"),
        # From proxies alone, which may be meant.
        file(
            "token_from: [{header: X-Token}]",
            top="server: {trusted_proxies: [10.0.0.1], trusted_headers: [X-Token]}\n",
        ),
    ],
)
def test_others_are_not(text: str) -> None:
    assert problems(text) == []
