import pytest
from support.configuration import PROVIDER, ROUTE, lines, loaded

DECISIONS = "decisions: {listen: 127.0.0.1:9191}\n"


def routes(*items):
    return PROVIDER + DECISIONS + "routes:\n" + "".join(f"  - {{{item}}}\n" for item in items)


def test_without_the_key_nobody_can_ask():
    assert loaded(PROVIDER + ROUTE).decisions is None
    assert loaded(PROVIDER + ROUTE + "decisions:\n").decisions is None


@pytest.mark.parametrize("listen", ["127.0.0.1:9191", "unix:/run/gateway/decisions.sock", ":9191"])
def test_it_listens_where_the_others_can(listen):
    assert str(loaded(PROVIDER + ROUTE + f"decisions: {{listen: '{listen}'}}\n").decisions.listen) == listen


def test_a_route_without_a_backend_is_for_this_listener():
    assert loaded(routes("name: a")).routes[0].backend == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            PROVIDER + ROUTE + "decisions: {}",
            "3: decisions.listen: is missing; write listen: 127.0.0.1:9191, or unix:/path",
        ),
        (PROVIDER + ROUTE + "decisions: {listen: 5}", "3: decisions.listen: "),
        (PROVIDER + ROUTE + "decisions: 5", "3: decisions: "),
        (PROVIDER + "routes: [{name: a}]", "2: routes[0].backend: is missing; write backend: http://orders:8000"),
        (
            PROVIDER + ROUTE + "decisions: {listen: 0.0.0.0:8080}",
            "3: decisions.listen: server.listen (0.0.0.0:8080) takes the same port; write another for one of them",
        ),
        (
            PROVIDER + ROUTE + "decisions: {listen: localhost:9090}",
            "3: decisions.listen: admin.listen (127.0.0.1:9090) takes the same port; write another for one of them",
        ),
        (
            routes("name: a, cors: {allow_origins: [https://a.example]}"),
            "4: routes[0].cors: without a backend another proxy gives the response; write this there, or write a ",
        ),
        (routes("name: a, on_success: evict_token"), "4: routes[0].on_success: without a backend"),
        (
            routes("name: a, auth: {token_from: [authorization, {cookie: t}]}"),
            "4: routes[0].auth.token_from[1]: without a backend another proxy sends the cookie on with its",
        ),
        (routes("name: a, auth: {token_from: [{query: t}]}"), "4: routes[0].auth.token_from[0]: without a backend"),
        (routes("name: a, backend: []"), "4: routes[0].backend: the list is empty"),
    ],
)
def test_what_cannot_be_is_a_problem(text, expected):
    assert [line[: len(expected)] for line in lines(text)] == [expected]


def test_a_token_in_a_header_can_be_taken_out_by_the_proxy():
    assert loaded(routes("name: a, auth: {token_from: [authorization, {header: X-Token}]}")).routes


def test_a_backend_of_the_defaults_is_one():
    assert loaded(PROVIDER + "defaults: {backend: http://a}\nroutes: [{name: a}]").routes[0].backend
