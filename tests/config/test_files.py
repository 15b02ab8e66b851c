import os

import pytest
from support.configuration import PROVIDER, ROUTE, lines, loaded


def cache(more):
    return PROVIDER + f"cache: {{redis: redis://h, {more}}}\n" + ROUTE


def test_a_secret_in_a_file_loses_one_newline_and_no_more(tmp_path):
    (tmp_path / "s").write_bytes(b"two\n\n")
    (tmp_path / "w").write_bytes(b" win\r\n")
    assert loaded(cache("secret_file: s"), directory=tmp_path).cache.secret.get_secret_value() == "two\n"
    assert loaded(cache("secret_file: w"), directory=tmp_path).cache.secret.get_secret_value() == " win"


@pytest.mark.parametrize(
    ("section", "read"),
    [
        ("admin: {token_file: f}", lambda c: c.admin.token),
        ("cache: {redis_file: f, secret: x}", lambda c: c.cache.redis),
        ("cache: {secret_file: f}", lambda c: c.cache.secret),
        (
            "providers: {p: {issuer: https://i, client_id: g, client_secret_file: f}}",
            lambda c: c.providers["p"].client_secret,
        ),
        (
            "providers: {p: {issuer: https://i, client_id: g, client_auth: none, client_secret_file: f}}",
            lambda c: c.providers["p"].client_secret,
        ),
    ],
)
def test_every_secret_has_its_twin(tmp_path, section, read):
    (tmp_path / "f").write_text("redis://h\n")
    text = section + "\n" + ROUTE + ("" if section.startswith("providers") else PROVIDER)
    assert read(loaded(text, directory=tmp_path)).get_secret_value() == "redis://h"


def test_absolute_paths_and_variables_lead_there_too(tmp_path):
    (tmp_path / "s").write_text("x")
    assert loaded(cache('secret_file: "${DIR}/s"'), {"DIR": str(tmp_path)}).cache.secret.get_secret_value() == "x"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty; write the secret into it"),
        (b"\n", "is empty; write the secret into it"),
        (b"\xff\xfe", "is not UTF-8 text; write the path of the right file"),
        (b"x" * (64 * 1024 + 1), "is larger than 64 KiB; write the path of the right file"),
    ],
)
def test_a_file_that_holds_no_secret(tmp_path, content, what):
    (tmp_path / "s").write_bytes(content)
    assert lines(cache("secret_file: s"), directory=tmp_path) == [f"2: cache.secret_file: {tmp_path / 's'} {what}"]


def test_a_path_that_leads_to_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, what in [
        ("none", f"{tmp_path / 'none'} is no file that exists; write the path of one"),
        (".", f"{tmp_path} is no regular file; write the path of one"),
        ('"a\\nb"', repr(str(tmp_path / "a\nb")) + " is no file that exists; write the path of one"),
        ("pipe", f"{tmp_path / 'pipe'} is no regular file; write the path of one"),
        ("''", "this is no path; write the path of the file that holds the secret"),
        ("5", "this is no path; write the path of the file that holds the secret"),
        ('"a\\0b"', "this is no path; write the path of the file that holds the secret"),
    ]:
        assert lines(cache(f"secret_file: {path}"), directory=tmp_path) == [f"2: cache.secret_file: {what}"]


def test_a_secret_and_its_file_are_one_too_many(tmp_path):
    assert lines(cache("secret: x, secret_file: y"), directory=tmp_path) == [
        "2: cache.secret_file: secret is given as well; keep one of the two"
    ]


def test_an_empty_secret_is_refused():
    assert lines(cache("secret: ''")) == ["2: cache.secret: this is empty; set it, or leave the key out"]
    assert lines(cache('secret: "${S:-}"')) == [
        "2: cache.secret: what the environment gives here is empty; set it, or leave the key out"
    ]
    provider = 'providers: {p: {issuer: https://i, client_id: g, client_secret: "${S:-}"}}\n'
    assert lines(provider + ROUTE) == [
        "1: providers.p.client_secret: what the environment gives here is empty; set it, or leave the key out"
    ]


def test_an_empty_admin_token_is_none():
    text = PROVIDER + ROUTE + 'admin: {token: "${GATEWAY_ADMIN_TOKEN:-}"}'
    assert loaded(text).admin.token is None
    assert loaded(text, {"GATEWAY_ADMIN_TOKEN": "t0ken"}).admin.token.get_secret_value() == "t0ken"
    assert lines(PROVIDER + ROUTE + 'admin: {token: "${GATEWAY_ADMIN_TOKEN}"}') == [
        (
            "3: admin.token: the environment has no variable GATEWAY_ADMIN_TOKEN; "
            "set it, or write ${GATEWAY_ADMIN_TOKEN:-default}"
        )
    ]


def test_secrets_are_in_no_representation(tmp_path):
    (tmp_path / "s").write_text("hunter22")
    config = loaded(cache("secret_file: s").replace("//h", "//:hunter22@h"), directory=tmp_path)
    assert "hunter22" not in repr(config) + str(config) + str(config.model_dump())
