import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn import bearer
from gateway.authn.bearer import Malformed, NoToken, Token, bearer_token, remember


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


def test_a_remembered_token_is_found_again_with_its_cache_key_and_another_is_not() -> None:
    token = bearer_token(["Bearer remembered"])
    assert isinstance(token, Token)
    assert bearer_token(["Bearer remembered"]) is not token
    remember(token)
    assert bearer_token(["Bearer remembered"]) is token
    assert bearer_token(["Bearer remembered2"]) == Token("remembered2")
    assert isinstance(bearer_token(["Bearer remembered "]), Token)
    assert isinstance(bearer_token(["Bearer remembered", "Bearer remembered"]), Malformed)
    assert isinstance(bearer_token(["DPoP remembered"]), NoToken)


def test_few_tokens_are_remembered_and_none_that_is_very_long() -> None:
    remember(Token("a" * (bearer._REMEMBERED_CHARS + 1)))
    assert all(len(value) <= bearer._REMEMBERED_CHARS + 7 for value in bearer._remembered)
    for number in range(bearer._REMEMBERED_MAX + 10):
        remember(Token(f"of-many-{number}"))
        assert len(bearer._remembered) <= bearer._REMEMBERED_MAX
    last = f"Bearer of-many-{bearer._REMEMBERED_MAX + 9}"
    assert bearer_token([last]) is bearer_token([last])
