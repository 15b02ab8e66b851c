import json

import pytest

from gateway.provider.oauth_error import OAuthError, read_oauth_error


def said(**members) -> OAuthError | None:
    return read_oauth_error(json.dumps(members).encode())


def test_error_and_description_are_both_shown() -> None:
    assert said(error="invalid_client") == OAuthError("invalid_client")
    words = said(error="access_denied", error_description="Realm not enabled")
    assert words is not None
    assert words.redacted() == "access_denied: Realm not enabled"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"[]", b'"error"', b"{}", b'{"error": 5}', b'{"error": ""}', b'{"error": null}',
        b'{"error": "a", "error": "b"}', b'{"error": "' + b"a" * 20_000 + b'"}', b'{"error": ' + b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_says_nothing_in_this_form_has_no_words(body: bytes) -> None:
    assert read_oauth_error(body) is None


def test_a_description_that_is_not_a_text_is_left_out() -> None:
    assert said(error="invalid_client", error_description=["x"]) == OAuthError("invalid_client")


@pytest.mark.parametrize(
    ("description", "redacted"),
    [
        ("one\r\ntwo\x1b[31m\x00\u2028", "e: one  two [31m  "),
        ("a secret and a token: hidden, TOKEN.", "e: a secret and a token: …, …."),
        ("no token " + "aB3-" * 20, "e: no token …"),
        ("the beginning of a token: " + "aB3-" * 20 + "...", "e: the beginning of a token: …"),
    ],
)
def test_secrets_are_redacted(description, redacted) -> None:
    assert OAuthError("e", description).redacted(("TOKEN", "hidden", "")) == redacted


def test_it_is_cut() -> None:
    redacted = OAuthError("e", "word " * 100).redacted()
    assert len(redacted) == 200
    assert redacted.endswith("…")


def test_a_token_that_the_cut_would_halve_is_taken_out_first() -> None:
    assert "SEC" not in OAuthError("e", "x " * 98 + "SECRET").redacted(("SECRET",))
