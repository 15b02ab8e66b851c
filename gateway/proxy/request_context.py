"""The context of one request from its first byte to its last: its configuration and its record."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic, time
from typing import Protocol

from gateway.authn.facts import Facts
from gateway.authn.presented import AS_BEARER, Presented
from gateway.authn.question import FactsLookup, Question
from gateway.compiled import CompiledConfig, CompiledRoute
from gateway.decision import Decision, DecisionContext, Needs, NeedsFacts, NeedsOutcome
from gateway.http.refusal import Refusal
from gateway.http.request_fields import Fields
from gateway.http.request_line import RequestLine
from gateway.http.trace_context import TraceContext, follow_trace
from gateway.pipeline import conclude, resume
from gateway.proxy.access_record import AccessRecord
from gateway.proxy.generation import Generation
from gateway.routing import Matched
from gateway.spans import recording

FactsHeard = Callable[[NeedsFacts, FactsLookup | BaseException], bool]


class Recorder(Protocol):
    """Records every exchange; must neither block nor raise."""

    connections: int  # open ones
    requests_in_flight: int

    def finished(self, record: AccessRecord) -> None: ...


class RequestContextFactory:
    """Shared by the lanes of a listener. `running` is the configuration in force, which a reload replaces."""

    def __init__(self, running: Generation, recorder: Recorder, new_request_id: Callable[[], str]) -> None:
        self.running = running
        self.recorder = recorder
        self.new_request_id = new_request_id

    def trace(self, compiled: CompiledConfig, fields: Fields, peer: str, request_id: str) -> TraceContext | None:
        """The place of a request in its trace, where the gateway takes part in traces."""
        below = compiled.sampled_below
        if below is None:
            return None
        parent, states, trusted = fields.trace_parent, fields.trace_states, compiled.trusted_proxies
        return follow_trace(parent, states, request_id, below, self.new_request_id, trusted, peer)

    def refused(self, refusal: Refusal, client: str, line: RequestLine | None) -> str:
        """Record the refusal of what never became a request, but for its first line; returns the id it is known by."""
        method, path = ("", "") if line is None else (line.method, line.target.partition("?")[0])
        record = AccessRecord(self.new_request_id(), method, path, client, time())
        record.status, record.code, record.reason = refusal.status, refusal.code, refusal.told
        self.recorder.finished(record)
        return record.request_id


class RequestContext(AccessRecord):
    """Follows one exchange. It begins when the context is made, and ends once.

    By what it was let in is kept for as long as it is open, because it may be asked again: its route and, where a token
    was looked at, the question and the facts.
    """

    matched: Matched[CompiledRoute] | None = None
    facts: Facts | None = None
    question: Question | None = None
    presented: Presented = AS_BEARER

    def __init__(
        self,
        contexts: RequestContextFactory,
        running: Generation,
        request_id: str,
        method: str,
        path: str,
        client: str,
        trace: TraceContext | None = None,
    ) -> None:
        # What is not set here has its default in the class.
        if trace is not None:
            self.trace = trace
            if trace.is_sampled:
                self.spans = []
        self.request_id = request_id
        self.method = method
        self.path = path
        self.client = client
        self.started_at = time()
        self.running = running
        self.started_s = monotonic()
        self._recorder = recorder = contexts.recorder
        running.exchanges += 1
        recorder.requests_in_flight += 1

    def go_on(self, decision: Decision) -> Decision:
        """As far as what this process remembers goes: one of `Needs` is left where somebody has to be asked."""
        while isinstance(decision, NeedsFacts):
            found = self.running.authenticator.cached(decision.question)
            if found is None:
                return decision
            decision = self.resumed(decision, found)
        while isinstance(decision, NeedsOutcome):
            condition = decision.conditions[0]
            outcome = self.running.conditions.of(condition).known(condition)
            if outcome is None:
                return decision
            decision = conclude(decision, outcome)
        return decision

    def begin(self, needs: Needs, heard: FactsHeard) -> bool:
        """Begin to `ask`, without a task; false if that cannot be: then nothing was begun.

        `heard` gets the needs and what `resumed` takes, now or later; it returns whether its request is still there.
        Where waits are recorded, the task is what tells whose they are.
        """
        if self.spans is not None or not isinstance(needs, NeedsFacts):
            return False
        return self.running.admission.begin(needs, partial(heard, needs))

    async def ask(self, needs: Needs) -> Decision:
        """What comes of the response that `go_on` did without."""
        if self.spans is None:
            return await self._ask(needs)
        with recording(self.spans):
            return await self._ask(needs)

    async def _ask(self, needs: Needs) -> Decision:
        if isinstance(needs, NeedsFacts):
            return self.go_on(self.resumed(needs, await self.running.admission.admit(needs)))
        condition = needs.conditions[0]
        return self.go_on(conclude(needs, await self.running.conditions.of(condition).find(condition)))

    def resumed(self, needs: NeedsFacts, found: FactsLookup) -> Decision:
        self.tier, self.stale_s = found.tier, found.stale_s
        self.question = needs.question
        return resume(self.running.compiled, needs, found.result, time())

    def tell(self, context: DecisionContext) -> None:
        """Put what was found out about the request into the record."""
        self.request_id = context.request_id
        self.client = context.caller.address
        self.provider = context.provider
        if context.target is not None:
            self.path = context.target.path
        for met in context.met:
            if met.on_rejected is not None:
                self.on_rejected = met.on_rejected
        if context.matched is not None:
            self.matched = context.matched
            self.route = context.matched.value.name
        if context.facts is not None:
            self.presented = context.presented
            self.facts = context.facts
            self.name(context.facts)

    def name(self, facts: Facts) -> None:
        """Put the caller into the record."""
        subject, client_id = facts.claims.get("sub"), facts.claims.get("client_id")
        if isinstance(subject, str):
            self.subject = subject
        if isinstance(client_id, str):
            self.client_id = client_id

    def so_far_s(self, now_s: float) -> float:
        return now_s - self.started_s

    def end(self) -> None:
        self.duration_s = monotonic() - self.started_s
        self.running.exchanges -= 1
        self._recorder.requests_in_flight -= 1
        self._recorder.finished(self)
