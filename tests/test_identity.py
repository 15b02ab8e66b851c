import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.facts import Facts
from gateway.http.refusal import Refusal
from gateway.identity import Identity, compile_identity, identity_headers, render


def header(value, path: tuple[str, ...] = ("c",)):
    return identity_headers({"X-C": (path,)}, {"c": value})


@pytest.mark.parametrize(
    ("claim", "sent"),
    [
        ("alice", "alice"),
        ("Zoë 田", "Zoë 田"),
        ("a,b%c", "a,b%c"),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (10**30, "1" + "0" * 30),
        (1.5, "1.5"),
        (1e21, "1000000000000000000000"),
        (1e-7, "0.0000001"),
        (["a", "b"], "a,b"),
        (["a,b", "50%"], "a%2Cb,50%25"),
        (["a", None, "", {"x": 1}, ["y"], 5, True], "a,5,true"),
    ],
)
def test_a_claim_becomes_text(claim, sent: str) -> None:
    assert header(claim) == (("X-C", sent),)


@pytest.mark.parametrize("claim", [None, "", [], [None], {}, {"a": "b"}, [[]]])
def test_what_says_nothing_makes_no_header(claim) -> None:
    assert header(claim) == ()


@pytest.mark.parametrize(
    "claim",
    [
        "a\r\nX-Roles: root",
        "a\n",
        "\ta",
        "a\0",
        "\x7f",
        "a\u0085b",
        "\ud800",
        ["ok", "a\rb"],
        " root",
        "root ",
        ["a", " b"],
    ],
)
def test_a_value_that_could_be_read_as_another_refuses_the_request(claim) -> None:
    refusal = header(claim)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (403, "unsafe_claim")
    assert "root" not in refusal.detail + str(refusal.reason)


def test_unsafe_are_all_controls_and_lone_surrogates_and_nothing_else() -> None:
    everything = map(chr, range(sys.maxunicode + 1))
    unsafe = [character for character in everything if unicodedata.category(character) in {"Cc", "Cs"}]
    assert all(isinstance(header(f"a{character}b"), Refusal) for character in unsafe)
    rest = re.sub(f"[{re.escape(''.join(unsafe))}]", "", "".join(map(chr, range(sys.maxunicode + 1))))
    assert header(f"a{rest}b") == (("X-C", f"a{rest}b"),)


USER, ROLES = (("X-User-Id", (("sub",),)),), (("X-Roles", (("roles",),)),)


def test_headers_are_made_once_for_the_same_facts_and_rules() -> None:
    facts = Facts({"sub": "alice", "roles": ["a", "b"]}, 0)
    made = render(compile_identity(USER), facts, 0)
    assert isinstance(made, Identity)
    assert made.pairs == (("X-User-Id", "alice"),)
    assert render(compile_identity(USER), facts, 0) is made


def test_what_was_made_is_not_taken_for_other_rules_or_other_facts() -> None:
    alice, bob = Facts({"sub": "alice", "roles": ["a"]}, 0), Facts({"sub": "bob", "roles": ["b"]}, 0)
    made = [render(compile_identity(rules), facts, 0) for facts in (alice, bob) for rules in (USER, ROLES, USER)]
    assert [identity.pairs for identity in made if isinstance(identity, Identity)] == [
        (("X-User-Id", "alice"),), (("X-Roles", "a"),), (("X-User-Id", "alice"),),
        (("X-User-Id", "bob"),), (("X-Roles", "b"),), (("X-User-Id", "bob"),),
    ]  # fmt: skip


def test_a_refusal_is_made_anew_and_leaves_nothing_behind() -> None:
    facts = Facts({"sub": "a\nb", "roles": ["a"]}, 0)
    assert isinstance(render(compile_identity(ROLES), facts, 0), Identity)
    for _ in range(2):
        assert isinstance(render(compile_identity(USER), facts, 0), Refusal)


def test_the_first_claim_that_makes_a_header_is_sent() -> None:
    rules = {"X-Name": (("preferred_username",), ("username",))}
    assert identity_headers(rules, {"username": "b"}) == (("X-Name", "b"),)
    assert identity_headers(rules, {"preferred_username": "a", "username": "b"}) == (("X-Name", "a"),)
    assert identity_headers(rules, {"preferred_username": "", "username": "b"}) == (("X-Name", "b"),)


def test_paths_reach_into_objects() -> None:
    rules = {"X-Roles": (("realm_access", "roles"),)}
    assert identity_headers(rules, {"realm_access": {"roles": ["a"]}}) == (("X-Roles", "a"),)
    assert identity_headers(rules, {"realm_access": ["a"]}) == ()


@given(st.text() | st.lists(st.text()))
def test_no_claim_makes_a_second_header_or_an_unsendable_one(claim) -> None:
    made = header(claim)
    if not isinstance(made, Refusal):
        for _, value in made:
            value.encode()
            assert value.strip() == value or value.strip(" ") == value
            assert not {"\r", "\n", "\0"} & set(value)


@given(st.lists(st.text(st.sampled_from("ab,%"), min_size=1), min_size=1, max_size=4))
def test_a_joined_list_can_be_taken_apart_again(elements: list[str]) -> None:
    ((_, value),) = header(elements)
    assert [part.replace("%2C", ",").replace("%25", "%") for part in value.split(",")] == elements


def test_who_acts_for_another_can_be_named_by_a_path() -> None:
    """RFC 8693 §4.1: `act` is an object, and only what is in it makes a header."""
    rules = {
        "X-Actor": (("act", "sub"), ("act", "client_id")),
        "X-First": (("act", "act", "sub"),),
        "X-Act": (("act",),),
    }
    acting = {"act": {"sub": "support", "act": {"sub": "batch"}}}
    assert identity_headers(rules, acting) == (("X-Actor", "support"), ("X-First", "batch"))
    assert identity_headers(rules, {"act": {"client_id": "portal"}}) == (("X-Actor", "portal"),)
    assert identity_headers(rules, {"act": "support"}) == (("X-Act", "support"),)
    assert identity_headers(rules, {}) == ()


def test_no_claim_feeds_a_header_in_a_nested_ones_place() -> None:
    rules = {"X-Roles": (("realm_access", "roles"),)}
    claims = {"realm_access": {"roles": ["clerk"]}, "realm_access.roles": ["admin"]}
    assert identity_headers(rules, claims) == (("X-Roles", "clerk"),)
