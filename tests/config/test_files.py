import os

import pytest
from support.configuration import PROVIDER, ROUTE, lines, loaded


def cache(more):
    return PROVIDER + f"cache: {{redis: redis://h, {more}}}\n" + ROUTE


LONG = "secret-of-the-fleet"


def secrets(config):
    return [secret.get_secret_value() for secret in config.cache.secret]


def test_a_secret_in_a_file_loses_one_newline_and_no_more(tmp_path):
    text = "admin: {token_file: t}\n" + PROVIDER + ROUTE
    (tmp_path / "t").write_bytes(b"token-of-the-admin\n\n")
    assert "3: admin.token_file" not in lines(text, directory=tmp_path)
    assert lines(text, directory=tmp_path) == [
        "1: admin.token_file: this cannot be sent in a header; write letters, digits and signs, without blanks"
    ]
    (tmp_path / "w").write_bytes(b" a secret of windows\r\n")
    assert secrets(loaded(cache("secret_file: w"), directory=tmp_path)) == [" a secret of windows"]


@pytest.mark.parametrize(
    "content", [b"secret-of-the-past\nsecret-of-the-fleet", b"secret-of-the-past\r\n\r\nsecret-of-the-fleet\r\n\n"]
)
def test_each_line_of_the_caches_secret_file_is_a_secret(tmp_path, content):
    (tmp_path / "s").write_bytes(content)
    assert secrets(loaded(cache("secret_file: s"), directory=tmp_path)) == ["secret-of-the-past", LONG]
    (tmp_path / "s").write_bytes(b"\n" + LONG.encode() + b"\n\n")
    assert secrets(loaded(cache("secret_file: s"), directory=tmp_path)) == [LONG]


def test_secrets_may_be_a_list():
    assert secrets(loaded(cache(f"secret: {LONG}"))) == [LONG]
    listed = cache('secret: ["${OLD}", "${NEW}"]')
    assert secrets(loaded(listed, {"OLD": LONG, "NEW": "secret-of-tomorrow"})) == [LONG, "secret-of-tomorrow"]


TEXT = "write a text, in quotes if it looks like a number"
SHORT = "this is shorter than 16 characters and can be guessed; write the output of openssl rand -base64 32"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (cache("secret: fifteen-letters"), [f"2: cache.secret: {SHORT}"]),
        (cache(f"secret: [{LONG}, fifteen-letters]"), [f"2: cache.secret[1]: {SHORT}"]),
        (cache("secret: ['', fifteen-letters]"), [f"2: cache.secret[0]: {SHORT}", f"2: cache.secret[1]: {SHORT}"]),
        (cache("secret: sixteen-letters!"), []),
        (
            cache("secret: [4]"),
            [f"2: cache.secret[0]: a number stands where a text belongs; {TEXT}"],
        ),
        (cache("secret: []"), ["2: cache.secret: the list is empty; write at least one, or leave the key out"]),
        (cache(f"secret: [{LONG}, {LONG}]"), ["2: cache.secret: one secret stands there twice; write each once"]),
        (
            cache(f"secret: [{LONG}1, {LONG}2, {LONG}3, {LONG}4]"),
            ["2: cache.secret: these are more than 3 secrets; write the new one and those that are still in use"],
        ),
        (PROVIDER + ROUTE + "admin: {token: fifteen-letters}", [f"3: admin.token: {SHORT}"]),
        (PROVIDER + ROUTE + "admin: {token: sixteen-letters!}", []),
    ],
)
def test_secrets_that_can_be_guessed_or_are_too_many_are_refused(text, expected):
    assert lines(text) == expected


def test_a_short_secret_in_a_file_is_told_by_the_key_that_names_the_file(tmp_path):
    (tmp_path / "s").write_text("fifteen-letters\n")
    assert lines(cache("secret_file: s"), directory=tmp_path) == [f"2: cache.secret_file: {SHORT}"]
    text = "admin: {token_file: s}\n" + PROVIDER + ROUTE
    assert lines(text, directory=tmp_path) == [f"1: admin.token_file: {SHORT}"]


@pytest.mark.parametrize(
    ("section", "read"),
    [
        ("admin: {token_file: f}", lambda c: c.admin.token),
        ("cache: {redis_file: f, secret: secret-of-the-fleet}", lambda c: c.cache.redis),
        ("cache: {secret_file: f}", lambda c: c.cache.secret[0]),
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
    (tmp_path / "f").write_text("redis://host-of-redis\n")
    text = section + "\n" + ROUTE + ("" if section.startswith("providers") else PROVIDER)
    assert read(loaded(text, directory=tmp_path)).get_secret_value() == "redis://host-of-redis"


def test_absolute_paths_and_variables_lead_there_too(tmp_path):
    (tmp_path / "s").write_text(LONG)
    assert secrets(loaded(cache('secret_file: "${DIR}/s"'), {"DIR": str(tmp_path)})) == [LONG]


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
        ("none", f"{tmp_path / 'none'} is not a file that exists; write the path of one"),
        (".", f"{tmp_path} is not a regular file; write the path of one"),
        ('"a\\nb"', repr(str(tmp_path / "a\nb")) + " is not a file that exists; write the path of one"),
        ("pipe", f"{tmp_path / 'pipe'} is not a regular file; write the path of one"),
        ("''", "this is not a path; write the path of the file that holds the secret"),
        ("5", "this is not a path; write the path of the file that holds the secret"),
        ('"a\\0b"', "this is not a path; write the path of the file that holds the secret"),
    ]:
        assert lines(cache(f"secret_file: {path}"), directory=tmp_path) == [f"2: cache.secret_file: {what}"]


def test_a_secret_and_its_file_are_one_too_many(tmp_path):
    assert lines(cache(f"secret: {LONG}, secret_file: y"), directory=tmp_path) == [
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
    assert loaded(text, {"GATEWAY_ADMIN_TOKEN": LONG}).admin.token.get_secret_value() == LONG
    assert lines(PROVIDER + ROUTE + 'admin: {token: "${GATEWAY_ADMIN_TOKEN}"}') == [
        (
            "3: admin.token: the environment has no variable GATEWAY_ADMIN_TOKEN; "
            "set it, or write ${GATEWAY_ADMIN_TOKEN:-default}"
        )
    ]


def test_secrets_are_in_no_representation(tmp_path):
    (tmp_path / "s").write_text("hunter22hunter22")
    config = loaded(cache("secret_file: s").replace("//h", "//:hunter22@h"), directory=tmp_path)
    assert "hunter22" not in repr(config) + str(config) + str(config.model_dump())
