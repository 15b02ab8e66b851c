from hypothesis import given
from hypothesis import strategies as st
from support.configuration import PROVIDER, loaded

from gateway.config.merge import merged
from gateway.config.route_model import IdentitySettings


def route(defaults, own):
    text = f"{PROVIDER}defaults: {defaults}\nroutes: [{{name: a, match: {{path: /x/y}}, backend: http://a, {own}}}]"
    return loaded(text).routes[0]


def test_mappings_merge_and_lists_and_scalars_replace():
    merged_route = route(
        "{timeout: 3s, auth: {scopes: [a], audience: [x]}, request_headers: {set: {X-A: 1, X-B: 2}, remove: [P]}}",
        "timeout: 4s, auth: {scopes: [b]}, request_headers: {set: {X-B: 3}, remove: []}",
    )
    assert merged_route.timeout == 4.0
    assert (merged_route.auth.scopes, merged_route.auth.audience) == (("b",), ("x",))
    assert (merged_route.request_headers.set, merged_route.request_headers.remove) == ({"X-A": "1", "X-B": "3"}, ())


def test_the_short_form_of_auth_merges_like_the_long_one():
    assert route("{auth: {audience: [x]}}", "auth: optional").auth.audience == ("x",)
    assert route("{auth: optional}", "auth: {audience: [x]}").auth.mode == "optional"
    assert route("{auth: none}", "auth: required").auth.mode == "required"


def test_a_route_that_says_how_its_path_is_made_drops_the_other_way():
    assert route("{strip_prefix: /x}", "rewrite: /z").strip_prefix is None
    assert route("{rewrite: /z}", "strip_prefix: /x").rewrite is None
    assert route("{strip_prefix: /x}", "strip_prefix: null").strip_prefix is None


def test_a_route_can_switch_off_what_is_off_by_itself():
    assert route("{cors: {allow_origins: ['*']}}", "cors: null").cors is None


def test_identity_headers_are_the_models_own_only_where_nobody_says_any():
    assert route("{identity: {}}", "identity: {}").identity == IdentitySettings()
    assert list(route("{identity: {headers: {X-A: sub}}}", "retries: 1").identity.headers) == ["X-A"]
    assert list(route("{}", "identity: {headers: {X-B: sub}}").identity.headers) == ["X-B"]
    assert list(
        route("{identity: {headers: {X-A: sub}}}", "identity: {headers: {X-B: [a.b, c]}}").identity.headers
    ) == [
        "X-A",
        "X-B",
    ]
    assert route("{}", "identity: {headers: {}}").identity.headers == {}


def test_a_backend_may_come_from_the_defaults():
    text = f"{PROVIDER}defaults: {{backend: http://all}}\nroutes: [{{name: a}}]"
    assert str(loaded(text).routes[0].backend[0]) == "http://all"


TREES = st.recursive(st.integers(), lambda t: st.dictionaries(st.sampled_from("abc"), t, max_size=3), max_leaves=8)


@given(TREES, TREES)
def test_the_route_always_wins_and_nothing_of_it_is_lost(under, over):
    result = merged(under, over)
    assert merged(result, over) == result
    if isinstance(over, dict) and isinstance(under, dict):
        assert result.keys() == under.keys() | over.keys()
    else:
        assert result == over
