import json

import pytest

from gateway.http.protected_resource import metadata_document, metadata_location
from gateway.http.refusal import Refusal, challenge, with_parameter


@pytest.mark.parametrize(
    ("identifier", "url", "host", "path"),
    [
        ("https://a.example", "https://a.example/.well-known/oauth-protected-resource", "a.example", ""),
        ("https://a.example/", "https://a.example/.well-known/oauth-protected-resource", "a.example", ""),
        ("https://[0:0::1]/m", "https://[0:0::1]/.well-known/oauth-protected-resource/m", "[::1]", "/m"),
        ("https://a.example./m", "https://a.example./.well-known/oauth-protected-resource/m", "a.example", "/m"),
        ("https://a.example/mcp", "https://a.example/.well-known/oauth-protected-resource/mcp", "a.example", "/mcp"),
        (
            "https://A.example:8443/mcp/x/?v=1",
            "https://A.example:8443/.well-known/oauth-protected-resource/mcp/x/?v=1",
            "a.example",
            "/mcp/x/",
        ),
    ],
)
def test_the_well_known_name_goes_before_the_path(identifier, url, host, path) -> None:
    location = metadata_location(identifier)
    assert (location.url, location.host) == (url, host)
    assert location.path == "/.well-known/oauth-protected-resource" + path


def test_the_document_names_each_thing_once_and_nothing_that_is_not_there() -> None:
    document = json.loads(
        metadata_document(
            "https://a/m", ["https://s", "https://t", "https://s"], ["x", "y", "x"], ["header", "query"], "M"
        )
    )
    assert document == {
        "resource": "https://a/m",
        "authorization_servers": ["https://s", "https://t"],
        "scopes_supported": ["x", "y"],
        "bearer_methods_supported": ["header", "query"],
        "resource_name": "M",
    }
    assert json.loads(metadata_document("https://a/m", [], [], [], None)) == {
        "resource": "https://a/m",
        "bearer_methods_supported": [],
    }


def test_a_challenge_gets_one_more_parameter_and_other_refusals_none() -> None:
    ((_, text),) = with_parameter(challenge("token_missing", "no"), "resource_metadata", "https://a/m").headers
    assert text == 'Bearer realm="gateway", resource_metadata="https://a/m"'
    for refusal in (challenge("invalid_request", "no"), Refusal("no_route", "no"), Refusal("unsafe_claim", "no")):
        assert with_parameter(refusal, "resource_metadata", "https://a/m") == refusal
