"""Where a token goes that this process does not remember: what can be refused without asking anybody is refused here.

Made-up tokens must not turn into calls. Of those that nobody knows, each client address may send so many; nothing of
one is looked at beyond that. A token that by its own word could never be good costs its address a part of one. Only
tokens that the provider was asked about and did not call active are charged: many people behind one address who sign
in at once are no attack. So are those that found the queue before the provider full of their own network's questions.
A token that makes a sound provider fail costs double.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Literal

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive, Indeterminate, TooMany
from gateway.authn.jwt_hint import cannot_be_valid
from gateway.authn.question import FactsLookup, Question
from gateway.compiled import CompiledConfig
from gateway.decision import NeedsFacts
from gateway.introspection.authenticator import Authenticator
from gateway.introspection.token_buckets import RetryAfter, TokenBucket, TokenBuckets

# Of an unknown token that somebody has to be asked about. To look at it costs little, and so it is not free.
_COST_OF_A_LOOK = 0.1


class Admission:
    """Of one configuration. `buckets` is `None` where unknown tokens have no limit."""

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
        """Why nobody need be asked, in words; `None` where somebody must be."""
        wanted = needs.route.policy.issuer
        if wanted is None:
            wanted = self._compiled.trusted_issuers[needs.question.provider].issuer
        return cannot_be_valid(needs.question.token, wanted, self._clock())

    async def admit(self, needs: NeedsFacts) -> FactsLookup:
        """The answer to a question that `Authenticator.remembered` had none for.

        Raises nothing but `CancelledError`.
        """
        if self._is_known(needs):
            return await self._authenticator.look_up(needs.question)
        bucket = None
        if self._buckets is not None:
            bucket = self._buckets.spend(needs.case.caller.address, self._monotonic())
        if isinstance(bucket, RetryAfter):
            return FactsLookup(TooMany(bucket.wait_s), None)
        if (why := self.cannot_be_valid(needs)) is not None:
            self._refund(bucket, 1 - _COST_OF_A_LOOK)
            return FactsLookup(Inactive(self._clock(), why), None)
        # Whoever leaves before the answer is charged: the provider is asked all the same.
        found = await self._authenticator.look_up(needs.question)
        self._charge(bucket, _cost(found))
        return found

    def charge_revocation(self, token: Token, address: str) -> RetryAfter | Callable[[], None]:
        """Take what an unknown token costs: each one that is revoked is an order to the whole fleet.

        A token that this process knows is free. The function gives the cost back, for a token that was not revoked.
        """
        questions = (Question(provider, token) for provider in self._compiled.trusted_issuers)
        if self._buckets is None or any(self._authenticator.was_recently_active(question) for question in questions):
            return lambda: None
        bucket = self._buckets.spend(address, self._monotonic())
        return bucket if isinstance(bucket, RetryAfter) else partial(self._buckets.refund, bucket)

    def _charge(self, bucket: TokenBucket | None, cost: Literal[0, 1, 2]) -> None:
        if cost == 0:
            self._refund(bucket)
        elif cost > 1 and self._buckets is not None and bucket is not None:
            self._buckets.charge_again(bucket)

    def _refund(self, bucket: TokenBucket | None, part: float = 1.0) -> None:
        if self._buckets is not None and bucket is not None:
            self._buckets.refund(bucket, part)

    def _is_known(self, needs: NeedsFacts) -> bool:
        """To one of the providers that may be asked: what is another's is no stranger to the first."""
        if self._authenticator.was_recently_active(needs.question):
            return True
        return any(self._authenticator.was_recently_active(needs.question.to(name)) for name in needs.others)


def _cost(found: FactsLookup) -> Literal[0, 1, 2]:
    if found.tier != "provider" or isinstance(found.result, Facts):
        return 0
    if not isinstance(found.result, Indeterminate):
        return 1
    if found.result.is_token_fault:
        return 2
    return 1 if found.result.was_asked or found.result.is_queue_full else 0
