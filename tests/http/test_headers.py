from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.fates import ALWAYS, DEPENDS, FROM_TRUSTED, NEVER, PASSES
from gateway.http.forwarded import Caller
from gateway.http.headers import (
    RequestRules,
    ResponseRules,
    fates_under,
    lines_to_backend,
    response_field_passes,
    values_of,
)
from gateway.http.request_fields import fields_of_text

IDENTITY = frozenset({"x-user-id", "x-roles"})
RULES = RequestRules(
    identity_names=IDENTITY,
    keep_authorization=False,
    remove=frozenset(),
    set=(),
)
STRANGER = Caller("198.51.100.7", "198.51.100.7", trusted=False, proto="http", host=None)
PROXY = Caller(
    "203.0.113.9", "10.0.0.1", trusted=True, proto="https", host="shop.example", forwarded_for=("203.0.113.9",)
)
# Every character that a field name may have beside letters and digits (RFC 9110 §5.6.2).
SEPARATORS = "!#$%&'*+-.^_`|~"
# What the gateway protects by name, with the default rules.
PROTECTED = (
    "X-User-Id", "X-Roles", "Authorization", "Host", "Content-Length", "Transfer-Encoding", "Connection", "TE",
    "X-Request-Id", "X-Forwarded-For", "X-Forwarded-User", "Forwarded", "Proxy", "X-Real-IP", "X-Original-URL",
    "Via", "Expect", "Upgrade",
)  # fmt: skip


def sent(headers, rules=RULES, caller=STRANGER, identity=(), version=(1, 1)):
    fields = fields_of_text(fates_under([rules]), headers)
    lines = lines_to_backend(
        fields, rules, caller, authority="api.example.com", request_id="id-1", version=version, identity=identity
    )
    return [*lines.pairs, *identity]


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
    keeping = RequestRules(IDENTITY, keep_authorization=True, remove=frozenset(), set=())
    nominated = [("Authorization", "Bearer t"), ("Connection", "Authorization")]
    assert values_of(sent(nominated, keeping), "authorization") == ["Bearer t"]
    assert values_of(sent(nominated), "authorization") == []


@pytest.mark.parametrize("name", ["Author_ization", "authori!zation", "AUTHORIZATION-"])
def test_a_token_that_is_kept_is_not_joined_by_a_look_alike(name: str) -> None:
    keeping = RequestRules(IDENTITY, keep_authorization=True, remove=frozenset(), set=())
    assert "Bearer other" not in [value for _, value in sent([(name, "Bearer other")], keeping)]


@pytest.mark.parametrize("name", ["X-Method", "x-method", "X_Method", "x.METHOD"])
def test_what_the_route_removes_is_gone_in_every_spelling(name: str) -> None:
    removing = RequestRules(IDENTITY, keep_authorization=False, remove=frozenset({"x-method"}), set=())
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
    assert values_of(headers, "forwarded") == []


def test_via_names_the_gateway_behind_those_before_it() -> None:
    assert values_of(sent([("Via", "1.0 a"), ("via", "1.1 b")]), "via") == ["1.0 a, 1.1 b, 1.1 gateway"]


def test_a_route_removes_and_sets() -> None:
    rules = RequestRules(IDENTITY, False, frozenset({"cookie"}), (("X-Env", "prod"),))
    headers = sent([("Cookie", "a=b"), ("x-env", "test"), ("Traceparent", "00-1")], rules)
    assert values_of(headers, "cookie") == []
    assert values_of(headers, "x-env") == ["prod"]
    assert values_of(headers, "traceparent") == ["00-1"]


def test_identity_comes_last_and_replaces_what_a_route_sets() -> None:
    rules = RequestRules(IDENTITY, False, frozenset(), (("X-User-Id", "static"),))
    assert sent([], rules, identity=[("X-User-Id", "alice")])[-1] == ("X-User-Id", "alice")
    assert values_of(sent([], rules, identity=[("X-User-Id", "alice")]), "x-user-id") == ["alice"]


@st.composite
def spelled(draw, name: str) -> str:
    """Letters and digits of `name`, in either case, with any separators between them, before and behind."""
    letters = [char for char in name if char.isalnum()]
    between = [draw(st.text(SEPARATORS, max_size=2)) for _ in range(len(letters) + 1)]
    cased = [draw(st.sampled_from((char.lower(), char.upper()))) for char in letters]
    return between[0] + "".join(char + more for char, more in zip(cased, between[1:], strict=True))


@given(st.data(), st.sampled_from(PROTECTED), st.sampled_from([STRANGER, PROXY]))
def test_no_identity_header_of_a_client_survives(data, protected, caller) -> None:
    """Whatever a backend makes of the characters between letters and digits, or whether it drops them."""
    name = data.draw(spelled(protected))
    values = [value for _, value in sent([(name, "forged")], caller=caller, identity=[("X-User-Id", "alice")])]
    assert name.lower() == "via" or "forged" not in values


@given(
    st.dictionaries(st.sampled_from(SEPARATORS), st.sampled_from(["", "_", "-", "."]), max_size=15),
    st.text(st.sampled_from("xuseridroles" + SEPARATORS), min_size=1, max_size=14),
)
def test_nor_under_any_map_that_a_backend_applies(mapped, name) -> None:
    """`mapped` says what a backend makes of each separator, nothing among others."""

    def seen(one: str) -> str:
        return "".join(mapped.get(char, char) for char in one)

    kept = [other for other, value in sent([(name, "forged")]) if value == "forged"]
    assert not kept or seen(name) not in {seen("x-user-id"), seen("x-roles")}


@pytest.mark.parametrize("name", [*SEPARATORS, "---", "_._"])
def test_a_name_without_a_letter_or_digit_is_dropped(name: str) -> None:
    assert "1" not in [value for _, value in sent([(name, "1")])]


HONEST = [
    "Accept", "Accept-Encoding", "Accept-Language", "Access-Control-Request-Headers", "Baggage", "Cache-Control",
    "CF-Ray", "Content-Type", "Content-Encoding", "Content-Language", "Content-Location", "Content-MD5", "Cookie",
    "Date", "DNT", "Etag", "From", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "Last-Event-ID",
    "Link", "Max-Forwards", "Origin", "Pragma", "Prefer", "Priority", "Range", "Referer", "Save-Data",
    "Sec-Fetch-Site", "Sec-WebSocket-Key", "Signature", "SOAPAction", "Traceparent", "Tracestate", "User-Agent",
    "Warning", "X-Api-Key", "X-Correlation-Id", "X-CSRF-Token", "X-HTTP-Method-Override", "X-Requested-With",
    "X-Hub-Signature-256", "Idempotency-Key", "GraphQL-Require-Preflight", "X-Amz-Date", "X-Goog-Api-Key",
    "X_Custom", "x.custom", "X-User", "X-User-Id-2", "Proxied", "Hosted", "Viable",
]  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
def test_what_is_nobodys_name_passes_as_it_came(name: str) -> None:
    assert (name, "1") in sent([(name, "1")])


@pytest.mark.parametrize(
    "name",
    [
        "Cookie", "Origin", "Content-Type", "content-encoding", "Content_Type", "traceparent", "tracestate", "baggage",
        "Referer", "Cache-Control", "Access-Control-Request-Method", "Sec-Fetch-Site",
    ],
)  # fmt: skip
def test_what_decides_or_describes_the_message_is_not_nominated(name: str) -> None:
    headers = sent([(name, "kept"), ("Connection", f"{name}, X-Hop"), ("X-Hop", "1")])
    assert "kept" in [value for _, value in headers]
    assert "x-hop" not in names(headers)


def test_a_nominated_field_is_gone_in_every_spelling() -> None:
    assert not {"x-hop", "x_hop"} & names(sent([("Connection", "x-hop"), ("X-Hop", "1"), ("X_Hop", "2")]))


FROM_PROXIES = [
    "X-Forwarded-User", "X-Forwarded-Groups", "X-Forwarded-Access-Token", "X-Forwarded-Uri", "X-Forwarded-Anything",
    "X-Forward-For", "X-Original-URL", "X-Original-Method", "X-Rewrite-URL", "X-Real-IP", "True-Client-IP",
    "CF-Connecting-IP", "X-Envoy-Original-Path", "X-Auth-Request-User", "Remote-User", "X-Remote-User",
    "X-WebAuth-User", "X-Authenticated-Userid", "Cf-Access-Authenticated-User-Email", "X-Goog-Authenticated-User-Id",
    "X-MS-CLIENT-PRINCIPAL-NAME", "X-SSL-Client-Verify", "Client-Cert", "X-Replaced-Path", "X-Scheme", "X-Host",
]  # fmt: skip


@pytest.mark.parametrize("name", FROM_PROXIES)
def test_a_trusted_proxy_is_not_believed_in_it_unless_it_is_listed(name: str) -> None:
    assert "1" not in [value for _, value in sent([(name, "1")])]
    assert "1" not in [value for _, value in sent([(name, "1")], caller=PROXY)]
    listed = RequestRules(IDENTITY, False, frozenset(), (), trusted=frozenset({name}))
    assert (name, "1") in sent([(name, "1")], listed, PROXY)
    assert "1" not in [value for _, value in sent([(name.replace("-", "_"), "1")], listed, PROXY)]
    assert "1" not in [value for _, value in sent([(name, "1")], listed)]


def test_a_listed_header_of_any_name_is_the_proxys_alone() -> None:
    listed = RequestRules(IDENTITY, False, frozenset(), (), trusted=frozenset({"X-Tenant", "X-User-Id"}))
    assert values_of(sent([("x-tenant", "a")], listed, PROXY), "x-tenant") == ["a"]
    assert values_of(sent([("x-tenant", "a")], listed), "x-tenant") == []
    assert values_of(sent([("X-User-Id", "root")], listed, PROXY), "x-user-id") == []


def test_port_and_prefix_of_a_trusted_proxy_are_sent_anew() -> None:
    caller = Caller("203.0.113.9", "10.0.0.1", trusted=True, proto="https", host="h", port="8443", prefix="/shop")
    headers = sent([("X-Forwarded-Port", "1"), ("X-Forwarded-Prefix", "/x")], caller=caller)
    assert values_of(headers, "x-forwarded-port") == ["8443"]
    assert values_of(headers, "x-forwarded-prefix") == ["/shop"]


def test_without_any_host_there_is_none_to_tell() -> None:
    fields = fields_of_text(fates_under([RULES]), [])
    lines = lines_to_backend(fields, RULES, STRANGER, authority="", request_id="id-1", version=(1, 0))
    assert "x-forwarded-host" not in names(lines.pairs)


@pytest.mark.parametrize("name", ["Server", "X.Server", "server", "X-Identity_Stale", "Content!Length", "XRequestId",
                                  "Access_Control.Allow-Origin", "Transfer!Encoding", "Keep_Alive"])  # fmt: skip
def test_what_a_backend_may_not_say_is_gone_in_every_spelling(name: str) -> None:
    rules = ResponseRules(frozenset({"Server", "X-Server"}), (), own_cors=True)
    assert not response_field_passes(name, rules)
    assert response_field_passes("ETag", rules)


def test_what_is_remembered_of_names_is_bounded() -> None:
    fates = fates_under([RULES])
    for number in range(10_000):
        for name, fate in ((b"X-Number-%d" % number, PASSES), (b"X" * 100 + b"%d" % number, PASSES), (b"X_User.Id", 0)):
            assert fates.known.get(name, fates.find(name)) == fate
        assert RULES.senders[f"X-Number-{number}"] == ALWAYS
        assert RULES.senders["X" * 100 + str(number)] == ALWAYS
    for known, most in ((fates.known, 512), (RULES.senders, 128)):
        assert 0 < len(known) <= most
        assert max(map(len, known)) <= 64


def test_what_depends_on_the_route_is_known_and_left_to_it() -> None:
    trusted = frozenset({"X-Tenant"})
    one = RequestRules(IDENTITY, True, frozenset({"cookie"}), (("X-Env", "prod"),), trusted)
    other = RequestRules(IDENTITY, False, frozenset(), (), trusted)
    fates = fates_under([one, other])
    for name in (b"Cookie", b"COOKIE", b"x.env", b"x-tenant"):
        assert fates.find(name) == PASSES | DEPENDS
    assert fates.find(b"authorization") & (PASSES | DEPENDS) == PASSES | DEPENDS
    assert fates.find(b"Accept") == PASSES
    assert fates.find(b"X_Tenant") == fates.find(b"x-user-id") == fates.find(b"X-Real-IP") == 0
    for rules, said in ((one, (NEVER, NEVER, ALWAYS)), (other, (ALWAYS, ALWAYS, NEVER)), (one, (NEVER, NEVER, ALWAYS))):
        assert tuple(rules.senders[name] for name in ("Cookie", "x.env", "Authorization")) == said
        assert rules.senders["X-Tenant"] == FROM_TRUSTED
        headers = [("Accept", "1"), ("Cookie", "2"), ("Authorization", "3"), ("X-Tenant", "4")]
        fields = fields_of_text(fates, headers)
        lines = lines_to_backend(fields, rules, STRANGER, authority="h", request_id="i", version=(1, 1))
        assert lines.kept == [b"Accept: 1", *([b"Authorization: 3"] if rules is one else [b"Cookie: 2"])]


def test_every_spelling_of_a_name_is_one() -> None:
    for separators in product(["", *SEPARATORS], repeat=2):
        name = "x" + separators[0] + "user" + separators[1] + "id"
        assert name not in names(sent([(name, "root")]))
