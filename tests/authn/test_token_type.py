import pytest

from gateway.authn.token_type import TokenTypeRule, not_access_token, unknown_condition

BEARER = {"token_type": "Bearer"}


@pytest.mark.parametrize(
    ("claims", "header_type", "says"),
    [
        ({"typ": "Refresh"}, None, "typ is refresh"),
        ({"typ": "ID", **BEARER}, None, "typ is id"),
        ({"token_type": "ID"}, None, "token_type is id"),
        ({"token_use": "id_token"}, None, "token_use is id_token"),
        (BEARER, "logout+jwt", "typ in its header is logout+jwt"),
        ({}, "refresh+jwt", "typ in its header is refresh+jwt"),
        *(({name: "x"}, None, name) for name in ("nonce", "at_hash", "c_hash", "s_hash")),
        ({"nonce": ""}, "at+jwt", "nonce"),
    ],
)
def test_a_mark_of_another_kind_is_told(claims, header_type, says) -> None:
    assert says in (not_access_token(claims, header_type) or "")


@pytest.mark.parametrize(
    ("claims", "header_type"),
    [
        ({}, None),
        (BEARER, "jwt"),
        ({}, "at+jwt"),
        ({"typ": "Bearer"}, "whatever"),
        ({"nonce": "n", "at_hash": "h", **BEARER}, None),  # as Keycloak's access tokens, where a mapper says so
        ({"nonce": None}, None),
        ({"typ": 5, "token_use": ["id"]}, None),
    ],
)
def test_an_access_token_has_none(claims, header_type) -> None:
    assert not_access_token(claims, header_type) is None


@pytest.mark.parametrize(("crit", "is_understood"), [(None, True), (["b64"], False), ([], False), ("x", False)])
def test_what_must_be_understood_is_not(crit, is_understood) -> None:
    assert (unknown_condition({"crit": crit}) is None) is is_understood
    assert unknown_condition({}) is None


class TestRule:
    @pytest.mark.parametrize("token_type", ["Bearer", "bearer", "DPoP"])
    def test_auto_learns_once_and_for_good(self, token_type) -> None:
        rule = TokenTypeRule("auto")
        assert not rule.required
        assert rule.can_learn
        assert rule.learns_from({"token_type": token_type})
        assert rule.required
        assert rule.learned
        assert not rule.can_learn
        assert not rule.learns_from({"token_type": token_type})
        assert not rule.learns_from({})
        assert rule.required

    @pytest.mark.parametrize("claims", [{}, {"token_type": None}, {"token_type": "N_A"}, {"token_type": ["Bearer"]}])
    def test_it_learns_from_access_tokens_alone(self, claims) -> None:
        rule = TokenTypeRule("auto")
        assert not rule.learns_from(claims)
        assert not rule.required

    def test_what_is_written_out_stays(self) -> None:
        never, always = TokenTypeRule(mode=False), TokenTypeRule(mode=True)
        for rule in (never, always):
            assert not rule.learns_from({"token_type": "Bearer"})
            assert not rule.learn()
            assert not rule.can_learn
            assert not rule.learned
        assert (never.required, always.required) == (False, True)
