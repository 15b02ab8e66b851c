import json

import pytest

from gateway.provider.oauth_error import ErrorWords, error_words


def said(**members) -> ErrorWords | None:
    return error_words(json.dumps(members).encode())


def test_both_words_are_told() -> None:
    assert said(error="invalid_client") == ErrorWords("invalid_client")
    words = said(error="access_denied", error_description="Realm not enabled")
    assert words is not None
    assert words.told() == "access_denied: Realm not enabled"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"[]", b'"error"', b"{}", b'{"error": 5}', b'{"error": ""}', b'{"error": null}',
        b'{"error": "a", "error": "b"}', b'{"error": "' + b"a" * 20_000 + b'"}', b'{"error": ' + b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_says_nothing_in_this_form_has_no_words(body: bytes) -> None:
    assert error_words(body) is None


def test_a_description_that_is_no_text_is_left_out() -> None:
    assert said(error="invalid_client", error_description=["x"]) == ErrorWords("invalid_client")


@pytest.mark.parametrize(
    ("description", "told"),
    [
        ("one\r\ntwo\x1b[31m\x00\u2028", "e: one  two [31m  "),
        ("a secret and a token: hidden, TOKEN.", "e: a secret and a token: …, …."),
        ("no token " + "aB3-" * 20, "e: no token …"),
        ("the beginning of a token: " + "aB3-" * 20 + "...", "e: the beginning of a token: …"),
    ],
)
def test_nothing_that_must_not_be_in_a_log_is_told(description, told) -> None:
    assert ErrorWords("e", description).told(("TOKEN", "hidden", "")) == told


def test_it_is_cut() -> None:
    told = ErrorWords("e", "word " * 100).told()
    assert len(told) == 200
    assert told.endswith("…")


def test_a_token_that_the_cut_would_halve_is_taken_out_first() -> None:
    assert "SEC" not in ErrorWords("e", "x " * 98 + "SECRET").told(("SECRET",))
