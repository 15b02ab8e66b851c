from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.forwarded import Caller
from gateway.http.headers import Fate, RequestRules, field_lines, lines_to_backend, request_to_backend, values_of

RULES = RequestRules(
    identity_names=frozenset({"x-user-id", "x-roles"}),
    keep_authorization=False,
    remove=frozenset(),
    set=(),
)
STRANGER = Caller("198.51.100.7", "198.51.100.7", trusted=False, proto="http", host=None)
PROXY = Caller(
    "203.0.113.9", "10.0.0.1", trusted=True, proto="https", host="shop.example", forwarded_for=("203.0.113.9",)
)
SAME_NAME = str.maketrans("_.", "--")


def sent(headers, rules=RULES, caller=STRANGER, identity=(), version=(1, 1)):
    return request_to_backend(
        headers, rules, caller, authority="api.example.com", request_id="id-1", version=version, identity=identity
    )


def names(headers) -> set[str]:
    return {name.lower() for name, _ in headers}


@pytest.mark.parametrize("name", ["X-User-Id", "x-user-id", "X_User_Id", "x.user-id", "X-USER.ID", "x_roles"])
def test_a_forged_identity_header_is_gone_in_every_spelling(name: str) -> None:
    assert "root" not in [value for _, value in sent([(name, "root"), (name, "root")])]


def test_a_connection_header_can_not_take_identity_away() -> None:
    headers = sent([("Connection", "X-User-Id, close, X-Forwarded-For")], identity=[("X-User-Id", "alice")])
    assert values_of(headers, "x-user-id") == ["alice"]
    assert values_of(headers, "x-forwarded-for") == ["198.51.100.7"]
    assert "connection" not in names(headers)


def test_a_connection_header_changes_nothing_about_authorization() -> None:
    keeping = RequestRules(RULES.identity_names, keep_authorization=True, remove=frozenset(), set=())
    nominated = [("Authorization", "Bearer t"), ("Connection", "Authorization")]
    assert values_of(sent(nominated, keeping), "authorization") == ["Bearer t"]
    assert values_of(sent(nominated), "authorization") == []


@pytest.mark.parametrize("name", ["X-Method", "x-method", "X_Method", "x.METHOD"])
def test_what_the_route_removes_is_gone_in_every_spelling(name: str) -> None:
    removing = RequestRules(RULES.identity_names, keep_authorization=False, remove=frozenset({"x-method"}), set=())
    assert "1" not in [value for _, value in sent([(name, "1"), ("X-Other", "2")], removing)]


def test_nominated_fields_are_hop_by_hop() -> None:
    assert "x-secret-hop" not in names(sent([("Connection", "x-secret-hop"), ("X-Secret-Hop", "1")]))


@pytest.mark.parametrize(
    "name",
    [
        "Connection", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding",
        "Upgrade", "HTTP2-Settings", "Content-Length", "Content_Length", "Transfer_Encoding", "Host", "Expect",
    ],
)  # fmt: skip
def test_hop_by_hop_and_framing_fields_never_pass(name: str) -> None:
    assert name.lower() not in names(sent([(name, "x")]))


@pytest.mark.parametrize(
    "name",
    [
        "Forwarded",
        "X-Forwarded-For",
        "X_Forwarded_For",
        "X-Forwarded-Port",
        "X-Real-IP",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X_Original_Uri",
        "True-Client-IP",
        "CF.Connecting.IP",
        "X-Host",
    ],
)
def test_a_stranger_can_not_speak_for_proxies(name: str) -> None:
    assert "forged" not in [value for _, value in sent([(name, "forged")])]


def test_the_forwarded_fields_are_set_anew_for_a_stranger() -> None:
    headers = sent([("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil")])
    assert values_of(headers, "x-forwarded-for") == ["198.51.100.7"]
    assert values_of(headers, "x-forwarded-proto") == ["http"]
    assert values_of(headers, "x-forwarded-host") == ["api.example.com"]


def test_a_trusted_proxys_chain_is_continued() -> None:
    headers = sent([("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=203.0.113.9")], caller=PROXY)
    assert values_of(headers, "x-forwarded-for") == ["203.0.113.9, 10.0.0.1"]
    assert values_of(headers, "x-forwarded-proto") == ["https"]
    assert values_of(headers, "x-forwarded-host") == ["shop.example"]
    assert values_of(headers, "forwarded") == ["for=203.0.113.9"]


def test_via_names_the_gateway_behind_those_before_it() -> None:
    assert values_of(sent([("Via", "1.0 a"), ("via", "1.1 b")]), "via") == ["1.0 a, 1.1 b, 1.1 gateway"]


def test_a_route_removes_and_sets() -> None:
    rules = RequestRules(RULES.identity_names, False, frozenset({"cookie"}), (("X-Env", "prod"),))
    headers = sent([("Cookie", "a=b"), ("x-env", "test"), ("Traceparent", "00-1")], rules)
    assert values_of(headers, "cookie") == []
    assert values_of(headers, "x-env") == ["prod"]
    assert values_of(headers, "traceparent") == ["00-1"]


def test_identity_comes_last_and_replaces_what_a_route_sets() -> None:
    rules = RequestRules(RULES.identity_names, False, frozenset(), (("X-User-Id", "static"),))
    assert sent([], rules, identity=[("X-User-Id", "alice")])[-1] == ("X-User-Id", "alice")
    assert values_of(sent([], rules, identity=[("X-User-Id", "alice")]), "x-user-id") == ["alice"]


@given(
    st.lists(
        st.tuples(st.text(st.sampled_from("xX-_.userUSERidID"), min_size=1, max_size=12), st.just("forged")), max_size=8
    )
)
def test_no_identity_header_of_a_client_survives(headers) -> None:
    for name, value in sent(headers):
        assert not (value == "forged" and name.lower().translate(SAME_NAME) in RULES.identity_names)


def test_what_is_remembered_of_names_is_bounded() -> None:
    for number in range(10_000):
        assert RULES.fates[f"X-Number-{number}"] is Fate.PASSES
        assert RULES.fates["X" * 100 + str(number)] is Fate.PASSES
        assert RULES.fates["X_User.Id"] is Fate.STAYS
    assert len(RULES.fates) <= 128
    assert max(map(len, RULES.fates)) <= 64


def test_routes_with_other_rules_know_names_apart() -> None:
    keeping = RequestRules(RULES.identity_names, True, frozenset({"cookie"}), (("X-Env", "prod"),))
    for rules, fates in ((RULES, "PSP"), (keeping, "SPS"), (RULES, "PSP")):
        found = [rules.fates[name] for name in ("Cookie", "Authorization", "x.env")]
        assert "".join({Fate.PASSES: "P", Fate.STAYS: "S"}[fate] for fate in found) == fates


CALLERS = [
    STRANGER,
    PROXY,
    Caller("", "", trusted=False, proto="http", host=None),
    Caller("10.0.0.1", "10.0.0.1", trusted=True, proto="http", host=None),
]
ALL_RULES = [
    RULES,
    RequestRules(
        RULES.identity_names, True, frozenset({"cookie", "via"}), (("X-Env", "prod"), ("X-Forwarded-Proto", "https"))
    ),
    RequestRules(RULES.identity_names, False, frozenset({"accept"}), (("X_User_Id", "static"), ("X-Env", "é"))),
]
SENT = st.sampled_from(
    ["Accept", "Cookie", "via", "Connection", "X-User-Id", "X-Real-IP", "X_Env", "Authorization", "X-A"]
)


@given(
    st.lists(st.tuples(SENT, st.sampled_from(["v", "keep-alive", "x-a, cookie", "1.0 a"])), max_size=6),
    st.sampled_from(ALL_RULES),
    st.sampled_from(CALLERS),
    st.sampled_from([(), (("X-User-Id", "alice"),), (("X-User-Id", "a"), ("X-Roles", "b,c"))]),
)
def test_lines_say_what_names_and_values_do(headers, rules, caller, identity) -> None:
    pairs = sent(headers, rules, caller, identity)
    lines = lines_to_backend(headers, rules, caller, authority="api.example.com", version=(1, 1))
    if lines is None:
        assert rules is not RULES or caller is not STRANGER
        return
    whole = f"{lines.before_id}id-1{lines.before_peer}{caller.peer}{lines.rest}{field_lines(identity)}"
    assert whole == field_lines(pairs)
    assert lines.lines + len(identity) == len(pairs)


def test_every_spelling_of_a_name_is_one() -> None:
    for separators in product("-_.", repeat=2):
        name = "x" + separators[0] + "user" + separators[1] + "id"
        assert name not in names(sent([(name, "root")]))
