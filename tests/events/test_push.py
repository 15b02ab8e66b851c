"""Keycloak's admin actions, member by member, and what an inbox makes of them."""

import json
import time

import pytest
from events.test_event_receiver import HERE, THERE, Deliveries
from support.signing import forged_by_mac, rsa_key, signed, unsigned

from gateway.events.event_receiver import Delivery
from gateway.events.jws import EventError, read_compact
from gateway.events.push import read_admin_logout, read_not_before
from gateway.events.security_event import SecurityEvent, SubjectSelector
from gateway.introspection.invalidation import ClaimSelector, whole_realm
from gateway.provider.errors import ProviderError

NOW = 1_700_000_000
EVERYTHING = (SubjectSelector("realm", ""),)


def action(**more):
    claims = {"id": "a-1", "expiration": NOW + 30, "resource": "web", "action": "PUSH_NOT_BEFORE", "notBefore": NOW - 5}
    return {name: value for name, value in {**claims, **more}.items() if value is not None}


def logout(**more):
    return action(**{"action": "LOGOUT", "notBefore": 0, **more})


def read(reader, claims, **header):
    return reader(read_compact(signed(claims, **{"typ": "JWT", **header})), NOW)


def test_a_not_before_is_about_everything_of_the_realm():
    notice = read(read_not_before, action())
    assert notice == SecurityEvent(None, frozenset({"web"}), "a-1", ("not-before",), EVERYTHING, float(NOW - 5))
    assert notice.invalidates


@pytest.mark.parametrize(
    ("members", "subjects"),
    [
        ({}, EVERYTHING),
        ({"adapterSessionIds": [], "keycloakSessionIds": []}, EVERYTHING),
        ({"adapterSessionIds": ["x"]}, (SubjectSelector("sid", "x"),)),
        (
            {"keycloakSessionIds": ["s1", "s2"], "adapterSessionIds": ["s1"]},
            (SubjectSelector("sid", "s1"), SubjectSelector("sid", "s2")),
        ),
        ({"keycloakSessionIds": [str(number) for number in range(201)]}, EVERYTHING),  # more than a message holds
    ],
)
def test_a_logout_is_about_the_sessions_that_it_names_or_everything(members, subjects):
    notice = read(read_admin_logout, logout(**members))
    assert (notice.subjects, notice.events, notice.not_before) == (subjects, ("logout",), None)


WRONG = [
    *[{"id": value} for value in (None, "", 7, "x" * 1025)],
    *[{"resource": value} for value in (None, "", ["web"])],
    *[{"expiration": value} for value in (None, "1", True, NOW, NOW - 1, NOW + 301)],
    *[{"action": value} for value in (None, "", "push_not_before", "TEST_AVAILABILITY")],
    *[{name: "x"} for name in ("iss", "aud", "iat", "jti", "sub")],
]


@pytest.mark.parametrize("more", WRONG)
def test_what_both_must_have(more):
    assert isinstance(read(read_not_before, action(**more)), EventError)
    assert isinstance(read(read_admin_logout, logout(**more)), EventError)


@pytest.mark.parametrize("value", [None, "1", True, -1, NOW + 61, NOW * 1000])
def test_a_not_before_that_is_not_in_the_past(value):
    assert isinstance(read(read_not_before, action(notBefore=value)), EventError)


@pytest.mark.parametrize("value", ["s1", {"a": 1}, [7], [""], [None], 7])
def test_sessions_that_are_not_a_list_of_texts(value):
    assert isinstance(read(read_admin_logout, logout(keycloakSessionIds=value)), EventError)


def test_neither_action_passes_at_the_others_path():
    assert isinstance(read(read_not_before, logout()), EventError)
    assert isinstance(read(read_admin_logout, action()), EventError)


@pytest.mark.parametrize("typ", ["at+jwt", "logout+jwt", "secevent+jwt", "Refresh"])
def test_another_kind_of_token_is_none(typ):
    assert isinstance(read(read_not_before, action(), typ=typ), EventError)


@pytest.fixture
def deliveries():
    return Deliveries()


def current(**more):
    return action(**{"resource": "gw", "expiration": int(time.time()) + 30, "notBefore": int(time.time()) - 5, **more})


async def push(deliveries, token, kind="k_push_not_before"):
    return await deliveries.receiver.receive(kind, Delivery(("text/plain; charset=ISO-8859-1",), (), token.encode()))


async def test_the_signature_tells_whose_it_is(deliveries):
    claims = current()
    reply = await push(deliveries, signed(claims, THERE.key, typ="JWT"))
    assert (reply.status, reply.body) == (204, b"")
    assert (deliveries.evicted, deliveries.not_before) == ([whole_realm("https://there")], claims["notBefore"])
    assert deliveries.counted == {("there", "not-before", "evicted"): 1}


async def test_a_logout_names_sessions(deliveries):
    claims = current(action="LOGOUT", notBefore=0, keycloakSessionIds=["s1"])
    assert (await push(deliveries, signed(claims, HERE.key), "k_logout")).status == 204
    assert (deliveries.evicted, deliveries.not_before) == ([ClaimSelector("https://here", "sid", "s1")], None)


async def test_missing_keys_of_one_issuer_do_not_hide_another(deliveries):
    deliveries.senders[0].keys.failure = ProviderError("away")
    assert (await push(deliveries, signed(current(), THERE.key))).status == 204
    assert (await push(deliveries, signed(current(), HERE.key))).status == 503
    assert deliveries.evicted == [whole_realm("https://there")]


async def test_each_id_counts_once(deliveries):
    token = signed(current(), HERE.key)
    assert (await push(deliveries, token)).status == 204
    assert (await push(deliveries, token)).status == 400
    assert deliveries.evicted == [whole_realm("https://here")]


@pytest.mark.parametrize(
    "token",
    [
        lambda: unsigned(current()),
        lambda: forged_by_mac(current()),
        lambda: signed(current(), rsa_key(3)),
        lambda: signed(current(resource="another"), HERE.key),
        lambda: signed(current(expiration=int(time.time()) - 1), HERE.key),
        HERE.logout,
        lambda: "",
        lambda: "\u00e9",
    ],
)
async def test_everything_else_is_a_400(deliveries, token):
    for kind in ("k_push_not_before", "k_logout"):
        reply = await push(deliveries, token(), kind)
        assert reply.status == 400
        assert json.loads(reply.body).keys() == {"error", "error_description"}
    assert deliveries.evicted == []
