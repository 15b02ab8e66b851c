import base64
import json
from collections.abc import Callable

import pytest

from gateway import pipeline
from gateway.authn.facts import Inactive, Indeterminate, read_introspection_result
from gateway.compiled import CompiledConfig, compile_config
from gateway.config.model import Config
from gateway.decision import Allow, Decision, NeedsFacts, Preflight, Receive, Refuse
from gateway.http.backend import Backend
from gateway.http.headers import values_of
from gateway.http.request_fields import fields_of_text
from gateway.pipeline import resume
from gateway.proxy.request_head import backend_request
from gateway.proxy.upstream.backend_request import NO_BODY
from gateway.request import Request

NOW = 1_700_000_000.0
ONE = {"kc": {"issuer": "https://sso/realms/demo", "client_id": "gateway", "client_secret": "s"}}
TWO = {
    **ONE,
    "b": {"issuer": "https://b", "introspection_endpoint": "https://b/i", "client_id": "g", "client_secret": "s"},
}


def gate(*routes: dict, providers: dict = ONE, **server) -> CompiledConfig:
    complete = [{"name": f"r{i}", "backend": "http://backend:1", **route} for i, route in enumerate(routes)]
    return compile_config(Config.model_validate({"providers": providers, "routes": complete, "server": server}))


Asked = Callable[[CompiledConfig], Request]


def request(target: str = "/a", method: str = "GET", token: str | None = "abc", headers=(), **more) -> Asked:
    """Of a gateway, whose configuration says what is read of its fields."""
    fields = [("Host", "api.example.com"), *headers]
    if token is not None:
        fields.append(("Authorization", f"Bearer {token}"))
    values = {"peer": "198.51.100.7", "scheme": "http", "version": (1, 1), "new_request_id": "id-1", **more}
    return lambda gate: Request(method, target, fields_of_text(gate.fates, fields), **values)


def decide(gate: CompiledConfig, request: Asked) -> Decision:
    return pipeline.decide(gate, request(gate))


def active(**claims):
    return read_introspection_result({"active": True, **claims}, NOW)


def decided(gate: CompiledConfig, request: Asked, *answers):
    """The whole way, with the providers' answers in the order they are asked."""
    decision, left = decide(gate, request), list(answers)
    while isinstance(decision, NeedsFacts):
        decision = resume(gate, decision, left.pop(0), NOW)
    assert not left, "a provider was to be asked and was not"
    return decision


def code(decision) -> str:
    assert isinstance(decision, Refuse)
    return decision.refusal.code


PATH = {"match": {"path": "/a/**"}}


def test_a_good_token_passes_with_identity() -> None:
    allow = decided(gate(PATH), request("/a/b?x=1", headers=[("X-User-Id", "root")]), active(sub="alice", scope="a b"))
    assert isinstance(allow, Allow)
    assert allow.path_and_query == "/a/b?x=1"
    assert values_of(allow.headers, "x-user-id") == ["alice"]
    assert values_of(allow.headers, "x-scopes") == ["a b"]
    assert values_of(allow.headers, "authorization") == []
    assert values_of(allow.headers, "x-request-id") == ["id-1"]


@pytest.mark.parametrize(
    ("mode", "token", "headers", "expected"),
    [
        ("required", None, [], "token_missing"),
        ("required", None, [("Authorization", "Basic abc")], "token_missing"),
        ("required", "a,b", [], "invalid_request"),
        ("required", "a", [("Authorization", "Bearer b")], "invalid_request"),
        ("optional", "a b", [], "invalid_request"),
    ],
)
def test_refusals_before_any_provider_is_asked(mode, token, headers, expected) -> None:
    assert code(decided(gate({**PATH, "auth": mode}), request(token=token, headers=headers))) == expected


def test_no_auth_key_means_required() -> None:
    assert code(decided(gate(PATH), request(token=None))) == "token_missing"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Inactive(NOW), "invalid_token"),
        (Indeterminate("down"), "introspection_unavailable"),
        (active(exp=NOW - 1), "invalid_token"),
        (active(sub="a\nb"), "unsafe_claim"),
    ],
)
@pytest.mark.parametrize("mode", ["required", "optional"])
def test_a_token_that_was_sent_is_judged_in_every_mode(mode, answer, expected) -> None:
    assert code(decided(gate({**PATH, "auth": mode}), request(), answer)) == expected


def test_optional_lets_only_those_without_a_token_pass_without_identity() -> None:
    allow = decided(gate({**PATH, "auth": "optional"}), request(token=None, headers=[("X_User.Id", "root")]))
    assert isinstance(allow, Allow)
    assert "root" not in dict(allow.headers).values()


def test_none_looks_at_no_token_and_still_strips_it() -> None:
    allow = decided(gate({**PATH, "auth": "none"}), request(token="not a token,"))
    assert isinstance(allow, Allow)
    assert values_of(allow.headers, "authorization") == []


def test_authorization_can_be_kept() -> None:
    allow = decided(gate({**PATH, "authorization": "keep"}), request(), active())
    assert isinstance(allow, Allow)
    assert values_of(allow.headers, "authorization") == ["Bearer abc"]


def test_identity_headers_of_one_route_are_stripped_on_all() -> None:
    routes = ({**PATH, "identity": {"headers": {"X-Tenant": "tenant"}}}, {"match": {"path": "/pub"}, "auth": "none"})
    allow = decided(gate(*routes), request("/pub", headers=[("X_Tenant", "root")]))
    assert isinstance(allow, Allow)
    assert "root" not in dict(allow.headers).values()


@pytest.mark.parametrize(
    "target", ["/public/../admin", "/public/%2e%2e/admin", "//admin", "/public/..;/admin", "/Admin"]
)
def test_no_spelling_reaches_what_is_protected(target: str) -> None:
    routes = gate({"match": {"path": "/public/**"}, "auth": "none"}, {"match": {"path": "/admin/**"}})
    assert code(decided(routes, request(target, token=None))) in {"invalid_target", "no_route"}


def test_an_unknown_path_and_a_wrong_method() -> None:
    routes = gate({"match": {"path": "/a", "methods": ["GET", "POST"]}})
    assert code(decided(routes, request("/b"))) == "no_route"
    wrong = decided(routes, request("/a", "DELETE"))
    assert code(wrong) == "method_not_allowed"
    assert wrong.refusal.headers == (("Allow", "GET, HEAD, POST"),)
    assert wrong.refusal.reason == "the method is not one of [GET, HEAD, POST]"


def test_an_encoded_slash_passes_only_where_it_is_allowed() -> None:
    assert code(decided(gate(PATH), request("/a/x%2fy"))) == "invalid_target"
    assert code(decided(gate(PATH), request("/b%2fy"))) == "invalid_target"
    allow = decided(gate({**PATH, "allow_encoded_slash": True}), request("/a/x%2fy"), active())
    assert isinstance(allow, Allow)
    assert allow.path_and_query == "/a/x%2Fy"


def test_heads_that_are_too_large() -> None:
    small = gate(PATH, max_header_bytes=1024, max_headers=3)
    assert code(decided(small, request("/a" * 600))) == "uri_too_long"
    assert code(decided(small, request(headers=[("X", "y" * 1000)]))) == "headers_too_large"
    assert code(decided(small, request(headers=[("X", "y")] * 3))) == "headers_too_large"


@pytest.mark.parametrize(
    ("keys", "target", "sent"),
    [
        ({"strip_prefix": "/a"}, "/a/b", "/b"),
        ({"strip_prefix": "/a"}, "/a", "/"),
        ({"strip_prefix": "/a"}, "/a/", "/"),
        ({"strip_prefix": "/a"}, "/a/b/?q", "/b/?q"),
        ({"rewrite": "/v2/{**}"}, "/a/b/c", "/v2/b/c"),
        ({"rewrite": "/"}, "/a/b", "/"),
    ],
)
def test_paths_are_stripped_and_rewritten(keys, target, sent) -> None:
    allow = decided(gate({**PATH, **keys}), request(target), active())
    assert isinstance(allow, Allow)
    assert allow.path_and_query == sent


def test_captures_move_into_the_rewritten_path() -> None:
    routes = gate({"match": {"path": "/t/{tenant}/o/**"}, "rewrite": "/v2/{tenant}/{**}"})
    allow = decided(routes, request("/t/acme/o/7/x"), active())
    assert isinstance(allow, Allow)
    assert allow.path_and_query == "/v2/acme/7/x"


def test_a_body_that_is_declared_too_large_is_refused_after_authorisation() -> None:
    routes = gate({**PATH, "max_body": "1KiB"}, {"match": {"path": "/b"}, "max_body": "unlimited"})
    large = [("Content-Length", "1025")]
    assert code(decided(routes, request(headers=large), active())) == "content_too_large"
    assert code(decided(routes, request(headers=large, token=None))) == "token_missing"
    assert isinstance(decided(routes, request("/b", headers=large), active()), Allow)


def jwt(issuer: str) -> str:
    part = base64.urlsafe_b64encode(json.dumps({"iss": issuer}).encode()).decode().rstrip("=")
    return f"e30.{part}.c2ln"


def test_of_two_providers_with_one_issuer_the_first_of_the_route_is_asked() -> None:
    providers = {**TWO, "c": {**TWO["b"], "client_id": "other"}}
    for names in (["b", "c"], ["c", "b"], ["kc", "c", "b"]):
        needs = decide(
            gate({**PATH, "auth": {"provider": names}}, providers=providers), request(token=jwt("https://b"))
        )
        assert isinstance(needs, NeedsFacts)
        assert (needs.question.provider, needs.others) == (names[-2], ())


def test_among_several_providers_the_issuer_of_a_jwt_picks() -> None:
    routes = gate({**PATH, "auth": {"provider": ["kc", "b"]}}, providers=TWO)
    needs = decide(routes, request(token=jwt("https://b")))
    assert isinstance(needs, NeedsFacts)
    assert (needs.question.provider, needs.others) == ("b", ())
    assert needs.question.address == needs.context.caller.address != ""
    assert isinstance(resume(routes, needs, active(iss="https://b"), NOW), Allow)
    assert code(resume(routes, needs, active(iss="https://sso/realms/demo"), NOW)) == "invalid_token"
    assert code(decided(routes, request(token=jwt("https://evil")))) == "invalid_token"


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((active(),), None),
        ((Inactive(NOW), active()), None),
        ((Indeterminate("down"), active()), None),
        ((Inactive(NOW), Inactive(NOW)), "invalid_token"),
        ((Indeterminate("down"), Inactive(NOW)), "introspection_unavailable"),
        ((Inactive(NOW), Indeterminate("down")), "introspection_unavailable"),
    ],
)
def test_an_opaque_token_is_asked_of_each_in_turn(answers, expected) -> None:
    routes = gate({**PATH, "auth": {"provider": ["kc", "b"]}}, providers=TWO)
    decision = decided(routes, request(), *answers)
    assert isinstance(decision, Allow) if expected is None else code(decision) == expected


PREFLIGHT = [("Origin", "https://app"), ("Access-Control-Request-Method", "POST")]


def test_a_preflight_needs_no_token_and_a_plain_options_does() -> None:
    cors = {"match": {"path": "/a", "methods": ["POST", "OPTIONS"]}, "cors": {"allow_origins": ["https://app"]}}
    assert isinstance(decide(gate(cors), request(method="OPTIONS", token=None, headers=PREFLIGHT)), Preflight)
    assert code(decide(gate(cors), request(method="OPTIONS", token=None))) == "token_missing"
    for twice in PREFLIGHT:  # which of the two counts?
        asked = request(method="OPTIONS", token=None, headers=[*PREFLIGHT, twice])
        assert code(decide(gate(cors), asked)) == "token_missing"
    without = {"match": {"path": "/a"}}
    assert code(decide(gate(without), request(method="OPTIONS", token=None, headers=PREFLIGHT))) == "token_missing"


def test_the_record_knows_who_was_refused() -> None:
    refuse = decided(gate({**PATH, "auth": {"scopes": ["x"]}}), request(), active(sub="alice"))
    assert code(refuse) == "insufficient_scope"
    assert refuse.context.facts.claims["sub"] == "alice"
    assert refuse.context.route.name == "r0"


def test_nothing_secret_shows_in_a_repr() -> None:
    asked = decide(gate(PATH), request("/a?key=hush", token="hush-token"))
    assert "hush" not in repr(asked)


class TestEvents:
    """What lies under the prefix is the gateway's own, before any route is looked for."""

    EVENTS = compile_config(
        Config.model_validate(
            {
                "providers": ONE,
                "events": {"prefix": "/~hooks"},
                "routes": [{"name": "all", "backend": "http://backend:1", "auth": "none"}],
            }
        )
    )

    @pytest.mark.parametrize(
        ("target", "kind"),
        [
            ("/~hooks/backchannel-logout", "logout"),
            ("/~hooks/security-events?a=b", "security_event"),
            ("/%7Ehooks/backchannel%2Dlogout", "logout"),
            ("http://other.example/~hooks/security-events", "security_event"),
        ],
    )
    def test_a_post_is_received(self, target, kind):
        decision = decide(self.EVENTS, request(target, "POST"))
        assert isinstance(decision, Receive)
        assert decision.kind == kind

    @pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "post"])
    def test_another_method_is_refused_and_a_preflight_too(self, method):
        preflight = [("Origin", "https://a"), ("Access-Control-Request-Method", "POST")]
        assert code(decide(self.EVENTS, request("/~hooks/security-events", method, headers=preflight))) == (
            "method_not_allowed"
        )

    @pytest.mark.parametrize("target", ["/~hooks", "/~hooks/", "/~hooks/x", "/~hooks/security-events/"])
    def test_nothing_else_is_there_and_no_route_gets_it(self, target):
        decision = decide(self.EVENTS, request(target, "POST"))
        assert code(decision) == "no_route"
        # A provider whose logout URL is wrong ends no session.
        assert "under events.prefix there are /backchannel-logout, /security-events" in decision.refusal.told

    @pytest.mark.parametrize("target", ["/~hooks;x/security-events", "/~hooks/security-events;x", "/~hooks%3Bx"])
    def test_nothing_is_told_by_another_spelling_of_their_path(self, target) -> None:
        assert code(decide(self.EVENTS, request(target, "POST"))) == "invalid_target"

    @pytest.mark.parametrize("target", ["/~hooksx", "/~Hooks/security-events", "/x/~hooks/security-events", "/"])
    def test_what_lies_beside_it_is_a_routes(self, target):
        assert isinstance(decide(self.EVENTS, request(target, "POST")), Allow)

    def test_a_request_that_is_not_sound_is_refused_before(self):
        twice = [("Content-Length", "1"), ("Transfer-Encoding", "chunked")]
        assert code(decide(self.EVENTS, request("/~hooks/security-events", "POST", headers=twice))) == "invalid_request"


@pytest.mark.parametrize("target", ["/a", "http://api.example.com/a"])
def test_only_http_10_may_leave_the_host_out(target: str) -> None:
    made = gate(PATH)
    for version, expected in (((1, 0), "token_missing"), ((1, 1), "invalid_request")):
        bare = Request("GET", target, fields_of_text(made.fates, []), "198.51.100.7", "http", version, "id-1")
        assert code(pipeline.decide(made, bare)) == expected


@pytest.mark.parametrize("allows", [True, False])
def test_path_parameters_need_the_routes_permission(allows: bool) -> None:
    made = gate(
        {**PATH, "allow_path_parameters": allows}, {"match": {"path": "/b/{id}"}, "allow_path_parameters": True}
    )
    for _ in range(2):
        decision = decided(made, request("/a/x;v=1/y%3B"), *([active()] if allows else []))
        if not allows:
            assert code(decision) == "invalid_target"
        else:
            assert isinstance(decision, Allow)
            assert decision.path == "/a/x;v=1/y%3B"
        assert code(decide(made, request("/b/7;v=1"))) == "invalid_target"


@pytest.mark.parametrize(("listen", "address"), [("unix:/run/g.sock", "203.0.113.7"), ("127.0.0.1:8080", "")])
def test_a_tcp_connection_without_an_address_is_no_peer_of_a_unix_socket(listen: str, address: str) -> None:
    made = gate(PATH, listen=listen, trusted_proxies=["unix"])
    decision = decide(made, request(peer="", headers=[("X-Forwarded-For", "203.0.113.7")]))
    assert decision.context.caller.address == address


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_a_line_end_in_what_the_gateway_says_of_a_request_makes_no_line(end: str) -> None:
    allow = decided(gate(PATH), request(), active(sub="alice"))
    assert isinstance(allow, Allow)
    allow.target.authority = f"a{end}X-User-Id: root"
    with pytest.raises(ValueError, match="line end"):
        backend_request("GET", Backend("http", "backend", 1), allow, NO_BODY)
