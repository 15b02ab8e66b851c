import ast
import json

import pytest
from support.imports import modules

from gateway.http.refusal import STATUS_OF_CODE, Refusal, challenge, render, unavailable


@pytest.mark.parametrize("code", STATUS_OF_CODE)
def test_every_code_renders_as_a_problem_document(code: str) -> None:
    rendered = render(Refusal(code, "because"), "id-1")
    problem = json.loads(rendered.body)
    assert rendered.status == problem["status"] == STATUS_OF_CODE[code]
    assert (problem["code"], problem["detail"], problem["request_id"]) == (code, "because", "id-1")
    assert problem["type"] == "about:blank"
    assert problem["title"]
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
