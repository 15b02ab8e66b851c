"""The condition that a proof of possession was not used before (RFC 9449 §11.1)."""

from __future__ import annotations

import base64
from hashlib import sha256

from gateway.authn.question import Question
from gateway.authn.seen_proofs import Use
from gateway.decision import Allow
from gateway.http.client_network import client_network


class NewProof:
    """Asks whether this is the first use of a proof."""

    __slots__ = ("use",)

    def __init__(self, use: Use) -> None:
        self.use = use

    @property
    def in_words(self) -> str:
        return "the DPoP proof was not used before"


def new_proof(allowed: Allow, _question: Question | None) -> tuple[NewProof, ...]:
    """The condition of a request that came with a proof."""
    proof = allowed.context.presented.proof
    if proof is None:
        return ()
    # A thumbprint has one length, so no two pairs give one text.
    digest = sha256(f"{proof.key.thumbprint} {proof.jti}".encode("utf-8", "surrogatepass")).digest()
    network = client_network(allowed.context.caller.address).block
    return (NewProof(Use(proof.key.thumbprint, base64.urlsafe_b64encode(digest).decode(), proof.issued_at, network)),)
