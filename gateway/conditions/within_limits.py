"""The condition that a request is within the limits of its route."""

from __future__ import annotations

from gateway.authn.question import Question
from gateway.decision import Allow, DecisionContext
from gateway.limits.limit import CompiledLimit, identity_of


class WithinLimits:
    """Asks for one request of each limit, for the identity beside it. All are looked at before any is spent."""

    __slots__ = ("spends",)

    def __init__(self, spends: tuple[tuple[CompiledLimit, str], ...]) -> None:
        self.spends = spends

    @property
    def in_words(self) -> str:
        return f"within {', '.join(str(limit) for limit, _ in self.spends)}"


def limits_of(allowed: Allow, question: Question | None) -> tuple[WithinLimits, ...]:
    """The condition of a route with limits. Nothing is spent before all else is settled: it comes last."""
    del question
    if not allowed.route.limits:
        return ()
    spends = limits_known(allowed.context, allowed.route.limits)
    return (WithinLimits(spends),) if spends else ()


def limits_known(context: DecisionContext, limits: tuple[CompiledLimit, ...]) -> tuple[tuple[CompiledLimit, str], ...]:
    """Each limit with the identity that it counts: of the caller with its facts, or else of the client's address."""
    claims = None if context.facts is None else context.facts.claims
    address = context.caller.address
    return tuple([(limit, identity_of(limit, context.provider, claims, address)) for limit in limits])
