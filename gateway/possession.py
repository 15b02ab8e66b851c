"""Judges whether a caller has what its token is bound to: a key (RFC 9449 §7), a certificate (RFC 8705 §3). Pure.

    before the token is asked about   `proof_problem`        iat, nonce                   nearly free
                                      `forgery`              the signature                its address is charged
    when its facts are known          `possession_problem`   scheme, thumbprints          nearly free
                                                             the signature, once          only by the token's own key

So a proof that does not fit costs no call to the provider. A signature is verified only for a token that is bound to
the very key in the proof, or for an unknown token, for which the client's address has been charged before.
"""

from __future__ import annotations

from gateway.authn.confirmation import Confirmation, confirmation_of
from gateway.authn.dpop_nonce import Nonces
from gateway.authn.dpop_proof import DpopProof
from gateway.authn.facts import Claims, Facts
from gateway.authn.presented import Presented
from gateway.http.refusal import Refusal, challenge

# RFC 9449 §11.1: clocks differ. A proof that is refused by its time need not be remembered.
WINDOW_S = 60.0
_FORGED = "the proof is not signed by the key in it"


def bad_proof(reason: str) -> Refusal:
    """The refusal of a proof that does not fit (RFC 9449 §7.1)."""
    return challenge("invalid_dpop_proof", "the DPoP proof is not good", reason=reason)


def proof_problem(proof: DpopProof, nonces: Nonces | None, now: float) -> Refusal | None:
    """What is wrong with a proof at wall-clock time `now`, as far as that costs nothing."""
    if proof.is_known_forged:
        return bad_proof(_FORGED)
    if abs(now - proof.issued_at) > WINDOW_S:
        ahead_s = proof.issued_at - now
        how = f"{ahead_s:.0f} s ahead of" if ahead_s > 0 else f"{-ahead_s:.0f} s behind"
        return bad_proof(f"the proof's iat is {how} this clock, {WINDOW_S:.0f} s are allowed")
    if nonces is None or (proof.nonce is not None and nonces.is_fresh(proof.nonce, now)):
        return None
    reason = "the proof has no nonce" if proof.nonce is None else "the proof's nonce is old, or not one of ours"
    refusal = challenge("use_dpop_nonce", "the DPoP proof needs the nonce of this response", reason=reason)
    return refusal.and_fields(("DPoP-Nonce", nonces.issue(now)))


def forgery(proof: DpopProof) -> Refusal | None:
    """The refusal of a proof that the key in it has not signed."""
    return None if proof.has_signature else bad_proof(_FORGED)


def possession_problem(claims: Claims, presented: Presented, *, is_demanded: bool) -> Refusal | None:
    """The refusal of a caller that has not shown what the token with these claims is bound to.

    `is_demanded`: a token that is bound to nothing is refused, too.
    """
    wanted = confirmation_of(claims)
    if wanted.problem is not None:
        return _unproven(wanted.problem)
    if wanted.is_bound and not presented.in_authorization:
        return _unproven(f"the token is {wanted.in_words}, and such a token comes in Authorization only")
    if presented.is_dpop and wanted.jkt is None:
        return _unproven("the scheme is DPoP, and the token is not bound to a key (cnf.jkt)")
    if is_demanded and not wanted.is_bound:
        return _unproven("the route wants a proof of possession (proof: required), and the token is not bound")
    return _not_shown(wanted, presented)


def offers_dpop(presented: Presented, facts: Facts | None, *, is_demanded: bool) -> bool:
    """Whether a refusal has a challenge in the scheme DPoP: where a proof is demanded, came, or would help."""
    if presented.is_dpop or is_demanded:
        return True
    if facts is None or facts.memo.is_unbound:
        return False
    token_type = facts.claims.get("token_type")
    is_dpop = isinstance(token_type, str) and token_type.lower() == "dpop"
    return is_dpop or confirmation_of(facts.claims).jkt is not None


def _not_shown(wanted: Confirmation, presented: Presented) -> Refusal | None:
    if wanted.x5t is not None and presented.x5t != wanted.x5t:
        what = "the connection has none" if presented.x5t is None else "the connection has another one"
        return _unproven(f"the token is {wanted.in_words}, a client certificate, and {what}")
    if wanted.jkt is None:
        return None
    if presented.proof is None:
        return _unproven(f"the token is {wanted.in_words}, and it came as Bearer, without its proof")
    if presented.jkt != wanted.jkt:
        return bad_proof(f"the token is {wanted.in_words}, and the proof is by another key")
    return forgery(presented.proof)


def _unproven(reason: str) -> Refusal:
    return challenge("invalid_token", "the token is good only with a proof of possession", reason=reason)
