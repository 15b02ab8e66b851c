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
        return any(key.has_signed(token, algorithm) for key in keys) if keys else None


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
class Deliveries:
    """An inbox, what it evicted and what it counted."""

    senders: list = field(default_factory=lambda: [sender(HERE, "here"), sender(THERE, "there")])
    evicted: list = field(default_factory=list)
    counted: Counter = field(default_factory=Counter)
    failure: Exception | None = None
    not_before: float | None = None

    def __post_init__(self):
        self.receiver = EventReceiver(
            logout_transmitters=self.senders,
            event_transmitters=self.senders,
            invalidate=self.evict,
            replays=Replays(time.monotonic),
            shared=None,
            replay_key=HmacKeys(b"s").event_key,
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
        return await self.receiver.receive("logout", Delivery(content_type, (), body))

    async def event(self, token, content_type=(SET,), authorization=()):
        body = token if isinstance(token, bytes) else token.encode()
        return await self.receiver.receive("security_event", Delivery(content_type, authorization, body))


@pytest.fixture
def deliveries():
    return Deliveries()


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


async def test_a_logout_evicts_and_is_answered_200(deliveries):
    reply = await deliveries.logout(HERE.logout(sid="s1"))
    assert (reply.status, reply.body, dict(reply.headers)) == (200, b"", {"Cache-Control": "no-store"})
    assert deliveries.evicted == [ALICE, ClaimSelector("https://here", "sid", "s1")]
    assert deliveries.counted == {("here", "logout", "evicted"): 1}


async def test_a_security_event_evicts_and_is_answered_202(deliveries):
    reply = await deliveries.event(HERE.event())
    assert (reply.status, reply.body) == (202, b"")
    assert deliveries.evicted == [ALICE]
    assert deliveries.counted == {("here", "session-revoked", "evicted"): 1}


@pytest.mark.parametrize("algorithm", ["RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed448"])
async def test_each_kind_of_key(algorithm):
    issuer = Issuer("https://here", key=key_for(algorithm))
    deliveries = Deliveries([sender(issuer, "here")])
    name = algorithm.replace("Ed448", "EdDSA")
    token = signed(issuer.event_claims(), issuer.key, name, typ="secevent+jwt")
    assert (await deliveries.event(token)).status == 202


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
async def test_no_forgery_evicts_anything(deliveries, name):
    forge, code = FORGERIES[name]
    refused(await deliveries.logout(forge(HERE.logout_claims(), typ="logout+jwt")))
    refused(await deliveries.event(forge(HERE.event_claims(), typ="secevent+jwt")), code)
    assert deliveries.evicted == []
    assert set(deliveries.counted) == {("none", "other", "refused")}


async def test_changed_claims_are_no_longer_signed(deliveries):
    head, _, signature = HERE.logout().split(".")
    other = HERE.logout(sub="bob").split(".")[1]
    refused(await deliveries.logout(f"{head}.{other}.{signature}"))
    assert deliveries.evicted == []


async def test_a_token_without_kid_is_known_by_the_only_key(deliveries):
    token = signed(HERE.logout_claims(), kid=None, typ="logout+jwt")
    assert (await deliveries.logout(token)).status == 200


async def test_the_issuer_decides_before_any_key_is_asked(deliveries):
    for one in deliveries.senders:
        one.keys.failure = AssertionError("asked")
    refused(await deliveries.logout(HERE.logout(iss="https://nobody")))
    refused(await deliveries.event(HERE.event(iss="https://nobody")), "invalid_issuer")
    refused(await deliveries.event(HERE.event(iss="https://here/")), "invalid_issuer")


@pytest.mark.parametrize("failure", [None, ProviderError("away")])
async def test_another_audience_is_refused_whether_keys_can_be_had_or_not(deliveries, failure):
    for one in deliveries.senders:
        one.keys.failure = failure
    refused(await deliveries.logout(HERE.logout(aud="other")))
    refused(await deliveries.event(HERE.event(aud="other")), "invalid_audience")
    assert deliveries.evicted == []


async def test_a_forgotten_audience_is_a_warning_that_says_what_to_write(deliveries, caplog):
    refused(await deliveries.logout(HERE.logout(aud=["web-app", "phone-app"])))
    [line] = caplog.records
    assert line.levelname == "WARNING"
    for word in ("here signed it", "web-app", "gw", "providers.here.events.audience"):
        assert word in line.fields["reason"]
    assert deliveries.counted == {("none", "other", "refused"): 1}


async def test_a_forgery_is_logged_at_info_and_never_quoted(deliveries, caplog):
    caplog.set_level("INFO")
    refused(await deliveries.logout(signed(HERE.logout_claims(aud="evil"), rsa_key(3), typ="logout+jwt")))
    [line] = caplog.records
    assert (line.levelname, line.fields["provider"]) == ("INFO", "none")
    assert "evil" not in line.fields["reason"]


async def test_an_issuer_speaks_only_for_its_own_subjects(deliveries):
    await deliveries.logout(THERE.logout())
    assert deliveries.evicted == [ClaimSelector("https://there", "sub", "alice")]
    foreign = {"format": "iss_sub", "iss": "https://here", "sub": "alice"}
    refused(await deliveries.event(THERE.event(sub_id=foreign)), "access_denied")
    assert deliveries.evicted == [ClaimSelector("https://there", "sub", "alice")]


async def test_a_transmitter_apart_from_its_provider_speaks_for_the_providers_subjects():
    transmitter = Issuer("https://events", key=rsa_key(2))
    issuers = frozenset({"https://events", "https://here"})
    deliveries = Deliveries([sender(transmitter, "here", realm="https://here", subject_issuers=issuers)])
    subject = {"format": "iss_sub", "iss": "https://here", "sub": "alice"}
    assert (await deliveries.event(transmitter.event(sub_id=subject))).status == 202
    assert deliveries.evicted == [ALICE]


async def test_the_audience_tells_two_clients_of_one_issuer_apart():
    deliveries = Deliveries([sender(HERE, "one"), sender(HERE, "two", audience=frozenset({"app", "web"}))])
    await deliveries.logout(HERE.logout(aud=["web", "else"]))
    assert deliveries.counted == {("two", "logout", "evicted"): 1}


@pytest.mark.parametrize(
    ("sub_id", "iss"),
    [
        ({"format": "phone_number", "phone_number": "+1"}, "https://here"),
        ({"format": "iss_sub", "iss": "https://nobody", "sub": "alice"}, "https://here"),
    ],
)
async def test_a_subject_that_nobody_here_has_is_acknowledged_and_logged(deliveries, sub_id, iss):
    assert (await deliveries.event(HERE.event(sub_id=sub_id, iss=iss))).status == 202
    assert deliveries.evicted == []
    assert deliveries.counted == {("here", "session-revoked", "unmatched"): 1}


@pytest.mark.parametrize("event", [SSF + "verification", "urn:of:nobody"])
async def test_an_event_that_invalidates_nothing_is_acknowledged(deliveries, event):
    assert (await deliveries.event(HERE.event(event))).status == 202
    name = "verification" if "verification" in event else "other"
    assert deliveries.counted == {("here", name, "acknowledged"): 1}


async def test_a_logout_token_counts_once(deliveries):
    token = HERE.logout()
    assert (await deliveries.logout(token)).status == 200
    assert "before" in refused(await deliveries.logout(token))
    assert deliveries.evicted == [ALICE]
    assert (await deliveries.logout(THERE.logout(jti=json.loads(_payload(token))["jti"]))).status == 200


def _payload(token):
    import base64

    part = token.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


async def test_a_security_event_that_comes_again_is_acknowledged_again_and_done_once(deliveries):
    token = HERE.event()
    assert [(await deliveries.event(token)).status for _ in range(3)] == [202, 202, 202]
    assert deliveries.evicted == [ALICE]
    assert deliveries.counted["here", "session-revoked", "replayed"] == 2


async def test_one_id_at_both_endpoints_is_two_events(deliveries):
    await deliveries.logout(HERE.logout(jti="same"))
    await deliveries.event(HERE.event(jti="same"))
    assert deliveries.evicted == [ALICE, ALICE]


async def test_a_forgery_does_not_use_up_the_id_of_what_it_imitates(deliveries):
    claims = HERE.logout_claims()
    refused(await deliveries.logout(signed(claims, rsa_key(3), typ="logout+jwt")))
    assert (await deliveries.logout(signed(claims, typ="logout+jwt"))).status == 200


async def test_unavailable_keys_are_neither_yes_nor_no(deliveries):
    deliveries.senders[0].keys.failure = ProviderError("it is away", 6.2)
    token = HERE.logout()
    for reply in (await deliveries.logout(token), await deliveries.event(HERE.event())):
        assert isinstance(reply, Refusal)
        assert (reply.status, reply.code, dict(reply.headers)) == (503, "event_unavailable", {"Retry-After": "7"})
    assert deliveries.counted["none", "other", "unclear"] == 2
    deliveries.senders[0].keys.failure = None
    assert (await deliveries.logout(token)).status == 200


async def test_what_did_not_reach_every_worker_may_be_sent_again(deliveries):
    deliveries.failure = NotEverywhereError("worker 7 does not answer")
    token = HERE.event()
    reply = await deliveries.event(token)
    assert isinstance(reply, Refusal)
    assert (reply.status, reply.reason) == (503, "worker 7 does not answer")
    deliveries.failure = None
    assert (await deliveries.event(token)).status == 202
    assert deliveries.evicted == [ALICE]


@pytest.mark.parametrize("content_type", [(), ("text/plain",), (SET, SET), ("application/json",)])
async def test_a_body_of_another_type_is_not_a_set(deliveries, content_type):
    refused(await deliveries.event(HERE.event(), content_type), "invalid_request")


@pytest.mark.parametrize("content_type", [(), (SET,), (FORM, FORM), ("multipart/form-data",)])
async def test_a_body_that_is_not_a_form_is_not_a_logout(deliveries, content_type):
    refused(await deliveries.logout(HERE.logout(), content_type))


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{}", b"a.b.c", b"x" * 65536])
async def test_junk_is_refused_at_both_endpoints(deliveries, body):
    refused(await deliveries.event(body), "invalid_request")
    refused(await deliveries.receiver.receive("logout", Delivery((FORM,), (), body)))
    refused(await deliveries.receiver.receive("logout", Delivery((FORM,), (), b"logout_token=" + body)))


async def test_two_logout_tokens_in_one_form_are_none(deliveries):
    body = urlencode([("logout_token", HERE.logout()), ("logout_token", HERE.logout())]).encode()
    refused(await deliveries.receiver.receive("logout", Delivery((FORM,), (), body)))


async def test_neither_type_of_token_passes_at_the_others_endpoint(deliveries):
    refused(await deliveries.event(HERE.logout()), "invalid_request")
    refused(await deliveries.logout(HERE.event()))
    both = {**HERE.event_claims(), **without(HERE.logout_claims(), "sub")}
    refused(await deliveries.event(signed(both, typ="logout+jwt")), "invalid_request")


class TestAuthorization:
    @pytest.fixture
    def deliveries(self):
        return Deliveries([sender(HERE, "here", authorization=SecretStr("Bearer s3cret"))])

    @pytest.mark.parametrize(
        "values", [(), ("Bearer other",), ("Bearer s3cret", "Bearer s3cret"), ("bearer s3cret",), ("s3cret",), ("",)]
    )
    async def test_another_one_is_refused(self, deliveries, values):
        refused(await deliveries.event(HERE.event(), authorization=values), "authentication_failed")
        assert deliveries.evicted == []

    async def test_the_head_is_enough_to_refuse_another_one(self, deliveries):
        refused(
            deliveries.receiver.refused_by_head("security_event", Delivery((SET,), ("Bearer other",))),
            "authentication_failed",
        )
        assert deliveries.receiver.refused_by_head("security_event", Delivery((SET,), ("Bearer s3cret",))) is None
        assert deliveries.counted == {("none", "other", "refused"): 1}

    async def test_the_one_agreed_on_is_not_enough_without_a_signature(self, deliveries):
        token = signed(HERE.event_claims(), rsa_key(3), typ="secevent+jwt")
        refused(await deliveries.event(token, authorization=("Bearer s3cret",)), "authentication_failed")

    async def test_with_both_it_is_taken(self, deliveries):
        assert (await deliveries.event(HERE.event(), authorization=("Bearer s3cret",))).status == 202

    def test_the_secret_is_in_no_repr(self, deliveries):
        assert "s3cret" not in repr(deliveries.senders)


async def test_one_line_is_logged_for_each_and_no_token(deliveries, caplog):
    caplog.set_level("INFO", "gateway.events")
    tokens = [HERE.logout(), HERE.event(event=CAEP + "credential-change"), unsigned(HERE.logout_claims())]
    await deliveries.logout(tokens[0])
    await deliveries.event(tokens[1])
    await deliveries.logout(tokens[2])
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
    async def test_what_they_signed_can_be_looked_at_again(self, deliveries, newer, failure):
        told, delivery = [], self.logout(newer)
        deliveries.senders[0].keys.failure = failure
        answer = await deliveries.receiver.receive("logout", delivery, on_unknown_key=lambda: told.append("unknown"))
        assert (answer.status, told, deliveries.evicted) == (400 if failure is None else 503, ["unknown"], [])
        await deliveries.receiver.retry("logout", delivery)
        assert sum(deliveries.counted.values()) == 1  # that it is still not known is not told twice
        deliveries.senders[0].keys.failure = None
        deliveries.senders[0].keys.keys += read_keys({"keys": [jwk(newer.key, "k2")]})
        await deliveries.receiver.retry("logout", delivery)
        assert deliveries.evicted == [ALICE]
        await deliveries.receiver.retry("logout", delivery)
        assert deliveries.evicted == [ALICE]

    @pytest.mark.parametrize("forge", [unsigned, forged_by_mac, lambda claims, **h: signed(claims, rsa_key(3), **h)])
    async def test_a_forgery_that_no_new_key_can_mend_is_not(self, deliveries, forge):
        told = []
        body = urlencode({"logout_token": forge(HERE.logout_claims(), typ="logout+jwt")}).encode()
        await deliveries.receiver.receive(
            "logout", Delivery((FORM,), (), body), on_unknown_key=lambda: told.append("unknown")
        )
        assert told == []
