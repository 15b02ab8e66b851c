import ast
import json
import re

import pytest
from support.imports import modules

from gateway.http.refusal import (
    STATUS_OF_CODE,
    Refusal,
    challenge,
    render,
    unavailable,
    with_dpop_challenge,
    with_parameter,
)


@pytest.mark.parametrize("code", STATUS_OF_CODE)
def test_every_code_renders_as_a_problem_document(code: str) -> None:
    rendered = render(Refusal(code, "because"), "id-1")
    problem = json.loads(rendered.body)
    assert rendered.status == problem["status"] == STATUS_OF_CODE[code]
    assert (problem["code"], problem["detail"], problem["request_id"]) == (code, "because", "id-1")
    assert problem["type"] == "about:blank"
    assert problem["title"]
    named = json.loads(render(Refusal(code, "because"), "id-1", "https://docs.example.com/codes").body)
    assert named == {**problem, "type": f"https://docs.example.com/codes#{code}"}
    assert ("Content-Type", "application/problem+json") in rendered.headers


def test_no_error_is_named_when_no_token_was_sent() -> None:
    assert challenge("token_missing", "send one").headers == (("WWW-Authenticate", 'Bearer realm="gateway"'),)


def test_a_missing_scope_is_named() -> None:
    ((_, value),) = challenge("insufficient_scope", "no", scope={"b", "a"}).headers
    assert value == 'Bearer realm="gateway", error="insufficient_scope", error_description="no", scope="a b"'


@pytest.mark.parametrize(("asked", "sent"), [(None, "1"), (0.2, "1"), (7, "7"), (3600.0, "3600")])
def test_an_unclear_answer_says_when_to_come_back(asked: float | None, sent: str) -> None:
    refusal = unavailable("the provider is down", asked)
    assert refusal.status == 503
    assert refusal.headers == (("Retry-After", sent),)
    assert b"down" not in render(refusal, "id").body


def written_codes() -> set[str]:
    """The first argument of each `Refusal(…)` and `challenge(…)` in the gateway, where it is a text."""
    calls = (node for path in modules().values() for node in ast.walk(ast.parse(path.read_text())))
    return {
        str(call.args[0].value)
        for call in calls
        if isinstance(call, ast.Call) and ast.unparse(call.func) in {"Refusal", "challenge"}
        if call.args and isinstance(call.args[0], ast.Constant)
    }


def test_every_code_that_is_written_has_a_status() -> None:
    assert written_codes() - STATUS_OF_CODE.keys() == set()


def test_every_code_is_used() -> None:
    table = modules()["gateway.http.refusal"]
    elsewhere = "".join(path.read_text() for path in modules().values() if path != table)
    unused = [code for code in STATUS_OF_CODE if f'"{code}"' not in elsewhere and code not in written_codes()]
    assert unused == []


# RFC 9110 §11.2 and §11.6.1: a challenge is a scheme and parameters, each a token and a quoted string.
QUOTED = r'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~])*"'
PARAMETER = re.compile(rf"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=({QUOTED})")
CHALLENGE = re.compile(rf"(Bearer|DPoP) {PARAMETER.pattern}(?:, {PARAMETER.pattern})*")
# What each parameter's own RFC admits between the quotes.
NQSCHAR, NQCHAR = r"[ !#-\[\]-~]", r"[!#-\[\]-~]"
OF_PARAMETER = {
    "realm": r".*",  # RFC 9110 §11.5
    "error": rf"{NQSCHAR}+",  # RFC 6750 §3: %x20-21 / %x23-5B / %x5D-7E
    "error_description": rf"{NQSCHAR}+",
    "scope": rf"{NQCHAR}+(?: {NQCHAR}+)*",  # RFC 6749 §3.3: scope-tokens with one blank between two
    "acr_values": rf"{NQCHAR}+(?: {NQCHAR}+)*",  # RFC 9470 §3
    "max_age": r"[0-9]+",
    "algs": r"[A-Za-z0-9]+(?: [A-Za-z0-9]+)*",  # RFC 9449 §7.1
    "resource_metadata": r"https://[!#-\[\]-~]+",  # RFC 9728 §5.1
}
URL = "https://a.example/.well-known/oauth-protected-resource/mcp"
CHALLENGED = [code for code, status in STATUS_OF_CODE.items() if status in (401, 403)]


@pytest.mark.parametrize("code", CHALLENGED)
def test_every_parameter_of_every_challenge_fits_its_grammar(code: str) -> None:
    parameters = [("acr_values", "gold silver"), ("max_age", "300")]
    refusal = challenge(code, "because of that", scope={"a:b", "c"}, parameters=parameters)
    lines = with_parameter(with_dpop_challenge(refusal, "ES256 RS256"), "resource_metadata", URL).headers
    assert [name for name, _ in lines] == ["WWW-Authenticate"] * 2
    for (_, value), scheme in zip(lines, ("Bearer", "DPoP"), strict=True):
        assert CHALLENGE.fullmatch(value), value
        assert value.startswith(f"{scheme} ")
        found = PARAMETER.findall(value)
        assert len(dict(found)) == len(found)  # each once (RFC 9110 §11.2)
        for name, quoted in found:
            assert re.fullmatch(OF_PARAMETER[name], quoted[1:-1]), (name, quoted)
        assert ("algs" in dict(found)) == (scheme == "DPoP")
        assert dict(found)["resource_metadata"] == f'"{URL}"'


@pytest.mark.parametrize("code", ["invalid_dpop_proof", "use_dpop_nonce"])
def test_an_error_of_dpop_stands_in_its_own_challenge_only(code: str) -> None:
    bearer, dpop = (value for _, value in with_dpop_challenge(challenge(code, "no"), "ES256").headers)
    assert bearer == 'Bearer realm="gateway"'
    assert dpop == f'DPoP realm="gateway", error="{code}", error_description="no", algs="ES256"'


def test_what_is_not_challenged_stays_as_it_is() -> None:
    refusal = challenge("invalid_request", "no")
    assert with_dpop_challenge(refusal, "ES256") is refusal
