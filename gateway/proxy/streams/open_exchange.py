"""An exchange that stays open: what let it in, and whether a route would let it in now. Decides, and does no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from gateway.authn.facts import Facts
from gateway.authn.question import Question
from gateway.compiled import CompiledConfig, CompiledRoute
from gateway.policy import judge
from gateway.proxy.relay import Relay
from gateway.proxy.request_context import RequestContext

if TYPE_CHECKING:
    from gateway.introspection.authenticator import Authenticator

# The operator reads these, and so does a WebSocket's client.
REVOKED = "the token was revoked"
EXPIRED = "the token expired"
GONE = "the route is gone"
REFUSED = "the route refuses the caller now"
UNCERTAIN = "the provider could not tell whether the token is still good"


@dataclass(slots=True, eq=False)
class OpenExchange:
    """Holds what is known about an exchange that stays open.

    All times are on the monotonic clock: the facts were introspected at `introspected_at_s`, the gateway asks again
    at `ask_at_s`, and the exchange ends at `end_at_s` if nobody can tell by then. A caller without a token has
    neither question nor facts.
    """

    relay: Relay
    context: RequestContext
    route: CompiledRoute
    question: Question | None
    facts: Facts | None
    introspected_at_s: float
    tagged_by: Authenticator | None = None  # made the tags under which the index has it
    ask_at_s: float = inf
    end_at_s: float = inf
    tries: int = 0  # questions in a row that the provider could not answer
    is_asking: bool = False
    is_kept: bool = False  # stays open whatever happens to its token or its route

    @property
    def exp(self) -> float:
        return inf if self.facts is None or self.facts.exp is None else self.facts.exp


def opened(relay: Relay, context: RequestContext, route: CompiledRoute, now_s: float) -> OpenExchange:
    """The record of an exchange under way on `route`."""
    question = None if context.facts is None or context.provider is None else context.question
    return OpenExchange(relay, context, route, question, context.facts, now_s)


def refused_by(route: CompiledRoute, stream: OpenExchange, compiled: CompiledConfig, now: float) -> str | None:
    """Why `route` would not let the exchange in at wall-clock time `now`, or `None` where it would.

    Where it would, the question of the exchange is this route's from then on.
    """
    if route.mode == "none":
        stream.question = stream.facts = None
        return None
    question, facts = stream.question, stream.facts
    if question is None or facts is None:
        return None if route.mode == "optional" else REFUSED
    if facts.exp is not None and facts.exp <= now:
        return EXPIRED
    if question.provider not in route.providers:
        return REFUSED
    matched = stream.context.matched
    captures = {} if matched is None or not route.policy.needs_captures else matched.captures
    try:
        issuer = compiled.trusted_issuers[question.provider]
        refusal = judge(route.policy, facts, issuer, captures, now, stream.context.presented)
    except KeyError:  # the route has another path now, and its claims name a part that the old path did not have
        return REFUSED
    stream.question = question.within(route.max_age_s, route.tolerances_s.get(stream.context.method))
    return None if refusal is None else REFUSED
