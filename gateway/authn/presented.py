"""How a caller presents its token, and what it shows to have besides: the key of a proof, a client certificate."""

from __future__ import annotations

from typing import Final

from gateway.authn.dpop_proof import DpopProof


class Presented:
    """Says in which scheme a token came, and whether it stood in `Authorization`.

    `proof` is the DPoP proof that came with it; in the scheme DPoP there is none where the route looks at none. `x5t`
    is the thumbprint of the client's certificate, as far as somebody has asked for it. A stream keeps all of this for
    as long as it is open, so that the token's binding can be looked at again.
    """

    __slots__ = ("in_authorization", "is_dpop", "proof", "x5t")

    def __init__(
        self,
        *,
        is_dpop: bool = False,
        in_authorization: bool = True,
        proof: DpopProof | None = None,
        x5t: str | None = None,
    ) -> None:
        self.is_dpop = is_dpop
        self.in_authorization = in_authorization
        self.proof = proof
        self.x5t = x5t

    @property
    def jkt(self) -> str | None:
        """The thumbprint of the key in the proof. It counts only if that key has signed the proof."""
        return None if self.proof is None else self.proof.key.thumbprint

    def with_certificate(self, x5t: str | None) -> Presented:
        """The same over a connection with this client certificate."""
        return Presented(is_dpop=self.is_dpop, in_authorization=self.in_authorization, proof=self.proof, x5t=x5t)


# The usual way, which most tokens come.
AS_BEARER: Final = Presented()
