from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive
from gateway.authn.question import Question
from gateway.authn.tolerance import longest_tolerated_s, tolerances_s
from gateway.config.auth_model import Auth
from gateway.config.provider_model import Provider
from gateway.config.route_model import Route
from gateway.introspection.lifetime import Lifetimes, left_s
from gateway.introspection.stale import is_tolerable, kept_s

HOUR = Lifetimes(3600, 10)
MINUTE = Lifetimes(60, 10)


def question(stale_s: float | None, max_age_s: float | None = None) -> Question:
    return Question("p", Token("t"), max_age_s, stale_s)


def test_safe_methods_tolerate_unless_the_route_says_otherwise():
    assert tolerances_s(Auth(stale_if_error="5m")) == {"GET": 300, "HEAD": 300, "OPTIONS": 300}
    assert tolerances_s(Auth(stale_if_error="5m", stale_methods=["POST"])) == {"POST": 300}


def test_get_stands_for_head_too():
    assert tolerances_s(Auth(stale_if_error="5m", stale_methods=["GET", "POST"])).keys() == {"GET", "HEAD", "POST"}


def test_nothing_is_tolerated_where_nothing_is_said():
    for auth in (Auth(), Auth(stale_if_error="0s")):
        assert tolerances_s(auth) == {}


def test_facts_stand_in_for_so_long_after_they_were_fresh():
    assert is_tolerable(question(300), 359.9, MINUTE)
    assert not is_tolerable(question(300), 360, MINUTE)
    assert not is_tolerable(question(None), 0, MINUTE)


def test_what_is_fresh_is_said_by_the_stricter_of_ttl_and_max_age():
    assert not is_tolerable(question(300, max_age_s=5), 305, MINUTE)
    assert is_tolerable(question(300, max_age_s=5), 304, MINUTE)
    assert is_tolerable(question(300, max_age_s=0), 299, MINUTE)
    assert not is_tolerable(question(300, max_age_s=3600), 360, MINUTE)


PROVIDER = Provider(issuer="https://sso.example.com", client_id="gateway", client_auth="none")


def test_each_providers_facts_are_kept_for_the_route_that_tolerates_most():
    def route(name, **auth):
        return Route(name=name, backend="http://a", auth=auth)

    routes = [
        route("a", provider="p", stale_if_error="1m"),
        route("b", provider=["p", "q"], stale_if_error="5m"),
        route("c", stale_if_error="2m"),
        route("d", provider="r"),
        route("e", mode="none", stale_if_error="1h"),
    ]
    assert longest_tolerated_s(routes, dict.fromkeys("pqr", PROVIDER)) == {"p": 300, "q": 300, "r": 120}
    assert longest_tolerated_s([route("x")], {"p": PROVIDER}) == {}


times = st.floats(0, 4e9)
spans = st.floats(0, 1e6)


@given(exp=st.none() | times, now=times, age_s=st.floats(-1e3, 1e6), ttl_s=spans, longest_s=spans)
def test_nothing_is_kept_past_exp_nor_longer_than_it_could_be_of_use(exp, now, age_s, ttl_s, longest_s):
    lifetimes, facts = Lifetimes(ttl_s, 10), Facts({}, now, exp)
    kept = kept_s(facts, age_s, now, lifetimes, longest_s)
    assert 0 <= kept <= max(0.0, ttl_s + longest_s - max(0.0, age_s))
    assert exp is None or kept <= max(0.0, exp - now)
    assert kept >= left_s(facts, age_s, now, lifetimes)


def test_a_no_is_not_kept():
    assert kept_s(Inactive(0), 0, 0, HOUR, 300) == 0
