import pytest

from gateway.config.wire_values import (
    parse_cors_header_name,
    parse_header_name,
    parse_identity_name,
    parse_trusted_name,
)
from gateway.http.header_names import fold_header_name, is_from_proxies, may_be_nominated


@pytest.mark.parametrize("name", ["X-User-Id", "x_user_id", "x.user-id", "X!User!Id", "XUserId", "-x--USER+id~"])
def test_letters_and_digits_are_what_counts(name):
    assert fold_header_name(name) == "xuserid"


def test_other_letters_or_digits_are_another_name():
    assert len({fold_header_name(name) for name in ("X-User-Id", "X-User-Id2", "X-Users-Id", "---")}) == 4


@pytest.mark.parametrize("name", ["X!Forwarded!User", "xoriginalurl", "X-Envoy-Whatever", "x_real.ip", "Remote-User"])
def test_what_proxies_say_is_known_in_every_spelling(name):
    assert is_from_proxies(fold_header_name(name))


@pytest.mark.parametrize("name", ["Authorization", "Content-Anything", "X-Forwarded-User", "---", "x_request_id"])
def test_what_decides_is_not_nominated(name):
    assert not may_be_nominated(fold_header_name(name))


@pytest.mark.parametrize("name", ["Content_Length", "Transfer!Encoding", "HOST", "keepalive", "T.E"])
def test_framing_and_hop_by_hop_names_are_not_configured_in_any_spelling(name):
    with pytest.raises(ValueError, match="belongs to the connection"):
        parse_header_name(name)


@pytest.mark.parametrize("name", ["---", "_", "*", "!.!"])
def test_a_name_without_a_letter_or_digit_is_none(name):
    for parse in (parse_header_name, parse_identity_name, parse_trusted_name):
        with pytest.raises(ValueError, match="neither letter nor digit"):
            parse(name)


def test_a_star_is_any_header_to_cors():
    assert parse_cors_header_name("*") == "*"
    with pytest.raises(ValueError, match="neither letter nor digit"):
        parse_cors_header_name("**")


@pytest.mark.parametrize("name", ["Proxy", "X!Forwarded!User", "authori_zation", "Content-Id", "X_Request_Id", "Via"])
def test_an_identity_header_has_no_other_meaning(name):
    with pytest.raises(ValueError, match="meaning of its own"):
        parse_identity_name(name)


@pytest.mark.parametrize("name", ["Iframe-User", "Section-Id", "Acceptor", "X-Auth-Request-User"])
def test_a_name_that_only_begins_alike_may_be_one(name):
    assert parse_identity_name(name) == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("X-Forwarded-For", "believed of trusted proxies anyway"),
        ("x_request_id", "believed of trusted proxies anyway"),
        ("Authorization", "the client's to send"),
        ("Proxy", "the client's to send"),
    ],
)
def test_what_is_believed_anyway_or_is_no_proxys_is_not_listed(name, said):
    with pytest.raises(ValueError, match=said):
        parse_trusted_name(name)


def test_others_are():
    assert parse_trusted_name("X-Real-IP") == "X-Real-IP"
