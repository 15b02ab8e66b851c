import asyncio
import itertools
import logging

import jwt
import pytest
from support.introspecting import Clock
from support.scripted_provider import Fault, Reply, ScriptedProvider
from support.signing import forged_by_mac, jwk, key_for, rsa_key, signed, unsigned

from gateway.provider.call import Calls
from gateway.provider.errors import ProviderError
from gateway.provider.signing_keys import ALGORITHMS, SigningKeys, read_keys
from gateway.provider.trouble import Trouble

CLAIMS = {"iss": "https://i"}
FITTING = {"RS256": "RSA", "PS512": "RSA", "ES256": "ES256", "ES384": "ES384", "ES512": "ES512", "EdDSA": "EdDSA"}


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_a_signature_of_each_algorithm_is_known(algorithm):
    private = key_for(algorithm)
    [key] = read_keys({"keys": [jwk(private)]})
    assert key.has_signed(signed(CLAIMS, private, algorithm), algorithm)
    assert not key.has_signed(signed(CLAIMS, private, algorithm)[:-8] + "AAAAAAAA", algorithm)


def test_a_key_serves_only_the_algorithms_of_its_type():
    kinds = ("RS256", "ES256", "ES384", "ES512", "EdDSA")
    for one, other in itertools.permutations(kinds, 2):
        [key] = read_keys({"keys": [jwk(key_for(one))]})
        assert not key.has_signed(signed(CLAIMS, key_for(other), other), other)


def test_a_key_for_one_algorithm_is_for_no_other():
    [key] = read_keys({"keys": [jwk(rsa_key(), alg="PS256")]})
    assert key.has_signed(signed(CLAIMS, algorithm="PS256"), "PS256")
    assert not key.has_signed(signed(CLAIMS), "RS256")


def test_neither_none_nor_a_mac_is_a_signature():
    [key] = read_keys({"keys": [jwk(rsa_key())]})
    for token, algorithm in ((unsigned(CLAIMS), "none"), (forged_by_mac(CLAIMS), "HS256")):
        assert not key.has_signed(token, algorithm)
        assert not key.has_signed(token, "RS256")


@pytest.mark.parametrize(
    "key",
    [
        7,
        {},
        {"kty": "RSA"},
        {"kty": ["RSA"]},
        {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"},
        jwk(rsa_key(), use="enc"),
        jwk(rsa_key(), key_ops=["sign"]),
        jwk(rsa_key(), key_ops="verify"),
        jwk(rsa_key(), kid=7),
        jwk(rsa_key(), alg="HS256"),
        jwk(rsa_key(), alg="none"),
        jwk(rsa_key(), n="!!"),
        jwk(rsa_key(), e="AA"),
        {**jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key(), as_dict=True), "kid": "private", "key_ops": ["verify"]},
        jwk(rsa_key(9, 1024)),
        jwk(key_for("ES256"), crv="P-384"),
        jwk(key_for("ES256"), crv="secp256k1"),
        jwk(key_for("ES256"), x="AA"),
        jwk(key_for("EdDSA"), crv="X25519"),
    ],
    ids=range(19),
)
def test_a_key_that_is_of_no_use_is_passed_over(key):
    good = jwk(rsa_key(2), "good")
    assert [one.kid for one in read_keys({"keys": [key, good]})] == ["good"]


@pytest.mark.parametrize("document", [None, 7, [], {}, {"keys": {}}, {"keys": None}, "keys"])
def test_a_document_that_is_not_a_key_set_is_an_error(document):
    with pytest.raises(ProviderError):
        read_keys(document)


def test_a_set_without_end_is_cut_off():
    assert len(read_keys({"keys": [jwk(key_for("EdDSA"), str(number)) for number in range(300)]})) == 100


@pytest.fixture
async def provider():
    async with ScriptedProvider() as scripted:
        scripted.keys = {"keys": [jwk(rsa_key())]}
        yield scripted


@pytest.fixture
def clock():
    return Clock(1000.0)


@pytest.fixture
async def keys(provider, clock):
    calls = Calls(timeout_s=2, max_concurrency=4)

    async def place():
        return provider.jwks_uri

    made = SigningKeys(calls, place, clock)
    yield made
    await made.close()
    await calls.close()


async def test_the_set_is_fetched_once_for_all(keys, provider):
    found = await asyncio.gather(*(keys.candidates("RS256", "k1") for _ in range(50)))
    assert all(len(one) == 1 for one in found)
    assert len(provider.key_fetches) == 1
    assert provider.key_fetches[0].method == "GET"


async def test_what_names_no_key_is_tried_with_each_that_fits(keys, provider):
    provider.keys = {"keys": [jwk(rsa_key(), str(number)) for number in range(30)] + [jwk(key_for("ES256"), "e")]}
    assert [key.kid for key in await keys.candidates("ES256", None)] == ["e"]
    assert len(await keys.candidates("RS256", None)) == 8  # a bound: each try costs


async def test_an_algorithm_that_is_not_accepted_makes_no_call(keys, provider):
    for algorithm in ("none", "HS256", "ES256K", "RSA1_5", "rs256", "x" * 1000):
        assert await keys.candidates(algorithm, "k1") == ()
    assert provider.calls == []


async def test_a_key_that_is_known_and_of_another_algorithm_is_a_clear_no(keys, provider):
    await keys.candidates("RS256", "k1")
    assert await keys.candidates("ES256", "k1") == ()
    assert len(provider.key_fetches) == 1


async def test_a_key_that_is_new_is_found_at_once(keys, provider, clock):
    await keys.candidates("RS256", "k1")
    clock.advance(6)
    provider.keys = {"keys": [jwk(rsa_key(2), "k2")]}
    assert [key.kid for key in await keys.candidates("RS256", "k2")] == ["k2"]
    clock.advance(6)
    assert await keys.candidates("RS256", "k1") == ()  # it is no key any more


async def test_many_unknown_keys_make_few_calls_and_are_no_clear_no(keys, provider, clock):
    await keys.candidates("RS256", "k1")
    unclear = []
    for number in range(1000):
        clock.advance(0.01)
        try:
            assert await keys.candidates("RS256", f"junk{number}") == ()
        except ProviderError as error:
            unclear.append(error.retry_after_s)
    assert len(provider.key_fetches) <= 3
    assert len(unclear) > 900
    assert 0 < min(unclear) <= max(unclear) <= 5
    assert len(await keys.candidates("RS256", "k1")) == 1  # good ones are not held up


@pytest.mark.parametrize(("in_set", "in_token"), [("k1", None), (None, None), (None, "k1")])
async def test_a_key_that_is_new_is_found_where_keys_have_no_names(keys, provider, clock, in_set, in_token):
    for key in (rsa_key(), rsa_key(2)):
        provider.keys = {"keys": [jwk(key, in_set)]}
        assert await keys.has_signed(signed({"a": 1}, key, kid=in_token), "RS256", in_token)
        clock.advance(6)
    assert len(provider.key_fetches) == 2


async def test_many_forged_tokens_make_few_calls_where_keys_have_no_names(keys, provider, clock):
    forged = signed({"a": 1}, rsa_key(2), kid=None)
    for _ in range(100):
        assert await keys.has_signed(forged, "RS256", None) is False
        clock.advance(0.1)
    assert len(provider.key_fetches) <= 3
    provider.keys = Reply(500, {})
    clock.advance(6)
    for _ in range(3):
        with pytest.raises(ProviderError):  # nor can it be told that it is nobody's
            await keys.has_signed(forged, "RS256", None)
    assert len(provider.key_fetches) <= 4


async def test_where_keys_have_names_one_that_did_not_sign_is_a_clear_no_without_a_call(keys, provider, clock):
    forged = signed({"a": 1}, rsa_key(2), kid="k1")
    for _ in range(3):
        clock.advance(6)
        assert await keys.has_signed(forged, "RS256", "k1") is False
        assert await keys.has_signed(forged, "ES256", "k1") is None
    assert len(provider.key_fetches) == 1


async def test_an_old_set_is_fetched_again(keys, provider, clock):
    await keys.candidates("RS256", "k1")
    clock.advance(299)
    await keys.candidates("RS256", "k1")
    assert len(provider.key_fetches) == 1
    clock.advance(2)
    await keys.candidates("RS256", "k1")
    assert len(provider.key_fetches) == 2


@pytest.mark.parametrize("answer", [Reply(500, {}), Reply(302, {}, headers={"Location": "/keys"}), b"{", b"{}", b"[]"])
async def test_an_old_key_set_is_not_used_when_it_cannot_be_fetched_again(keys, provider, clock, answer):
    await keys.candidates("RS256", "k1")
    clock.advance(301)
    provider.keys = answer
    for _ in range(3):
        with pytest.raises(ProviderError):
            await keys.candidates("RS256", "k1")
    assert len(provider.key_fetches) == 2  # it is left alone for a moment
    clock.advance(6)
    provider.keys = {"keys": [jwk(rsa_key())]}
    assert len(await keys.candidates("RS256", "k1")) == 1


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.SILENCE])
async def test_a_silent_provider_is_neither_yes_nor_no(keys, provider, fault):
    provider.fault = fault
    with pytest.raises(ProviderError):
        await keys.candidates("RS256", "k1")


async def test_a_caller_that_leaves_does_not_end_the_fetch_for_others(keys, provider):
    provider.delay_s = 0.2
    one = asyncio.create_task(keys.candidates("RS256", "k1"))
    other = asyncio.create_task(keys.candidates("RS256", "k1"))
    await provider.wait_for_calls()
    one.cancel()
    assert len(await other) == 1


@pytest.mark.parametrize("kid", ["new", None])
async def test_while_the_keys_are_away_nobody_knows_that_a_key_is_unknown(keys, provider, clock, kid):
    """Not in the pause after a fetch that failed either: "there is no such key" would be a 401."""
    assert len(await keys.of_token("RS256", "k1")) == 1
    clock.advance(11)
    provider.keys = Reply(500, {})
    look = keys.of_token("RS256", kid) if kid else keys.of_unnamed("RS256")
    with pytest.raises(ProviderError):
        await look
    for _ in range(3):
        clock.advance(0.2)
        with pytest.raises(ProviderError):
            await (keys.of_token("RS256", kid) if kid else keys.of_unnamed("RS256"))
    assert len(provider.key_fetches) == 2
    assert len(await keys.of_token("RS256", "k1")) == 1, "a key that is known serves meanwhile"
    provider.keys = {"keys": [jwk(rsa_key()), jwk(rsa_key(2), "new")]}
    clock.advance(1)
    assert len(await keys.of_token("RS256", "new")) == 1
    assert await keys.of_token("RS256", "unknown") == (), "within ten seconds of a fetch it is a clear no"


async def test_a_key_that_was_withdrawn_verifies_no_access_token_after_five_minutes(keys, provider, clock):
    """Somebody may have stolen it. For a quiet gateway too, which has looked at no token meanwhile."""
    assert len(await keys.of_token("RS256", "k1")) == 1
    provider.keys = {"keys": [jwk(rsa_key(2), "k2")]}
    clock.advance(301)
    assert await keys.of_token("RS256", "k1") == ()
    provider.keys = Reply(500, {})
    clock.advance(301)
    with pytest.raises(ProviderError):
        await keys.of_token("RS256", "k2")


async def test_a_set_in_use_is_fetched_again_before_it_is_old_and_nobody_waits_for_that(keys, provider, clock):
    assert len(await keys.of_token("RS256", "k1")) == 1
    provider.keys = {"keys": [jwk(rsa_key(2), "k2")]}
    clock.advance(241)
    assert len(await keys.of_token("RS256", "k1")) == 1, "as known, at once"
    await provider.wait_for_calls(2)
    async with asyncio.timeout(5):
        while await keys.of_token("RS256", "k1"):  # noqa: ASYNC110 - nothing tells of the fetch
            await asyncio.sleep(0.01)  # until the answer has come
    assert len(provider.key_fetches) == 2


@pytest.mark.parametrize("answer", [None, b"<html>", {"keys": []}])
async def test_keys_that_cannot_be_had_are_told_of_once_and_so_is_their_return(provider, clock, caplog, answer):
    caplog.set_level(logging.INFO)
    calls = Calls(timeout_s=2, max_concurrency=4)

    async def place():
        return provider.jwks_uri

    keys = SigningKeys(calls, place, clock, trouble=Trouble("sso", "the fetch of its keys"))
    try:
        provider.keys = answer
        for _ in range(3):
            with pytest.raises(ProviderError):
                await keys.of_token("RS256", "k1")
            clock.advance(11)
        assert keys.are_away
        provider.keys = {"keys": [jwk(rsa_key())]}
        assert await keys.of_token("RS256", "k1")
        assert not keys.are_away
        clock.advance(301)
        provider.keys = answer
        provider.fault = Fault.SILENCE  # under way when the gateway ends, which is no failure
        fetch = asyncio.create_task(keys.of_token("RS256", "k1"))
        await asyncio.sleep(0.1)
    finally:
        await keys.close()
        await asyncio.gather(fetch, return_exceptions=True)
        await calls.close()
    told = [(record.event, record.fields["provider"]) for record in caplog.records]
    assert told == [("provider_failing", "sso"), ("provider_answers", "sso")]
