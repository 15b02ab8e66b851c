import pytest
from support.configuration import PROVIDER, lines, loaded, with_route

ONE_OF_TWO = "{issuer: https://p, client_id: g, client_secret: s}"
TWO = f"providers: {{p: {ONE_OF_TWO}, q: {ONE_OF_TWO}}}\n"


def routes(*items, head=PROVIDER):
    return head + "routes:\n" + "".join(f"  - {{{item}}}\n" for item in items)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (
            ["name: a, match: {path: /a}, backend: http://a", "name: a, backend: http://a"],
            ["4: routes[1].name: the route in line 3 is called a as well; write another"],
        ),
        (
            ["name: none, backend: http://a"],
            ["3: routes[0].name: none is the name of requests that match no route; write another"],
        ),
    ],
)
def test_names(items, expected):
    assert lines(routes(*items)) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{path: /a}", "{path: /a}"),
        ("{path: '/a/{x}/**'}", "{path: '/a/{y}/**'}"),
        ("{path: /%61}", "{path: /a}"),
        ("{path: /%c3%a9}", "{path: /%C3%A9}"),
        ("{host: A.example.com}", "{host: a.example.com.}"),
        ("{host: '[::1]'}", "{host: '[0:0::1]'}"),
        ("{host: '*.example.com'}", "{host: '*.EXAMPLE.com'}"),
        ("{path: /a, methods: [GET, POST]}", "{path: /a, methods: [PUT, POST]}"),
        ("{}", "{path: /**}"),
    ],
)
def test_routes_that_tie_are_refused_with_both_lines(one, other):
    [line] = lines(routes(f"name: a, backend: http://a, match: {one}", f"name: b, backend: http://b, match: {other}"))
    assert line.startswith("4: routes[1]")
    assert ": a in line 3 matches the same requests (/" in line
    assert line.endswith("; write another host, path or methods in one of them")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{path: /a}", "{path: /a/}"),
        ("{path: /a}", "{path: /A}"),
        ("{path: '/{x}'}", "{path: /a}"),
        ("{path: '/{x}'}", "{path: /**}"),
        ("{path: /a, methods: [GET]}", "{path: /a}"),
        ("{path: /a, methods: [GET]}", "{path: /a, methods: [HEAD]}"),
        ("{host: a.example.com}", "{host: '*.example.com'}"),
        ("{host: a.example.com}", "{}"),
    ],
)
def test_routes_of_which_one_is_more_specific_do_not_tie(one, other):
    items = (f"name: a, backend: http://a, match: {one}", f"name: b, backend: http://b, match: {other}")
    assert lines(routes(*items)) == []


@pytest.mark.parametrize(
    ("head", "auth", "expected"),
    [
        (PROVIDER, "{provider: keycloack}", ["3: routes[0].auth.provider: there is no provider keycloack; write p"]),
        (
            TWO,
            "required",
            ["3: routes[0].auth: it is not said which provider is asked; write provider: with one or a list of p, q"],
        ),
        (TWO, "none", []),
        (TWO, "{provider: [p, q]}", []),
        (TWO, "{provider: [p, z]}", ["3: routes[0].auth.provider[1]: there is no provider z; write p or q"]),
        (TWO, "{provider: [p, p]}", ["3: routes[0].auth.provider[1]: p is named twice; name it once"]),
        ("\n", "none", []),
        (
            "\n",
            "optional",
            [
                (
                    "3: routes[0].auth: tokens are asked about at a provider, and none is configured; "
                    "write providers:, or auth: none"
                )
            ],
        ),
    ],
)
def test_providers_of_a_route(head, auth, expected):
    assert lines(routes(f"name: a, backend: http://a, auth: {auth}", head=head)) == expected


def test_a_gateway_without_providers_is_told_once():
    items = [f"name: r{i}, backend: http://a, match: {{path: /{i}}}" for i in range(3)]
    assert lines(routes(*items, head="\n")) == [
        (
            "3: routes[0]: tokens are asked about at a provider, and none is configured; "
            "write providers:, or auth: none (and 2 more)"
        )
    ]


def test_demands_on_a_token_that_nobody_looks_at():
    text = with_route("name: a\nbackend: http://a\nauth:\n  mode: none\n  scopes: [a]\n  roles: []\n  max_age: 0s")
    what = "with mode none no token is looked at; take this out, or write mode: required"
    assert lines(text) == [f"7: routes[0].auth.scopes: {what}", f"9: routes[0].auth.max_age: {what}"]


def test_demands_that_are_inherited_do_no_harm_to_an_open_route():
    head = PROVIDER + "defaults: {auth: {scopes: [a], claims: {t: '{t}'}}}\n"
    config = loaded(routes("name: a, backend: http://a, auth: none", head=head))
    assert config.routes[0].auth.mode == "none"


def test_an_inherited_none_makes_the_routes_own_demands_useless():
    head = PROVIDER + "defaults: {auth: none}\n"
    assert lines(routes("name: a, backend: http://a, auth: {scopes: [x]}", head=head)) == [
        "4: routes[0].auth.scopes: with mode none no token is looked at; take this out, or write mode: required"
    ]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("auth: {claims: {t: '{t}'}}", []),
        (
            "auth: {claims: {t: ['x', '{u}']}}",
            ["auth.claims.t: there is no {u} in the path of a, /x/{t}/**; write one of its own ({t})"],
        ),
        (
            "auth: {claims: {t: '{*}', c: yes, d: 'no', e: [On]}}",
            [
                'auth.claims.c: yes can be read as true or as a text; write true, or "yes" in quotes',
                'auth.claims.e[0]: On can be read as true or as a text; write true, or "On" in quotes',
            ],
        ),
        ("rewrite: '/y/{t}/{**}'", []),
        ("rewrite: '/y/{u}'", ["rewrite: there is no {u} in the path of a, /x/{t}/**; write one of its own ({t})"]),
        (
            "rewrite: /y/**",
            [
                "rewrite: '/y/**' has ** in it; write {**} as the last segment for what the path's ** matched",
            ],
        ),
        (
            "rewrite: '/{**}/y'",
            [
                "rewrite: '/{**}/y' has ** in it; write {**} as the last segment for what the path's ** matched",
            ],
        ),
        ("strip_prefix: /x", []),
        ("strip_prefix: '/x/{t}'", []),
        (
            "strip_prefix: '/x/{u}'",
            [
                (
                    "strip_prefix: the path of a, /x/{t}/**, does not begin with /x/{u}; "
                    "write a prefix made of its first segments"
                )
            ],
        ),
        (
            "strip_prefix: /x/",
            ["strip_prefix: a prefix ends in a name, and this is /x/; write it without the slash or ** at its end"],
        ),
        (
            "strip_prefix: /**",
            ["strip_prefix: a prefix ends in a name, and this is /**; write it without the slash or ** at its end"],
        ),
        ("strip_prefix: /x, rewrite: /y", ["rewrite: strip_prefix is given as well; keep one of the two"]),
    ],
)
def test_what_a_route_takes_from_its_path(more, expected):
    text = routes(f"name: a, backend: http://a, match: {{path: '/x/{{t}}/**'}}, {more}")
    assert lines(text) == [f"3: routes[0].{line}" for line in expected]


def test_a_prefix_is_made_of_whole_segments():
    assert lines(routes("name: a, backend: http://a, match: {path: /public-files/**}, strip_prefix: /public"))


def test_the_rest_needs_a_path_that_has_one():
    assert lines(routes("name: a, backend: http://a, match: {path: /x}, rewrite: '/y/{**}'")) == [
        "3: routes[0].rewrite: {**} needs the path of a to end in **, and it is /x; write /** there, or leave {**} out"
    ]


def test_an_encoded_slash_in_a_path_needs_its_permission():
    assert lines(routes("name: a, backend: http://a, match: {path: /a%2fb}")) == [
        (
            "3: routes[0].match.path: %2F is refused in requests, so the path never matches; "
            "write allow_encoded_slash: true as well"
        )
    ]
    assert not lines(routes("name: a, backend: http://a, match: {path: /a%2fb}, allow_encoded_slash: true"))


@pytest.mark.parametrize(("path", "text", "bare"), [("/a;v=1/b", "a;v=1", "a"), ("/x/a%3bv", "a%3Bv", "a")])
def test_a_path_is_written_without_parameters(path, text, bare):
    [found] = lines(routes(f"name: a, backend: http://a, match: {{path: {path}}}, allow_path_parameters: true"))
    assert found == (
        f"3: routes[0].match.path: '{text}' has a path parameter, and paths are matched without them; write '{bare}', "
        "and allow_path_parameters: true where the backend needs them"
    )


def test_a_rewrite_may_have_parameters_of_its_own():
    assert not lines(routes("name: a, backend: http://a, match: {path: /a}, rewrite: /b;v=1/c"))


def test_a_default_that_does_not_fit_a_route_names_the_route():
    head = PROVIDER + "defaults: {strip_prefix: /api, auth: {claims: {t: '{t}'}}}\n"
    good = "name: a, backend: http://a, match: {path: '/api/{t}'}"
    assert lines(routes(good, head=head)) == []
    assert lines(routes(good, "name: b, backend: http://b, match: {path: /other}", head=head)) == [
        (
            "2: defaults.auth.claims.t: there is no {t} in the path of b, /other; write {t} for a segment there, or "
            "leave it out here"
        ),
        (
            "2: defaults.strip_prefix: the path of b, /other, does not begin with /api; "
            "write a prefix made of its first segments"
        ),
    ]


def test_both_ways_of_making_the_path_in_the_defaults_are_told_at_the_defaults():
    head = PROVIDER + "defaults: {strip_prefix: /api, rewrite: /x}\n"
    items = [f"name: r{i}, backend: http://a, match: {{path: /api/{i}}}" for i in range(3)]
    assert lines(routes(*items, head=head)) == [
        "2: defaults.rewrite: strip_prefix is given as well; keep one of the two"
    ]


def test_a_proof_is_a_demand_like_others():
    what = "with mode none no token is looked at; take this out, or write mode: required"
    text = with_route("name: a\nbackend: http://a\nauth:\n  mode: none\n  proof: required")
    assert lines(text) == [f"7: routes[0].auth.proof: {what}"]
    text = with_route("name: a\nbackend: http://a\nauth:\n  proof: if_bond")
    assert lines(text) == [
        "6: routes[0].auth.proof: 'if_bond' is not one of if_bound, required, ignore; write if_bound",
    ]


def test_an_identity_header_is_not_trusted_of_anybody():
    text = routes("name: a, backend: http://a") + "server: {trusted_headers: [X-Real-IP, X_User_Id]}\n"
    [found] = lines(text)
    assert found.endswith(
        "server.trusted_headers[1]: X_User_Id is an identity header, which only the gateway writes; leave it out here"
    )


HASHED = "name: a, match: {path: /a}, backend: [http://a, http://b], balance: {hash: %s}, auth: %s"


def test_a_claim_does_not_choose_the_backend_of_nobody():
    what = "with mode none nobody has the claim sub; write address, header:NAME or cookie:NAME, or mode: required"
    assert lines(routes(HASHED % ("sub", "none"))) == [f"3: routes[0].balance.hash: {what}"]


@pytest.mark.parametrize(
    ("key", "auth"), [("sub", "required"), ("sub", "optional"), ("address", "none"), ("'header:X-Key'", "none")]
)
def test_what_there_is_may_choose_the_backend(key, auth):
    assert lines(routes(HASHED % (key, auth))) == []


def test_a_claim_of_the_defaults_is_meant_for_other_routes():
    head = PROVIDER + "defaults: {balance: {hash: sub}}\n"
    text = routes("name: a, match: {path: /a}, backend: [http://a, http://b], auth: none", head=head)
    assert lines(text) == []
