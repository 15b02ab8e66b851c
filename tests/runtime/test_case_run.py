import pytest

from gateway.compiled import compile_config
from gateway.config.load import load_text
from gateway.config.problems import ConfigError
from gateway.runtime.case_file import load_cases
from gateway.runtime.case_run import differences

NOW = 1_700_000_000.0
CONFIG = """
providers:
  a: {issuer: "https://a", introspection_endpoint: "https://a/i", client_id: gateway, client_secret: secret-of-a}
  b: {issuer: "https://b", introspection_endpoint: "https://b/i", client_id: gateway, client_secret: secret-of-b}
routes:
  - name: orders
    match: {path: "/orders/**", methods: [GET]}
    backend: http://127.0.0.1:9
    auth: {provider: [a, b], scopes: [orders:read]}
    identity: {headers: {X-User-Id: sub, X-Issuer: iss}}
  - {name: open, match: {path: /open}, backend: "http://127.0.0.1:9", auth: none}
"""


@pytest.fixture
def found(tmp_path):
    compiled = compile_config(load_text(CONFIG, "gateway.yaml", environ={}, directory=tmp_path))

    def run(case: str) -> list[str]:
        path = tmp_path / "cases.yaml"
        path.write_text(f"cases:\n  - {{name: n, {case}}}\n")
        ((line, read),) = load_cases(str(path))
        assert line == 2
        return differences(compiled, read, NOW)

    return run


READER = "claims: {sub: bob, iss: 'https://b', scope: 'orders:read'}"


@pytest.mark.parametrize(
    "case",
    [
        "request: GET /orders/7, expect: {decision: refuse, status: 401, code: token_missing, route: orders}",
        f"request: GET /orders/7, {READER}, expect: {{decision: allow, headers: {{X-User-Id: bob, X-Issuer: 'https://b'}}}}",
        f"request: GET /orders/7, {READER}, headers: {{x-user_id: root}}, expect: {{headers: {{X-User-Id: bob}}}}",
        f"request: GET /orders/7, {READER}, expect: {{headers: {{Authorization: null}}}}",
        "request: GET /orders/7, claims: {scope: 'orders:read', exp: 1}, expect: {code: invalid_token}",
        "request: GET /orders/7, claims: {scope: 'orders:read', iss: 'https://c'}, expect: {code: invalid_token}",
        "request: GET /orders/7, claims: {active: false}, expect: {code: invalid_token}",
        "request: GET /orders/7, claims: {active: 'yes'}, expect: {code: introspection_unavailable, status: 503}",
        "request: GET /orders/7, inactive: true, expect: {code: invalid_token}",
        "request: GET /orders/7, headers: {Authorization: Bearer}, expect: {code: invalid_request}",
        "request: POST /orders/7, expect: {status: 405}",
        "request: GET https://api.example.com/open, expect: {decision: allow, route: open}",
        "request: GET /open, expect: {}",
    ],
)
def test_what_is_as_expected_is_not_told(found, case) -> None:
    assert found(case) == []


@pytest.mark.parametrize(
    ("case", "told"),
    [
        (
            "request: GET /orders/7, claims: {scope: x}, expect: {decision: allow, status: 200, route: orders}",
            ["decision is refuse, allow expected", "status is 403, 200 expected"],
        ),
        (f"request: GET /orders/7, {READER}, expect: {{status: 200}}", ["status is the backend's, 200 expected"]),
        ("request: GET /nowhere, expect: {route: orders}", ["route is none, orders expected"]),
        (
            f"request: GET /orders/7, {READER}, expect: {{headers: {{X-User-Id: alice, X-No: x, X-Issuer: null}}}}",
            ["X-User-Id is 'bob', 'alice' expected", "X-No is absent, 'x'", "X-Issuer is 'https://b', absent expected"],
        ),
        ("request: GET /orders/7, claims: {scope: x}, expect: {status: 200}", ["all of [orders:read] wanted"]),
    ],
)
def test_each_difference_is_told_in_words(found, case, told) -> None:
    differences = found(case)
    assert all(any(words in one for one in differences) for words in told), differences


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cases: []", "cases: the list is empty"),
        ("nothing: 1", "cases"),
        ("- 1", "write cases: and a list under it"),
        ("cases: [{name: a, request: GET, expect: {}}]", "cases[0].request: 'GET' is not a method and a URL"),
        ("cases: [{name: a, request: GET ftp://x, expect: {}}]", "cases[0].request: the url is neither"),
        ("cases: [{name: a, request: GET /x, expect: {code: nope}}]", "cases[0].expect.code: 'nope' is not a code"),
        ("cases: [{name: a, request: GET /x, expct: {}}]", "cases[0].expct: unknown key; did you mean expect?"),
        ("cases: [{name: a, request: GET /x, inactive: true, claims: {}, expect: {}}]", "has no claims"),
    ],
)
def test_a_bad_file_is_told_with_the_place(tmp_path, text, told) -> None:
    path = tmp_path / "cases.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_cases(str(path))
    assert told in str(raised.value)
