"""Decides whether a token that this process does not remember may be looked up; refuses what needs no provider.

    a proof that does not fit -> no look-up; the pipeline refuses it
    known token -> look up
    unknown     -> spend one of the address's bucket -> cannot be valid? refuse, refund most of it
                -> is its proof forged? refuse -> look up -> charge

Made-up tokens must not turn into calls. Each client address may send only so many unknown tokens; beyond that nothing
of a token is even read. A token that by its own claims cannot be valid costs a part of one. The cost is refunded unless
the provider was asked and did not call the token active: many people behind one address who sign in at once are not an
attack. A token that finds the provider's queue full of its own network's questions is charged too. A token that makes a
sound provider fail costs double.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Literal

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive, Indeterminate, TooMany
from gateway.authn.jwt_hint import CLOCKS_APART_S, cannot_be_valid
from gateway.authn.question import FactsLookup, Question
from gateway.compiled import CompiledConfig
from gateway.decision import NeedsFacts
from gateway.introspection.authenticator import Authenticator
from gateway.introspection.token_buckets import RetryAfter, TokenBucket, TokenBuckets
from gateway.pipeline import unproven

Heard = Callable[[FactsLookup | BaseException], bool]

# The part that is charged for an unknown token that is only read. Reading costs little, so it is not free.
_COST_OF_A_LOOK = 0.1
# So many other providers or realms are looked at before an unknown token is charged. Each costs a hash of the token,
# and a server may have thousands of realms.
_OTHERS_MAX = 32


class Admission:
    """Admits tokens under one configuration. `buckets` is `None` where unknown tokens have no limit."""

    def __init__(
        self,
        compiled: CompiledConfig,
        authenticator: Authenticator,
        buckets: TokenBuckets | None,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._compiled = compiled
        self._authenticator = authenticator
        self._buckets = buckets
        self._clock = clock
        self._monotonic = monotonic

    def cannot_be_valid(self, needs: NeedsFacts) -> str | None:
        """Why no provider need be asked, in words; `None` where one must be."""
        trusted = self._compiled.trusted_issuers[needs.question.provider]
        wanted = needs.route.policy.issuer or trusted.issuer
        # A JWT that is judged here is judged by this clock. So one that has just expired costs no signature either.
        apart_s = CLOCKS_APART_S if trusted.validation == "introspection" else 0.0
        return cannot_be_valid(needs.question.token, wanted, self._clock(), clocks_apart_s=apart_s)

    async def admit(self, needs: NeedsFacts) -> FactsLookup:
        """The result for a question that `Authenticator.cached` has no entry for.

        Raises nothing but `CancelledError`.
        """
        bucket = self._spent_bucket(needs)
        if isinstance(bucket, FactsLookup):
            return bucket
        # A caller that leaves before the result is charged, because the provider is asked all the same.
        found = await self._authenticator.look_up(needs.question)
        self._charge(bucket, _cost(found))
        return found

    def begin(self, needs: NeedsFacts, heard: Heard) -> bool:
        """Do as `admit` does, without a task; false if that cannot be: then nothing was begun.

        `heard` gets the result, now or later, and returns whether its caller is still there.
        """
        if needs.question.stale_s is not None:
            return False
        bucket = self._spent_bucket(needs)
        if isinstance(bucket, FactsLookup):
            heard(bucket)
        else:
            self._authenticator.begin(needs.question, partial(self._looked_up, bucket, heard))
        return True

    def _looked_up(self, bucket: TokenBucket | None, heard: Heard, found: FactsLookup | BaseException) -> None:
        if heard(found) and isinstance(found, FactsLookup):
            self._charge(bucket, _cost(found))

    def _spent_bucket(self, needs: NeedsFacts) -> FactsLookup | TokenBucket | None:
        """The result, if no provider need be asked; else the bucket that is charged for the question, if any."""
        if (refused := unproven(self._compiled, needs.context, self._clock())) is not None:
            return FactsLookup(Inactive(self._clock(), refused.reason), None)
        if self._is_known(needs):
            return self._forged(needs)
        bucket = None
        if self._buckets is not None:
            bucket = self._buckets.spend(needs.context.caller.address, self._monotonic())
        if isinstance(bucket, RetryAfter):
            return FactsLookup(TooMany(bucket.wait_s), None)
        if (why := self.cannot_be_valid(needs)) is not None:
            self._refund(bucket, 1 - _COST_OF_A_LOOK)
            return FactsLookup(Inactive(self._clock(), why), None)
        return self._forged(needs) or bucket

    def _forged(self, needs: NeedsFacts) -> FactsLookup | None:
        """What stands in for the result where the proof is forged, which the pipeline refuses then."""
        proof = needs.context.presented.proof
        if proof is None or proof.has_signature:
            return None
        return FactsLookup(Inactive(self._clock(), "its proof is not signed by the key in it"), None)

    def charge_revocation(self, token: Token, address: str) -> RetryAfter | Callable[[], None]:
        """Charge an unknown token's cost: each one that is revoked is an order to the whole fleet.

        A token that this process knows is free. The function that is returned refunds the cost, for a token that was
        not revoked.
        """
        questions = (Question(provider, token) for provider in self._compiled.trusted_issuers)
        if self._buckets is None or any(self._authenticator.was_recently_active(question) for question in questions):
            return lambda: None
        bucket = self._buckets.spend(address, self._monotonic())
        return bucket if isinstance(bucket, RetryAfter) else partial(self._buckets.refund, bucket)

    async def is_worth_revoking(self, token: Token) -> bool:
        """Whether the revocation of the token has to be remembered. Charge it before: a signature may be verified."""
        return await self._authenticator.is_worth_revoking(token)

    def _charge(self, bucket: TokenBucket | None, cost: Literal[0, 1, 2]) -> None:
        if cost == 0:
            self._refund(bucket)
        elif cost > 1 and self._buckets is not None and bucket is not None:
            self._buckets.charge_again(bucket)

    def _refund(self, bucket: TokenBucket | None, part: float = 1.0) -> None:
        if self._buckets is not None and bucket is not None:
            self._buckets.refund(bucket, part)

    def _is_known(self, needs: NeedsFacts) -> bool:
        """Whether one of the providers that may be asked knows the token. One provider's token is unknown to the
        others.
        """
        if self._authenticator.was_recently_active(needs.question):
            return True
        others = needs.others[:_OTHERS_MAX]
        return any(self._authenticator.was_recently_active(needs.question.to(name)) for name in others)


def _cost(found: FactsLookup) -> Literal[0, 1, 2]:
    if found.tier != "provider" or isinstance(found.result, Facts):
        return 0
    if not isinstance(found.result, Indeterminate):
        return 1
    if found.result.is_token_fault:
        return 2
    return 1 if found.result.was_asked or found.result.is_queue_full else 0
