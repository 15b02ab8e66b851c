import pytest

from gateway.authn.bearer import MALFORMED, NO_TOKEN, TOKEN_MAX_CHARS, bearer_token
from gateway.authn.bearer_reasons import why_malformed, why_no_token

SECRET = "t0k3n-nobody-may-see"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], "there is no Authorization field, Bearer wanted"),
        (["Basic YWxpY2U6c2VjcmV0"], "the scheme is Basic, Bearer wanted"),
        (["bASIC x"], "the scheme is Basic, Bearer wanted"),
        (["DPoP x"], "the scheme is DPoP, Bearer wanted"),
        ([SECRET + " x"], "the scheme is not Bearer, Bearer wanted"),
        ([SECRET], "the Authorization field has one word and no scheme before it, Bearer wanted"),
    ],
)
def test_why_there_is_no_token(values, reason):
    assert bearer_token(values) is NO_TOKEN
    assert why_no_token(values) == reason


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([f"Bearer {SECRET}", f"Bearer {SECRET}"], "there are 2 Authorization fields, one wanted"),
        (["Bearer"], "there is no token behind the scheme"),
        (["Bearer  "], "there is no token behind the scheme"),
        ([f"Bearer {SECRET}, Bearer {SECRET}"], "there is more than one word behind the scheme"),
        ([f"Bearer {SECRET} x"], "there is more than one word behind the scheme"),
        (["Bearer " + "a" * (TOKEN_MAX_CHARS + 1)], "the token has 32769 characters, 32768 are allowed"),
        ([f'Bearer "{SECRET}"'], "character 1 of the token, U+0022, is one that no bearer token has"),
        (["Bearer aé"], "character 2 of the token, U+00E9, is one that no bearer token has"),
        (["Bearer a=b"], "character 2 of the token, U+003D, is one that no bearer token has"),
        (["Bearer ="], "the token is not a b64token (RFC 6750 §2.1)"),
    ],
)
def test_why_it_is_not_one_token(values, reason):
    assert bearer_token(values) is MALFORMED
    assert why_malformed(values) == reason
    assert SECRET not in reason


@pytest.mark.parametrize("value", ["", " ", "\x00", "é é", "Bearer\ta", "=", "Bearer \x7f"])
def test_every_value_has_a_bounded_printable_reason(value):
    for why in (why_no_token, why_malformed):
        assert why([value]).isprintable()
        assert len(why([value])) < 200
