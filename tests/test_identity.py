import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.refusal import Refusal
from gateway.identity import identity_headers


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
