"""The table of standards names tests that are there, and every key that says how a token is judged."""

import re

from support.named_tests import TESTS, is_there, named_in

from gateway.config.auth_model import Auth
from gateway.config.provider_model import Provider

ROWS = re.findall(
    r"^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", (TESTS.parent / "docs" / "standards.md").read_text(), re.MULTILINE
)
# Of a provider: those that say how tokens are judged, and not who we are or how often it is asked.
OF_PROVIDERS = {
    "validation",
    "algorithms",
    "leeway",
    "claims",
    "introspection",
    "require_token_type",
    "realms",
    "proxy",
    "tls",
}
OF_ROUTES = {"token_from", "proof", "groups", "permissions", "details", "acr", "max_auth_age", "streams"}


def test_each_test_that_is_named_is_there() -> None:
    named = named_in("\n".join(map(" ".join, ROWS)))
    assert len(named) > 30
    assert [one for one in named if not is_there(one)] == []


def test_each_key_has_a_row_with_a_test() -> None:
    assert set(Provider.model_fields) >= OF_PROVIDERS
    assert set(Auth.model_fields) >= OF_ROUTES
    keys = " ".join(key for key, *_ in ROWS)
    assert [key for key in sorted({*OF_PROVIDERS, *OF_ROUTES, "resource"}) if not re.search(rf"`{key}\b", keys)] == []
    assert [key for key, _, test, _ in ROWS[2:] if not named_in(test)] == []
