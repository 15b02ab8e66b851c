"""The decisions about a request, and what is known about it by then: the values that `gateway.pipeline` returns."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from gateway.authn.facts import Facts, Indeterminate
from gateway.authn.presented import AS_BEARER, Presented
from gateway.authn.question import Question
from gateway.compiled import CompiledRoute
from gateway.condition import Condition, Met
from gateway.cors import PreflightAnswer
from gateway.http.forwarded import Caller
from gateway.http.headers import Lines, lines_to_backend
from gateway.http.location import Outside
from gateway.http.public_document import PublicDocument
from gateway.http.refusal import Refusal, with_dpop_challenge, with_parameter
from gateway.http.target import Target, with_query
from gateway.identity import Identity
from gateway.possession import offers_dpop
from gateway.request import Request
from gateway.route_path import stripped
from gateway.routing import Matched

NO_CAPTURES: Final[Mapping[str, str]] = MappingProxyType({})
ReceivedKind = Literal["logout", "security_event", "k_push_not_before", "k_logout"]


class DecisionContext:
    """Holds what is known about a request so far. Every decision carries it, for the access record.

    `body_bytes` is the length that Content-Length declares. `met` are the conditions that hold, as far as they were
    asked about. `presented` says how its token came.
    """

    __slots__ = ("body_bytes", "caller", "facts", "matched", "met", "presented", "provider", "request", "target")

    def __init__(
        self,
        request: Request,
        caller: Caller,
        target: Target | None = None,
        body_bytes: int = 0,
        matched: Matched[CompiledRoute] | None = None,
        provider: str | None = None,
        facts: Facts | None = None,
        met: tuple[Met, ...] = (),
        *,
        presented: Presented = AS_BEARER,
    ) -> None:
        self.met = met
        self.presented = presented
        self.request = request
        self.caller = caller
        self.target = target
        self.body_bytes = body_bytes
        self.matched = matched
        self.provider = provider
        self.facts = facts

    def known_by(self, provider: str, facts: Facts | None = None) -> DecisionContext:
        """The same context with the result of `provider`."""
        context = self._copy()
        context.provider, context.facts = provider, facts
        return context

    def and_met(self, met: Met) -> DecisionContext:
        """The same context with one more condition that holds."""
        context = self._copy()
        context.met = (*self.met, met)
        return context

    def asking_for(self, target: Target) -> DecisionContext:
        """The same context with another target."""
        context = self._copy()
        context.target = target
        return context

    def as_presented(self, presented: Presented) -> DecisionContext:
        """The same context with a token that came in another way."""
        context = self._copy()
        context.presented = presented
        return context

    def _copy(self) -> DecisionContext:
        return DecisionContext(
            self.request,
            self.caller,
            self.target,
            self.body_bytes,
            self.matched,
            self.provider,
            self.facts,
            self.met,
            presented=self.presented,
        )

    @property
    def route(self) -> CompiledRoute | None:
        return None if self.matched is None else self.matched.value

    @property
    def captures(self) -> Mapping[str, str]:
        return NO_CAPTURES if self.matched is None else self.matched.captures

    @property
    def request_id(self) -> str:
        return self.caller.request_id or self.request.new_request_id


class Refuse:
    """Refuses the request, with the response to send. A challenge names the route's resource, if it is one.

    Where a proof was wanted or came, there is a challenge in the scheme DPoP, too.
    """

    __slots__ = ("context", "refusal")

    def __init__(self, context: DecisionContext, refusal: Refusal) -> None:
        self.context = context
        route = context.route
        if route is not None and offers_dpop(context.presented, context.facts, is_demanded=route.policy.demands_proof):
            refusal = with_dpop_challenge(refusal, " ".join(route.dpop_algorithms))
        if route is not None and route.resource_metadata is not None:
            refusal = with_parameter(refusal, "resource_metadata", route.resource_metadata)
        self.refusal = refusal


class Allow:
    """Lets the request go on to `path_and_query`, with the identity headers of `identity`."""

    __slots__ = ("context", "identity", "path", "route", "target")

    def __init__(
        self, context: DecisionContext, route: CompiledRoute, target: Target, path: str, identity: Identity
    ) -> None:
        self.context = context
        self.route = route
        self.target = target
        self.path = path
        self.identity = identity

    def and_met(self, met: Met) -> Allow:
        """The same with one more condition that holds."""
        return Allow(self.context.and_met(met), self.route, self.target, self.path, self.identity)

    @property
    def path_and_query(self) -> str:
        target = self.target
        return with_query(self.path, target.query) if self.route.moves_path else target.path_and_query

    @property
    def stripped(self) -> str:
        """The part that the route takes off the path; the backend gets it as `X-Forwarded-Prefix`."""
        return stripped(self.target, self.route) if self.route.moves_path else ""

    @property
    def outside(self) -> Outside:
        """The URL under which the client sees what the backend serves."""
        caller, authority = self.context.caller, self.target.authority
        host = authority if self.route.preserves_host else ""
        return Outside(caller.proto, caller.authority or authority, caller.prefix + self.stripped, host)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All fields for the backend as text, except `Host` and the framing."""
        return [*self.lines.pairs, *self.identity.pairs]

    @property
    def lines(self) -> Lines:
        """All fields for the backend, except `Host`, the framing and the identity."""
        context = self.context
        request = context.request
        rules, trace = self.route.request_rules, request.trace
        lines = lines_to_backend(
            request.fields,
            rules,
            context.caller,
            authority=self.target.authority,
            request_id=context.request_id,
            version=request.version,
            stripped=self.stripped,
            identity=self.identity.pairs,
            trace=b"" if trace is None else trace.lines(rules.gone),
        )
        for met in context.met:  # the longest comes last, and is copied least often
            if met.line:
                lines = lines.and_line(met.line)
        return lines


class Preflight:
    """A CORS preflight for a route with `cors`, which the gateway answers itself, without a token (Fetch §4.8).

    `answer` are the fields of its 204, or the refusal.
    """

    __slots__ = ("answer", "context")

    def __init__(self, context: DecisionContext, answer: PreflightAnswer) -> None:
        self.context = context
        self.answer = answer


class NeedsFacts:
    """Asks for the result of `question`; `resume` takes it. `others` are the providers to ask after this one.

    `unclear` is the result of a provider before this one.
    """

    __slots__ = ("context", "others", "question", "route", "unclear")

    def __init__(
        self,
        context: DecisionContext,
        route: CompiledRoute,
        question: Question,
        others: tuple[str, ...] = (),
        unclear: Indeterminate | None = None,
    ) -> None:
        self.context = context
        self.route = route
        self.question = question
        self.others = others
        self.unclear = unclear


class NeedsOutcome:
    """Asks whether the first of `conditions` holds; `conclude` takes the outcome. If all hold, `allowed` is right."""

    __slots__ = ("allowed", "conditions")

    def __init__(self, allowed: Allow, conditions: tuple[Condition, ...]) -> None:
        self.allowed = allowed
        self.conditions = conditions

    @property
    def context(self) -> DecisionContext:
        return self.allowed.context


class Receive:
    """An event at one of the gateway's own paths: a POST that `gateway.events` receives."""

    __slots__ = ("context", "kind")

    def __init__(self, context: DecisionContext, kind: ReceivedKind) -> None:
        self.context = context
        self.kind: ReceivedKind = kind


class Publish:
    """Answers with a document of the gateway's own, which everybody may read."""

    __slots__ = ("context", "document")

    def __init__(self, context: DecisionContext, document: PublicDocument) -> None:
        self.context = context
        self.document = document


Needs = NeedsFacts | NeedsOutcome
NEEDS: Final = (NeedsFacts, NeedsOutcome)
Decision = Allow | Refuse | Preflight | NeedsFacts | NeedsOutcome | Receive | Publish
