import pytest

from gateway.authn.claims import claim_at


@pytest.mark.parametrize(
    ("claims", "found"),
    [
        ({"org": {"unit": "it"}, "org.unit": "sales"}, "it"),
        ({"org": {"unit": None}, "org.unit": "sales"}, None),
        ({"org": {"unit": ""}, "org.unit": "sales"}, ""),
        ({"org.unit": "sales"}, "sales"),
        ({"org": {}, "org.unit": "sales"}, "sales"),
        ({"org": "x", "org.unit": "sales"}, "sales"),
        ({"org": "x"}, None),
        ({}, None),
    ],
)
def test_the_nested_claim_counts_before_one_whose_name_has_dots(claims, found) -> None:
    assert claim_at(claims, ("org", "unit")) == found


def test_a_name_with_dots_is_found_as_a_whole() -> None:
    path = ("https://example", "com/tenant")
    assert claim_at({"https://example.com/tenant": "acme"}, path) == "acme"
    assert claim_at({"sub": "bob"}, ("sub",)) == "bob"
    assert claim_at({"sub": None}, ("sub",)) is None
