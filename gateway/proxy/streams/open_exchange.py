"""An exchange that stays open: by what it was let in, and whether it would be now. Decides, and does nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts
from gateway.authn.question import Question
from gateway.compiled import CompiledConfig, CompiledRoute
from gateway.policy import judge
from gateway.proxy.relay import Relay
from gateway.proxy.request_context import RequestContext

if TYPE_CHECKING:
    from gateway.introspection.authenticator import Authenticator

# For the operator; a WebSocket's client reads them, too.
REVOKED = "the token was revoked"
EXPIRED = "the token expired"
GONE = "the route is gone"
REFUSED = "the route refuses the caller now"
UNTOLD = "the provider could not tell whether the token is still good"


@dataclass(slots=True, eq=False)
class OpenExchange:
    """`known_at_s` is when its facts were introspected, `ask_at_s` when they are asked for again, `end_at_s` until when
    they do where nobody can tell, all on the monotonic clock. Of a caller without a token there are neither question
    nor facts.
    """

    relay: Relay
    turn: RequestContext
    route: CompiledRoute
    question: Question | None
    facts: Facts | None
    known_at_s: float
    keyed_by: Authenticator | None = None  # whose marks it is found by
    ask_at_s: float = inf
    end_at_s: float = inf
    tries: int = 0  # in a row, that nobody could tell
    is_asking: bool = False
    is_kept: bool = False  # whatever becomes of its token or its route

    @property
    def exp(self) -> float:
        return inf if self.facts is None or self.facts.exp is None else self.facts.exp


def opened(relay: Relay, turn: RequestContext, route: CompiledRoute, now_s: float) -> OpenExchange:
    """What is known of an exchange under way on `route`."""
    question = turn.question
    if turn.facts is None or turn.provider is None:
        question = None
    elif question is None:
        token = Token(turn.token.decode("latin-1"))
        question = Question(turn.provider, token, route.max_age_s, route.tolerances_s.get(turn.method))
    return OpenExchange(relay, turn, route, question, turn.facts, now_s)


def refused_by(route: CompiledRoute, one: OpenExchange, gate: CompiledConfig, now: float) -> str | None:
    """Why `route` would not let it in at wall-clock time `now`; `None` where it would, by its question from then on."""
    if route.mode == "none":
        one.question = one.facts = None
        return None
    question, facts = one.question, one.facts
    if question is None or facts is None:
        return None if route.mode == "optional" else REFUSED
    if facts.exp is not None and facts.exp <= now:
        return EXPIRED
    if question.provider not in route.providers:
        return REFUSED
    matched = one.turn.matched
    captures = {} if matched is None or not route.policy.claims else matched.captures
    try:
        refusal = judge(route.policy, facts, gate.speakers[question.provider], captures, now)
    except KeyError:  # the route has another path now, and its claims ask for a part that the old one did not name
        return REFUSED
    one.question = replace(question, max_age_s=route.max_age_s, stale_s=route.tolerances_s.get(one.turn.method))
    return None if refusal is None else REFUSED
