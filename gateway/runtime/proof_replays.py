"""Settles whether a DPoP proof was used before: in the fleet, in the instance, in this process.

    known here                -> refused at once
    Redis                     -> SET NX: the first one in the fleet
    no Redis, or it is away   -> the supervisor: the first one in the instance
    one process, no Redis     -> this process

The proof is remembered before the request goes on, so that two that come at once are not both the first. While Redis is
away each instance knows only its own uses, and the log says that Redis is away (`redis_away`): a proof is bound to one
method, one URL and one minute. Where the supervisor does not answer nobody can tell, and that is a 503.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.authn.dpop_nonce import Nonces
from gateway.authn.seen_proofs import LIFE_S, SeenProofs, Use, UseOutcome
from gateway.cache.key import HmacKeys
from gateway.cache.key_ring import KeyRing
from gateway.condition import MET, Met
from gateway.conditions.new_proof import NewProof
from gateway.http.refusal import Refusal, too_many, unavailable
from gateway.possession import bad_proof
from gateway.proxy.generation import Generation
from gateway.workers.control import ControlError

_REPLAY = "the proof was used before"
_RETRY_S = 5.0

# Asks the supervisor whether a use is the first one in the instance; answers with the name of a `UseOutcome`. Raises
# `ControlError`.
ClaimAtInstance = Callable[[Use], Awaitable[str]]


class SharedProofs(Protocol):
    """Remembers uses for the fleet. Raises nothing but `CancelledError`."""

    async def claim_seen(self, tag: bytes, life_s: float) -> bool | None:
        """Whether this is the first use; `None` where Redis cannot tell."""


class ProofReplays:
    """Is the `ConditionPort` of `NewProof` under one configuration. `seen` outlives it."""

    def __init__(
        self,
        seen: SeenProofs,
        keys: HmacKeys | KeyRing,
        shared: SharedProofs | None,
        claim_at_instance: ClaimAtInstance | None,
        nonces: Nonces | None,
    ) -> None:
        self._seen = seen
        self._keys = keys
        self._shared = shared
        self._claim_at_instance = claim_at_instance
        self._nonces = nonces

    def known(self, condition: NewProof) -> Refusal | Met | None:
        now_s = time.monotonic()
        if self._shared is None and self._claim_at_instance is None:
            return self._outcome(self._seen.claim(condition.use, now_s))
        return bad_proof(_REPLAY) if self._seen.has(condition.use.digest, now_s) else None

    async def find(self, condition: NewProof) -> Refusal | Met:
        use = condition.use
        is_first = None if self._shared is None else await self._shared.claim_seen(self._tag(use), LIFE_S)
        here = self._seen.claim(use, time.monotonic())
        if is_first is not None:
            return self._outcome(UseOutcome.NEW if is_first else UseOutcome.SEEN)
        if here is UseOutcome.SEEN or self._claim_at_instance is None:
            return self._outcome(here)
        try:
            return self._outcome(UseOutcome[await self._claim_at_instance(use)])
        except ControlError as error:
            return unavailable(f"nobody can tell whether the proof was used before: {error}")

    async def foresee(self, condition: NewProof) -> tuple[Refusal | Met, str]:
        if self._seen.has(condition.use.digest, time.monotonic()):
            return bad_proof(_REPLAY), _REPLAY
        return MET, "this process does not know the proof"

    def _tag(self, use: Use) -> bytes:
        return self._keys.event_key("dpop proof", use.digest)

    def _outcome(self, verdict: UseOutcome) -> Refusal | Met:
        if verdict is UseOutcome.NEW:
            return MET if self._nonces is None else Met(fields=(("DPoP-Nonce", self._nonces.issue(time.time())),))
        if verdict is UseOutcome.FULL:
            return too_many("too many proofs are in use; try again later", _RETRY_S)
        return bad_proof(_REPLAY)


def settle_proofs(generation: Generation, seen: SeenProofs, claim_at_instance: ClaimAtInstance | None) -> None:
    """Have a generation settle whether a proof is new."""
    cache = generation.cache
    port = ProofReplays(seen, cache.keys, cache.shared, claim_at_instance, generation.compiled.nonces)
    generation.conditions.add(NewProof, port)
