from pathlib import Path

import pytest

from gateway.config.keys import keys_below
from gateway.config.model import Config
from gateway.config.named_files import named_files

PROVIDER = "providers: {p: {issuer: http://p, client_id: gw, %s}}\n"
HERE = Path("/etc/gateway")


def found(text, **environ):
    return [str(path) for path in named_files(text, environ=environ, directory=HERE)]


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("", []),
        ("server: {listen: 127.0.0.1:1}", []),
        ("server: {tls: {certificate: c.pem, key: /k.pem}}", ["/etc/gateway/c.pem", "/k.pem"]),
        ("admin: {token_file: t}", ["/etc/gateway/t"]),
        ("cache: {redis_file: r, secret_file: s}", ["/etc/gateway/r", "/etc/gateway/s"]),
        (PROVIDER % "client_secret_file: s", ["/etc/gateway/s"]),
        (PROVIDER % "client_secret: s", []),
        (PROVIDER % "tls: {ca: ca.pem}, events: {authorization_file: a}", ["/etc/gateway/ca.pem", "/etc/gateway/a"]),
        ("routes: [{backend: {url: https://b, tls: {ca: ca.pem}}}]", ["/etc/gateway/ca.pem"]),
        ("routes: [{backend: [https://a, {url: https://b, tls: {ca: ca.pem}}]}]", ["/etc/gateway/ca.pem"]),
        ("routes: [{backend: http://b}]", []),
        ("signing: {key_file: a, previous_key_files: [b, c]}", ["/etc/gateway/a", "/etc/gateway/b", "/etc/gateway/c"]),
        ("defaults: {backend: {url: https://b, tls: {ca: ca.pem}}}", ["/etc/gateway/ca.pem"]),
        ("admin: {token_file: t}\ncache: {secret_file: t}", ["/etc/gateway/t"]),
        ("admin: {token_file: '${DIR}/t'}", ["/run/t"]),
    ],
)
def test_every_file_is_found_once(text, files):
    assert found(text, DIR="/run") == files


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "- a list",
        "server: 3",
        "server: {tls: 3}",
        "admin: {token_file: [a]}",
        "admin: {token_file: ''}",
        "admin: {token_file: ${NOWHERE}}",
        'admin: {token_file: "a\\0b"}',
        "routes: {backend: 3}",
        "routes: [3, null]",
    ],
)
def test_what_cannot_be_understood_names_none(text):
    assert found(text) == []


def test_a_file_with_problems_still_says_which_files_it_names():
    # So that the problem can be mended in one of them.
    assert found("server: {lisen: 1, tls: {certificate: c.pem}}\nadmin: {token_file: t}") == [
        "/etc/gateway/c.pem",
        "/etc/gateway/t",
    ]


def test_every_key_that_names_a_file_is_found():
    for key in keys_below(Config):
        if not (key.is_file or key.is_secret):
            continue
        value: object = "the-file"
        name = f"{key.name}_file" if key.is_secret else key.name
        lines = {name: value}
        for step in reversed(key.path[:-1]):
            lines = {step: lines}
        by_name = [lines, {"providers": {"p": lines["providers"]}} if "providers" in lines else lines]
        as_list = [{"routes": [one["routes"]]} if "routes" in one else one for one in by_name]
        assert any(found(str(one)) == ["/etc/gateway/the-file"] for one in as_list), key.path
