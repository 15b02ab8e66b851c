import logging
from typing import Any

import pytest
from support.scripted_provider import Reply

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Indeterminate
from gateway.config.provider_model import Provider
from gateway.provider.supported import Supported, read_supported

METHODS = "introspection_endpoint_auth_methods_supported"
DPOP = "dpop_signing_alg_values_supported"
ALGORITHMS = "introspection_signing_alg_values_supported"


def objection(document: dict[str, object], **keys: Any) -> str:
    config = Provider(**{"issuer": "https://a", "client_id": "gw", "client_secret": "s", **keys})
    return read_supported(document).objection(config)


@pytest.mark.parametrize(
    ("document", "keys", "words"),
    [
        ({}, {}, ""),
        ({METHODS: ["client_secret_basic"]}, {}, ""),
        ({METHODS: []}, {}, ""),
        ({METHODS: ["client_secret_post", "private_key_jwt"]}, {}, "and not client_secret_basic"),
        ({METHODS: ["client_secret_post"]}, {"client_auth": "client_secret_post"}, ""),
        ({METHODS: ["client_secret_basic"]}, {"introspection": {"auth": "bearer"}}, "and not bearer"),
        ({METHODS: ["Bearer"]}, {"introspection": {"auth": "bearer"}}, ""),
        ({ALGORITHMS: ["RS256", "HS256"]}, {"introspection": {"accept": "jwt"}}, ""),
        ({ALGORITHMS: ["HS256", "none"]}, {"introspection": {"accept": "jwt"}}, "none of these is accepted"),
        ({ALGORITHMS: ["HS256"]}, {}, ""),
    ],
)
def test_what_the_metadata_says_against_the_configuration(document, keys, words):
    said = objection(document, **keys)
    assert words in said
    assert bool(said) == bool(words)


@pytest.mark.parametrize(
    ("document", "keys", "words"),
    [
        ({}, {}, ""),
        ({DPOP: ["ES256", "ES512"]}, {}, ""),
        ({DPOP: ["ES512"]}, {}, "names for DPoP proofs ES512"),
        ({DPOP: ["ES512"]}, {"algorithms": ("ES512",)}, ""),
    ],
)
def test_proofs_that_the_provider_wants_and_nobody_here_takes_are_told(document, keys, words):
    config = Provider(**{"issuer": "https://a", "client_id": "gw", "client_secret": "s", **keys})
    said = read_supported(document).objection_to_proofs(config)
    assert words in said
    assert bool(said) == bool(words)


@pytest.mark.parametrize("value", [None, 7, "client_secret_post", {}, [7, None, "a\nb", "x" * 100]])
def test_metadata_of_another_form_says_nothing(value):
    assert read_supported({METHODS: value, ALGORITHMS: value, DPOP: value}) == Supported()


async def test_it_is_told_to_the_operator_and_changes_nothing_else(client, scripted, caplog):
    """Documents are often behind what the endpoint does: the question is asked all the same."""
    scripted.discovery = scripted.metadata(**{METHODS: ["private_key_jwt"]})
    scripted.default = {"active": True}
    provider = client(issuer=scripted.issuer)
    with caplog.at_level(logging.WARNING):
        assert isinstance(await provider.introspect(Token("t")), Facts)
    assert "private_key_jwt, and not client_secret_basic" in caplog.text
    scripted.default = Reply(401, {"error": "invalid_client"})
    result = await provider.introspect(Token("u"))
    assert isinstance(result, Indeterminate)
    assert "private_key_jwt, and not client_secret_basic" in result.reason
