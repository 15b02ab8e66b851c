"""RFC 9449 §7 and RFC 8705 §3 as a table: what the token is bound to, what came with it, and what is said."""

import pytest
from support.dpop import Prover
from support.signing import key_for

from gateway.authn.bearer import Token
from gateway.authn.dpop_nonce import Nonces
from gateway.authn.dpop_proof import Asked, DpopProof, read_proof
from gateway.authn.facts import Facts, read_introspection_result
from gateway.authn.presented import AS_BEARER, Presented
from gateway.config.auth_model import Auth
from gateway.config.provider_model import Provider
from gateway.policy import TrustedIssuer, compile_policy, judge, trusted_issuer
from gateway.possession import offers_dpop, possession_problem, proof_problem

URI, NOW = "https://a/b", 1_700_000_000.0
OWN = Prover()
JKT, X5T = {"jkt": OWN.jkt}, {"x5t#S256": "x5t"}


def proof(prover: Prover = OWN, **more) -> DpopProof:
    found = read_proof(
        [prover.proof("GET", URI, "t", **{"iat": NOW, **more})], Asked("GET", URI, Token("t")), ["ES256"]
    )
    assert isinstance(found, DpopProof)
    return found


def dpop(prover: Prover = OWN, x5t: str | None = None, **more) -> Presented:
    return Presented(is_dpop=True, proof=proof(prover, **more), x5t=x5t)


FORGED = {"by": key_for("ES256", 9)}


@pytest.mark.parametrize(
    ("claims", "presented", "code", "says"),
    [
        ({}, AS_BEARER, None, ""),
        ({"cnf": JKT}, dpop(), None, ""),
        ({"cnf": JKT, "token_type": "DPoP"}, dpop(), None, ""),
        ({"cnf": JKT}, AS_BEARER, "invalid_token", "came as Bearer"),
        ({"cnf": JKT, "token_type": "Bearer"}, AS_BEARER, "invalid_token", "came as Bearer"),
        ({"cnf": {"jkt": "other"}}, dpop(), "invalid_dpop_proof", "by another key"),
        ({"cnf": JKT}, dpop(**FORGED), "invalid_dpop_proof", "not signed"),
        ({"cnf": JKT}, Presented(in_authorization=False), "invalid_token", "Authorization only"),
        ({}, dpop(), "invalid_token", "not bound to a key"),
        ({"token_type": "Bearer"}, dpop(), "invalid_token", "not bound to a key"),
        ({"token_type": "DPoP"}, dpop(), "invalid_token", "no cnf.jkt"),
        ({"cnf": {"kid": "1"}}, dpop(), "invalid_token", "not understood"),
        ({"cnf": X5T}, Presented(x5t="x5t"), None, ""),
        ({"cnf": X5T}, Presented(x5t="other"), "invalid_token", "another one"),
        ({"cnf": X5T}, AS_BEARER, "invalid_token", "has none"),
        ({"cnf": X5T}, Presented(x5t="x5t", in_authorization=False), "invalid_token", "Authorization only"),
        ({"cnf": X5T}, dpop(x5t="x5t"), "invalid_token", "not bound to a key"),
        ({"cnf": {**JKT, **X5T}}, dpop(x5t="x5t"), None, ""),
        ({"cnf": {**JKT, **X5T}}, dpop(), "invalid_token", "has none"),
        ({"cnf": {**JKT, **X5T}}, Presented(x5t="x5t"), "invalid_token", "came as Bearer"),
    ],
)
def test_what_is_said(claims, presented, code, says) -> None:
    refusal = possession_problem(claims, presented, is_demanded=False)
    assert (None if refusal is None else refusal.code) == code
    assert refusal is None or says in (refusal.reason or "")
    if code is None and "cnf" in claims:
        assert possession_problem(claims, presented, is_demanded=True) is None


@pytest.mark.parametrize("claims", [{}, {"token_type": "Bearer"}])
def test_where_a_proof_is_demanded_an_unbound_token_is_refused(claims) -> None:
    refusal = possession_problem(claims, AS_BEARER, is_demanded=True)
    assert refusal is not None
    assert "proof: required" in (refusal.reason or "")


def test_a_signature_is_verified_only_for_the_key_that_the_token_is_bound_to(monkeypatch) -> None:
    asked = []
    monkeypatch.setattr("gateway.authn.proof_key.ProofKey.has_signed", lambda *_: asked.append(1) or True)
    for claims in ({}, {"cnf": {"jkt": "other"}}, {"cnf": {"kid": "1"}}, {"cnf": {**JKT, **X5T}}):
        assert possession_problem(claims, dpop(), is_demanded=False) is not None
    assert asked == []
    same = dpop()
    for _ in range(2):
        assert possession_problem({"cnf": JKT}, same, is_demanded=False) is None
    assert asked == [1]


@pytest.mark.parametrize(("ahead_s", "passes"), [(0, True), (60, True), (-60, True), (61, False), (-61, False)])
def test_a_proof_is_good_for_a_minute_either_way(ahead_s, passes) -> None:
    refusal = proof_problem(proof(iat=NOW + ahead_s), None, NOW)
    assert (refusal is None) is passes
    assert passes or (refusal.code == "invalid_dpop_proof" and "61 s" in refusal.reason)


def test_a_nonce_is_wanted_where_there_are_any() -> None:
    nonces = Nonces([b"k" * 32])
    for bad in (proof(), proof(nonce="made-up"), proof(nonce=nonces.issue(NOW - 600))):
        refusal = proof_problem(bad, nonces, NOW)
        assert refusal is not None
        assert (refusal.code, refusal.status) == ("use_dpop_nonce", 401)
        told = dict(refusal.headers)["DPoP-Nonce"]
        assert proof_problem(proof(nonce=told), nonces, NOW) is None
    assert proof_problem(proof(nonce="whatever"), None, NOW) is None


def test_a_forged_one_is_not_looked_at_twice() -> None:
    forged = proof(**FORGED)
    assert proof_problem(forged, None, NOW) is None
    assert not forged.has_signature
    assert proof_problem(forged, None, NOW) is not None


@pytest.mark.parametrize(
    ("claims", "wanted"), [({"cnf": JKT}, True), ({"token_type": "DPoP"}, True), ({"cnf": X5T}, False), ({}, False)]
)
def test_the_scheme_dpop_is_offered_to_whom_it_helps(claims, wanted) -> None:
    facts = read_introspection_result({"active": True, **claims}, NOW)
    assert isinstance(facts, Facts)
    assert offers_dpop(AS_BEARER, facts, is_demanded=False) is wanted
    assert offers_dpop(AS_BEARER, facts, is_demanded=True)
    assert offers_dpop(dpop(), None, is_demanded=False)
    assert not offers_dpop(AS_BEARER, None, is_demanded=False)


@pytest.mark.parametrize(("algorithms", "code"), [({"ES256", "RS256"}, None), ({"EdDSA"}, "invalid_dpop_proof")])
def test_a_proof_is_by_an_algorithm_of_the_provider_whose_token_it_is(algorithms, code) -> None:
    """A route may have several providers, and each names its own (`algorithms`)."""
    issuer = TrustedIssuer(None, "gateway", algorithms=frozenset(algorithms))
    refusal = judge(compile_policy(Auth()), Facts({"cnf": JKT}, NOW), issuer, {}, NOW, dpop())
    assert (None if refusal is None else refusal.code) == code
    provider = Provider(issuer="https://a", validation="jwt", algorithms=tuple(algorithms))
    assert trusted_issuer(provider, None).algorithms == algorithms
