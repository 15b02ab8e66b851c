"""Settles permissions: what the provider said of them, or says now.

A caller with a good token can ask about as many resources as there are paths. So a question that goes to the provider
costs what an unknown token costs, one of its network's bucket, and the cost is refunded where the answer was yes or was
known. Beyond that the caller is refused, and nobody is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.authn.facts import Indeterminate
from gateway.condition import MET, Met
from gateway.conditions.grant_conditions import Permitted
from gateway.grants.obtained import Denied, Granted, Verdict
from gateway.grants.permission import permission_denied
from gateway.http.refusal import Refusal, too_many, unavailable
from gateway.introspection.token_buckets import RetryAfter, TokenBuckets
from gateway.obtaining.obtainer import Obtainer

_TOO_MANY = "too many permissions were asked about from this address; try again later"


class PermissionPort:
    """Satisfies `proxy.condition_port.ConditionPort`. `buckets` is `None` where unknown tokens have no limit."""

    def __init__(
        self, obtainer: Obtainer, buckets: TokenBuckets | None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._obtainer = obtainer
        self._buckets = buckets
        self._monotonic = monotonic

    def known(self, condition: Permitted) -> Refusal | Met | None:
        question = condition.question
        verdict = self._obtainer.known(condition.grant, question.address, question.max_age_s)
        return None if verdict is None else _outcome(verdict)

    async def find(self, condition: Permitted) -> Refusal | Met:
        bucket = None
        if self._buckets is not None:
            bucket = self._buckets.spend(condition.question.address, self._monotonic())
        if isinstance(bucket, RetryAfter):
            return too_many(_TOO_MANY, bucket.wait_s)
        question = condition.question
        verdict, tier = await self._obtainer.obtain(condition.grant, question.address, question.max_age_s)
        was_asked = tier == "provider" and not (isinstance(verdict, Indeterminate) and not verdict.was_asked)
        if self._buckets is not None and bucket is not None and (isinstance(verdict, Granted) or not was_asked):
            self._buckets.refund(bucket)
        return _outcome(verdict)

    async def foresee(self, condition: Permitted) -> tuple[Refusal | Met, str]:
        """For the operator, who is not limited."""
        verdict, tier = await self._obtainer.obtain(condition.grant, "", condition.question.max_age_s)
        return _outcome(verdict), f"{in_words(verdict)} from {tier}"


def in_words(verdict: Verdict | Indeterminate) -> str:
    match verdict:
        case Granted():
            return "granted"
        case Denied():
            return f"refused, {verdict.reason}"
        case Indeterminate():
            return f"cannot tell, {verdict.reason}"


def _outcome(verdict: Verdict | Indeterminate) -> Refusal | Met:
    match verdict:
        case Granted():
            return MET
        case Denied():
            return permission_denied(f"permission refused: {verdict.reason}")
        case Indeterminate():
            return unavailable(f"permission: {verdict.reason}", verdict.retry_after_s)
