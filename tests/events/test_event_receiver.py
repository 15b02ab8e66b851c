"""Both doors, with real signatures and nothing else that is real."""

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlencode

import pytest
from pydantic import SecretStr
from support.signing import CAEP, SSF, Issuer, forged_by_mac, jwk, key_for, rsa_key, signed, unsigned, without

from gateway.cache.key import HmacKeys
from gateway.events.event_receiver import Delivery, EventReceiver, NotEverywhereError
from gateway.events.replay import Replays
from gateway.events.transmitter import Transmitter
from gateway.http.form import FORM
from gateway.http.refusal import Refusal
from gateway.introspection.invalidation import ClaimSelector
from gateway.provider.errors import ProviderError
from gateway.provider.signing_keys import read_keys

SET = "application/secevent+jwt"
HERE = Issuer("https://here")
THERE = Issuer("https://there", key=rsa_key(2))
ALICE = ClaimSelector("https://here", "sub", "alice")


class KeySource:
    def __init__(self, issuer):
        self.keys = read_keys(issuer.jwks())
        self.failure = None

    async def has_signed(self, token, algorithm, kid):
        if self.failure is not None:
            raise self.failure
        keys = [key for key in self.keys if algorithm in key.algorithms and kid in (None, key.kid)]
        return any(key.signed(token, algorithm) for key in keys) if keys else None


def sender(issuer, name, **more):
    values = {
        "realm": issuer.issuer,
        "issuer": issuer.issuer,
        "audience": frozenset({"gw"}),
        "subject_issuers": frozenset({issuer.issuer}),
        "keys": KeySource(issuer),
        **more,
    }
    return Transmitter(name, **values)


@dataclass
class Door:
    """An inbox, what it evicted and what it counted."""

    senders: list = field(default_factory=lambda: [sender(HERE, "here"), sender(THERE, "there")])
    evicted: list = field(default_factory=list)
    counted: Counter = field(default_factory=Counter)
    failure: Exception | None = None
    not_before: float | None = None

    def __post_init__(self):
        self.inbox = EventReceiver(
            logout_senders=self.senders,
            event_senders=self.senders,
            evict=self.evict,
            replays=Replays(time.monotonic),
            shared=None,
            mark=HmacKeys(b"s").event_mark,
            meter=self,
            clock=time.time,
        )

    async def evict(self, named, not_before=None):
        self.not_before = not_before
        if self.failure is not None:
            raise self.failure
        self.evicted += named

    def event_received(self, provider, event, outcome):
        self.counted[provider, event, outcome] += 1

    async def logout(self, token, content_type=(FORM,)):
        body = urlencode({"logout_token": token}).encode()
        return await self.inbox.receive("logout", Delivery(content_type, (), body))

    async def event(self, token, content_type=(SET,), authorization=()):
        body = token if isinstance(token, bytes) else token.encode()
        return await self.inbox.receive("security_event", Delivery(content_type, authorization, body))


@pytest.fixture
def door():
    return Door()


def refused(reply, code=None):
    """The description of a refusal in the form that its protocol has for it."""
    assert reply.status == 400
    assert dict(reply.headers)["Cache-Control"] == "no-store"
    assert dict(reply.headers)["Content-Type"] == "application/json"
    document = json.loads(reply.body)
    if code is None:
        assert document.keys() == {"error", "error_description"}
        return document["error_description"]
    assert document.keys() == {"err", "description"}
    assert document["err"] == code
    return document["description"]


async def test_a_logout_evicts_and_is_answered_200(door):
    reply = await door.logout(HERE.logout(sid="s1"))
    assert (reply.status, reply.body, dict(reply.headers)) == (200, b"", {"Cache-Control": "no-store"})
    assert door.evicted == [ALICE, ClaimSelector("https://here", "sid", "s1")]
    assert door.counted == {("here", "logout", "evicted"): 1}


async def test_a_security_event_evicts_and_is_answered_202(door):
    reply = await door.event(HERE.event())
    assert (reply.status, reply.body) == (202, b"")
    assert door.evicted == [ALICE]
    assert door.counted == {("here", "session-revoked", "evicted"): 1}


@pytest.mark.parametrize("algorithm", ["RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed448"])
async def test_each_kind_of_key(algorithm):
    issuer = Issuer("https://here", key=key_for(algorithm))
    door = Door([sender(issuer, "here")])
    name = algorithm.replace("Ed448", "EdDSA")
    token = signed(issuer.event_claims(), issuer.key, name, typ="secevent+jwt")
    assert (await door.event(token)).status == 202


FORGERIES = {
    "none": (unsigned, "invalid_key"),
    "none with a signature": (lambda claims, **h: unsigned(claims, **h) + "c2ln", "invalid_key"),
    "HS256 with the public key": (forged_by_mac, "invalid_key"),
    "another key under the same kid": (lambda claims, **h: signed(claims, rsa_key(3), **h), "authentication_failed"),
    "another issuer's key": (lambda claims, **h: signed(claims, rsa_key(2), **h), "authentication_failed"),
    "an unknown kid": (lambda claims, **h: signed(claims, kid="../../k1", **h), "invalid_key"),
    "no kid": (lambda claims, **h: signed(claims, rsa_key(3), kid=None, **h), "authentication_failed"),
    "a key in the header": (
        lambda claims, **h: signed(claims, rsa_key(3), jwk=jwk(rsa_key(3)), **h),
        "authentication_failed",
    ),
    "keys elsewhere": (
        lambda claims, **h: signed(claims, rsa_key(3), jku="https://evil/keys", x5u="https://evil/c", **h),
        "authentication_failed",
    ),
    "another algorithm's key": (lambda claims, **h: signed(claims, key_for("ES256"), "ES256", **h), "invalid_key"),
    "a cut signature": (lambda claims, **h: signed(claims, **h)[:-4], "authentication_failed"),
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_no_forgery_evicts_anything(door, name):
    forge, code = FORGERIES[name]
    refused(await door.logout(forge(HERE.logout_claims(), typ="logout+jwt")))
    refused(await door.event(forge(HERE.event_claims(), typ="secevent+jwt")), code)
    assert door.evicted == []
    assert set(door.counted) == {("none", "other", "refused")}


async def test_changed_claims_are_no_longer_signed(door):
    head, _, signature = HERE.logout().split(".")
    other = HERE.logout(sub="bob").split(".")[1]
    refused(await door.logout(f"{head}.{other}.{signature}"))
    assert door.evicted == []


async def test_a_token_without_kid_is_known_by_the_only_key(door):
    token = signed(HERE.logout_claims(), kid=None, typ="logout+jwt")
    assert (await door.logout(token)).status == 200


async def test_the_issuer_decides_before_any_key_is_asked(door):
    for one in door.senders:
        one.keys.failure = AssertionError("asked")
    refused(await door.logout(HERE.logout(iss="https://nobody")))
    refused(await door.event(HERE.event(iss="https://nobody")), "invalid_issuer")
    refused(await door.event(HERE.event(iss="https://here/")), "invalid_issuer")


@pytest.mark.parametrize("failure", [None, ProviderError("away")])
async def test_another_audience_is_refused_whether_keys_can_be_had_or_not(door, failure):
    for one in door.senders:
        one.keys.failure = failure
    refused(await door.logout(HERE.logout(aud="other")))
    refused(await door.event(HERE.event(aud="other")), "invalid_audience")
    assert door.evicted == []


async def test_a_forgotten_audience_is_a_warning_that_says_what_to_write(door, caplog):
    refused(await door.logout(HERE.logout(aud=["web-app", "phone-app"])))
    [line] = caplog.records
    assert line.levelname == "WARNING"
    for word in ("here signed it", "web-app", "gw", "providers.here.events.audience"):
        assert word in line.fields["reason"]
    assert door.counted == {("none", "other", "refused"): 1}


async def test_who_is_not_genuine_is_told_of_at_info_and_quoted_nowhere(door, caplog):
    caplog.set_level("INFO")
    refused(await door.logout(signed(HERE.logout_claims(aud="evil"), rsa_key(3), typ="logout+jwt")))
    [line] = caplog.records
    assert (line.levelname, line.fields["provider"]) == ("INFO", "none")
    assert "evil" not in line.fields["reason"]


async def test_one_issuer_speaks_for_its_own_subjects_alone(door):
    await door.logout(THERE.logout())
    assert door.evicted == [ClaimSelector("https://there", "sub", "alice")]
    foreign = {"format": "iss_sub", "iss": "https://here", "sub": "alice"}
    refused(await door.event(THERE.event(sub_id=foreign)), "access_denied")
    assert door.evicted == [ClaimSelector("https://there", "sub", "alice")]


async def test_a_transmitter_apart_from_its_provider_speaks_for_the_providers_subjects():
    transmitter = Issuer("https://events", key=rsa_key(2))
    issuers = frozenset({"https://events", "https://here"})
    door = Door([sender(transmitter, "here", realm="https://here", subject_issuers=issuers)])
    subject = {"format": "iss_sub", "iss": "https://here", "sub": "alice"}
    assert (await door.event(transmitter.event(sub_id=subject))).status == 202
    assert door.evicted == [ALICE]


async def test_two_clients_of_one_issuer_are_told_by_the_audience():
    door = Door([sender(HERE, "one"), sender(HERE, "two", audience=frozenset({"app", "web"}))])
    await door.logout(HERE.logout(aud=["web", "else"]))
    assert door.counted == {("two", "logout", "evicted"): 1}


@pytest.mark.parametrize(
    ("sub_id", "iss"),
    [
        ({"format": "phone_number", "phone_number": "+1"}, "https://here"),
        ({"format": "iss_sub", "iss": "https://nobody", "sub": "alice"}, "https://here"),
    ],
)
async def test_a_subject_that_nobody_here_has_is_acknowledged_and_told(door, sub_id, iss):
    assert (await door.event(HERE.event(sub_id=sub_id, iss=iss))).status == 202
    assert door.evicted == []
    assert door.counted == {("here", "session-revoked", "unmatched"): 1}


@pytest.mark.parametrize("event", [SSF + "verification", "urn:of:nobody"])
async def test_what_evicts_nothing_is_acknowledged(door, event):
    assert (await door.event(HERE.event(event))).status == 202
    name = "verification" if "verification" in event else "other"
    assert door.counted == {("here", name, "acknowledged"): 1}


async def test_a_logout_token_counts_once(door):
    token = HERE.logout()
    assert (await door.logout(token)).status == 200
    assert "before" in refused(await door.logout(token))
    assert door.evicted == [ALICE]
    assert (await door.logout(THERE.logout(jti=json.loads(_payload(token))["jti"]))).status == 200


def _payload(token):
    import base64

    part = token.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


async def test_a_security_event_that_comes_again_is_acknowledged_again_and_done_once(door):
    token = HERE.event()
    assert [(await door.event(token)).status for _ in range(3)] == [202, 202, 202]
    assert door.evicted == [ALICE]
    assert door.counted["here", "session-revoked", "replayed"] == 2


async def test_one_id_at_both_doors_is_two_events(door):
    await door.logout(HERE.logout(jti="same"))
    await door.event(HERE.event(jti="same"))
    assert door.evicted == [ALICE, ALICE]


async def test_a_forgery_does_not_use_up_the_id_of_what_it_imitates(door):
    claims = HERE.logout_claims()
    refused(await door.logout(signed(claims, rsa_key(3), typ="logout+jwt")))
    assert (await door.logout(signed(claims, typ="logout+jwt"))).status == 200


async def test_keys_that_cannot_be_had_are_neither_yes_nor_no(door):
    door.senders[0].keys.failure = ProviderError("it is away", 6.2)
    token = HERE.logout()
    for reply in (await door.logout(token), await door.event(HERE.event())):
        assert isinstance(reply, Refusal)
        assert (reply.status, reply.code, dict(reply.headers)) == (503, "event_unavailable", {"Retry-After": "7"})
    assert door.counted["none", "other", "unclear"] == 2
    door.senders[0].keys.failure = None
    assert (await door.logout(token)).status == 200


async def test_what_did_not_reach_every_worker_may_be_sent_again(door):
    door.failure = NotEverywhereError("worker 7 does not answer")
    token = HERE.event()
    reply = await door.event(token)
    assert isinstance(reply, Refusal)
    assert (reply.status, reply.reason) == (503, "worker 7 does not answer")
    door.failure = None
    assert (await door.event(token)).status == 202
    assert door.evicted == [ALICE]


@pytest.mark.parametrize("content_type", [(), ("text/plain",), (SET, SET), ("application/json",)])
async def test_another_body_than_a_set_is_no_set(door, content_type):
    refused(await door.event(HERE.event(), content_type), "invalid_request")


@pytest.mark.parametrize("content_type", [(), (SET,), (FORM, FORM), ("multipart/form-data",)])
async def test_another_body_than_a_form_is_no_logout(door, content_type):
    refused(await door.logout(HERE.logout(), content_type))


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{}", b"a.b.c", b"x" * 65536])
async def test_junk_is_refused_at_both_doors(door, body):
    refused(await door.event(body), "invalid_request")
    refused(await door.inbox.receive("logout", Delivery((FORM,), (), body)))
    refused(await door.inbox.receive("logout", Delivery((FORM,), (), b"logout_token=" + body)))


async def test_two_logout_tokens_in_one_form_are_none(door):
    body = urlencode([("logout_token", HERE.logout()), ("logout_token", HERE.logout())]).encode()
    refused(await door.inbox.receive("logout", Delivery((FORM,), (), body)))


async def test_neither_kind_of_token_opens_the_others_door(door):
    refused(await door.event(HERE.logout()), "invalid_request")
    refused(await door.logout(HERE.event()))
    both = {**HERE.event_claims(), **without(HERE.logout_claims(), "sub")}
    refused(await door.event(signed(both, typ="logout+jwt")), "invalid_request")


class TestAuthorization:
    @pytest.fixture
    def door(self):
        return Door([sender(HERE, "here", authorization=SecretStr("Bearer s3cret"))])

    @pytest.mark.parametrize(
        "values", [(), ("Bearer other",), ("Bearer s3cret", "Bearer s3cret"), ("bearer s3cret",), ("s3cret",), ("",)]
    )
    async def test_another_one_is_refused(self, door, values):
        refused(await door.event(HERE.event(), authorization=values), "authentication_failed")
        assert door.evicted == []

    async def test_the_head_is_enough_to_refuse_another_one(self, door):
        refused(
            door.inbox.refused_by_head("security_event", Delivery((SET,), ("Bearer other",))), "authentication_failed"
        )
        assert door.inbox.refused_by_head("security_event", Delivery((SET,), ("Bearer s3cret",))) is None
        assert door.counted == {("none", "other", "refused"): 1}

    async def test_the_one_agreed_on_is_not_enough_without_a_signature(self, door):
        token = signed(HERE.event_claims(), rsa_key(3), typ="secevent+jwt")
        refused(await door.event(token, authorization=("Bearer s3cret",)), "authentication_failed")

    async def test_with_both_it_is_taken(self, door):
        assert (await door.event(HERE.event(), authorization=("Bearer s3cret",))).status == 202

    def test_it_is_in_no_repr(self, door):
        assert "s3cret" not in repr(door.senders)


async def test_one_line_is_logged_for_each_and_no_token(door, caplog):
    caplog.set_level("INFO", "gateway.events")
    tokens = [HERE.logout(), HERE.event(event=CAEP + "credential-change"), unsigned(HERE.logout_claims())]
    await door.logout(tokens[0])
    await door.event(tokens[1])
    await door.logout(tokens[2])
    fields = [record.fields for record in caplog.records]
    assert [(one["kind"], one["provider"], one["outcome"]) for one in fields] == [
        ("logout", "here", "evicted"),
        ("security_event", "here", "evicted"),
        ("logout", "none", "refused"),
    ]
    assert fields[0]["event_id"].startswith("event-")
    assert fields[2]["event_id"] is None
    text = json.dumps(fields) + caplog.text
    assert not any(part in text for token in tokens for part in token.split(".") if part)


class TestKeysThatAreNotKnownYet:
    """Keycloak publishes the first key of a new algorithm after it has had an answer to what that signed."""

    @pytest.fixture
    def newer(self):
        return Issuer("https://here", key=key_for("ES256"))

    def logout(self, newer):
        token = signed(newer.logout_claims(), newer.key, "ES256", typ="logout+jwt", kid="k2")
        return Delivery((FORM,), (), urlencode({"logout_token": token}).encode())

    @pytest.mark.parametrize("failure", [None, ProviderError("fetched a moment ago")])
    async def test_what_they_signed_can_be_looked_at_again(self, door, newer, failure):
        told, delivery = [], self.logout(newer)
        door.senders[0].keys.failure = failure
        answer = await door.inbox.receive("logout", delivery, on_unknown_key=lambda: told.append("unknown"))
        assert (answer.status, told, door.evicted) == (400 if failure is None else 503, ["unknown"], [])
        await door.inbox.receive_again("logout", delivery)
        assert sum(door.counted.values()) == 1  # that it is still not known is not told twice
        door.senders[0].keys.failure = None
        door.senders[0].keys.keys += read_keys({"keys": [jwk(newer.key, "k2")]})
        await door.inbox.receive_again("logout", delivery)
        assert door.evicted == [ALICE]
        await door.inbox.receive_again("logout", delivery)
        assert door.evicted == [ALICE]

    @pytest.mark.parametrize("forge", [unsigned, forged_by_mac, lambda claims, **h: signed(claims, rsa_key(3), **h)])
    async def test_a_forgery_that_no_new_key_can_mend_is_not(self, door, forge):
        told = []
        body = urlencode({"logout_token": forge(HERE.logout_claims(), typ="logout+jwt")}).encode()
        await door.inbox.receive("logout", Delivery((FORM,), (), body), on_unknown_key=lambda: told.append("unknown"))
        assert told == []
