"""What a resource's metadata says of the ways to send a token (RFC 9728 §2)."""

import json
from pathlib import Path

import pytest

from gateway.config.load import load_text
from gateway.config.published_resources import compile_resources

PLACE = ("a.example", "/.well-known/oauth-protected-resource/m")


def methods(*places: str) -> list[str]:
    """Of a resource with a route for each list of places."""
    routes = "".join(
        f"  - {{name: r{number}, match: {{path: /r{number}}}, backend: 'http://b', auth: {{token_from: {each}}}, "
        "resource: {identifier: 'https://a.example/m'}}\n"
        for number, each in enumerate(places)
    )
    providers = "providers: {sso: {issuer: 'https://sso', client_id: g, client_secret: 0123456789abcdef}}\n"
    config = load_text(f"{providers}routes:\n{routes}", "gateway.yaml", environ={}, directory=Path("/"))
    document = json.loads(compile_resources(config)[PLACE].body)
    found: list[str] = document["bearer_methods_supported"]
    return found


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (("[authorization]",), ["header"]),
        (("[authorization, {query: access_token}]",), ["header", "query"]),
        (("[{query: access_token}]",), ["query"]),
        # RFC 6750 §2.3 has one name for the parameter, and §2.1 one for the header.
        (("[authorization, {query: token}]",), ["header"]),
        (("[{header: X-Token}]",), []),
        (("[{cookie: t}]",), []),
        (("[{cookie: t}]", "[{query: access_token}]", "[authorization]"), ["header", "query"]),
    ],
)
def test_the_ways_that_the_routes_take_are_named(places: tuple[str, ...], expected: list[str]) -> None:
    assert methods(*places) == expected
