import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.bearer import Malformed, NoToken, Token, bearer_token


@pytest.mark.parametrize(
    ("value", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER   abc", "abc"),
        ("Bearer a.b-c_d~e+f/g==", "a.b-c_d~e+f/g=="),
        (" Bearer abc ", "abc"),
    ],
)
def test_one_bearer_token_in_any_case_of_the_scheme(value: str, token: str) -> None:
    assert bearer_token([value]) == Token(token)


@pytest.mark.parametrize("values", [[], ["Basic dXNlcjpwYXNz"], ["DPoP abc"], ["Digest a=b, c=d"], ["Negotiate"]])
def test_another_scheme_is_no_token(values: list[str]) -> None:
    assert isinstance(bearer_token(values), NoToken)


@pytest.mark.parametrize(
    "values",
    [
        ["Bearer"], ["Bearer "], ["Bearer a b"], ["Bearer a,b"], ["Bearer a, Bearer b"], ["Bearer a=b"], ["Bearer ="],
        ["Bearer a\tb"], ["Bearer\ta"], ["Bearer \u00e9"], ["Bearer a\x00"], ["Bearer a", "Bearer a"],
        ["Bearer a", "Basic b"], [""], ["Bearer " + "a" * 40_000], ["Bearer a;b"],
    ],
)  # fmt: skip
def test_what_is_not_one_token_is_malformed(values: list[str]) -> None:
    assert isinstance(bearer_token(values), Malformed)


@given(st.text() | st.text(st.sampled_from("aZ09-._~+/= \t,é"), max_size=12))
def test_how_the_scheme_is_written_makes_no_difference(credentials: str) -> None:
    usual, other = bearer_token([f"Bearer {credentials}"]), bearer_token([f"bEARER {credentials}"])
    assert (usual, type(usual)) == (other, type(other))


def test_a_token_does_not_show_itself() -> None:
    assert "secret-token" not in repr(Token("secret-token")) + str(Token("secret-token"))
