import pytest

from gateway.authn.confirmation import confirmation_of

BEARER = {"token_type": "Bearer"}
JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


@pytest.mark.parametrize("claims", [{}, BEARER, {"token_type": "bearer"}, {"token_type": "BEARER"}, {"cnf": None}])
def test_a_bearer_token_is_good_in_anybodys_hand(claims) -> None:
    assert not confirmation_of(claims).is_bound


@pytest.mark.parametrize("token_type", [{}, BEARER, {"token_type": "DPoP"}, {"token_type": "dpop"}])
def test_a_key_binds_whatever_the_type(token_type) -> None:
    found = confirmation_of({"cnf": {"jkt": JKT}, **token_type})
    assert (found.jkt, found.x5t, found.problem) == (JKT, None, None)
    both = confirmation_of({"cnf": {"jkt": JKT, "x5t#S256": "x"}, **token_type})
    assert (both.jkt, both.x5t, both.problem) == (JKT, "x", None)
    assert JKT not in both.in_words


def test_a_certificate_binds() -> None:
    found = confirmation_of({"cnf": {"x5t#S256": "x"}, **BEARER})
    assert (found.jkt, found.x5t, found.problem) == (None, "x", None)


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"cnf": {"jkt": JKT, "kid": "2"}}, "cnf (jkt, kid), which is not understood"),
        ({"cnf": {"jwk": {}}}, "cnf (jwk)"),
        ({"cnf": {"x5t": "x"}}, "cnf (x5t)"),
        ({"cnf": {"jkt": 1}}, "cnf (jkt), and a member is not a text"),
        ({"cnf": {"jkt": ""}}, "not a text"),
        ({"cnf": {}}, "cnf ()"),
        ({"cnf": "x"}, "cnf ()"),
        ({"cnf": []}, "cnf ()"),
        ({"token_type": "DPoP"}, "token_type is DPoP"),
        ({"token_type": "DPoP", "cnf": {"x5t#S256": "x"}}, "without jkt"),
        ({"token_type": "mac"}, "token_type is mac"),
        ({"token_type": "mac", "cnf": {"jkt": JKT}}, "token_type is mac"),
        ({"token_type": "N_A\r\nX: y"}, "token_type is N_AX: y,"),
        ({"token_type": ""}, "token_type is "),
        ({"token_type": 5}, "token_type is not a text"),
        ({"token_type": ["Bearer"]}, "token_type is not a text"),
    ],
)
def test_what_is_not_understood_can_be_proved_by_nobody(claims, says) -> None:
    found = confirmation_of(claims)
    assert found.is_bound
    assert says in (found.problem or "")
    assert "0ZcO" not in (found.problem or "")
