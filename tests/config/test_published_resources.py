"""What a resource's metadata says of the ways to send a token (RFC 9728 §2)."""

import json
from pathlib import Path

import pytest
from support.configuration import PROVIDER, lines

from gateway.config.addresses import parse_resource
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


@pytest.mark.parametrize(
    ("identifier", "says"),
    [
        ('https://a.example/x"y', "a character that no URL has"),  # it would end the quotes of the challenge
        ("https://a.example/x\\y", "a character that no URL has"),
        ("https://a.example/{x}", "a character that no URL has"),
        ("https://a.example/%7Ex", "not in its canonical form"),
        ("https://a.example/a/../b", "not in its canonical form"),
        ("https://a.example//b", "not in its canonical form"),
        ("https://a.example/x#y", "a query or a fragment"),
        ("http://a.example/x", "not an https URL"),
    ],
)
def test_an_identifier_that_is_not_a_url_in_its_canonical_form_is_a_problem(identifier: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_resource(identifier)


def problems(*identifiers: str) -> list[str]:
    routes = "".join(
        f"  - {{name: r{number}, match: {{path: /{number}}}, backend: http://b, resource: {{identifier: '{one}'}}}}\n"
        for number, one in enumerate(identifiers)
    )
    return lines(f"{PROVIDER}routes:\n{routes}")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://a.example", "https://a.example/"),
        ("https://a.example/m?tenant=1", "https://a.example/m?tenant=2"),
        ("https://a.example/m", "https://A.example:8443/m"),
    ],
)
def test_two_resources_whose_metadata_would_have_one_place_are_a_problem(one: str, other: str) -> None:
    """A client refuses metadata that name another resource (RFC 9728 §3.3)."""
    assert problems(one, one, "https://b.example/m") == []
    [line] = problems(one, other)
    assert line.startswith("4: routes[1].resource.identifier: its metadata would be where those of https://a.example")
