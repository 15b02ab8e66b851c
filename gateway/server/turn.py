"""One request's turn: the configuration it is served under and the record of it, from its first byte to its last."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from gateway.authn.facts import Facts
from gateway.authn.question import Found
from gateway.http.refusal import Refusal
from gateway.pipeline import Case, Decision, NeedsFacts, resume
from gateway.server.exchange import Exchange
from gateway.server.running import Running


class Recorder(Protocol):
    """Who is told of every exchange; must neither block nor raise."""

    requests_in_flight: int

    def finished(self, exchange: Exchange) -> None: ...


class Turns:
    """Shared by the lanes of a listener. `current` gives the configuration in force."""

    def __init__(self, current: Callable[[], Running], recorder: Recorder, new_request_id: Callable[[], str]) -> None:
        self.current = current
        self.recorder = recorder
        self.new_request_id = new_request_id

    def begin(self, running: Running, exchange: Exchange) -> Turn:
        running.exchanges += 1
        self.recorder.requests_in_flight += 1
        return Turn(running, exchange, self.recorder)

    def refused(self, refusal: Refusal, client: str) -> str:
        """Record the refusal of what never became a request; returns the id it is known by."""
        exchange = Exchange(self.new_request_id(), "", "", client, time.time())
        exchange.status, exchange.code = refusal.status, refusal.code
        self.recorder.finished(exchange)
        return exchange.request_id


class Turn:
    """It ends once."""

    __slots__ = ("_recorder", "_started_s", "exchange", "running")

    def __init__(self, running: Running, exchange: Exchange, recorder: Recorder) -> None:
        self.running = running
        self.exchange = exchange
        self._recorder = recorder
        self._started_s = time.monotonic()

    def go_on(self, decision: Decision) -> Decision:
        """As far as what this process remembers goes: `NeedsFacts` is left where somebody has to be asked."""
        while isinstance(decision, NeedsFacts):
            found = self.running.authenticator.remembered(decision.question)
            if found is None:
                break
            decision = self._resume(decision, found)
        return decision

    async def ask(self, needs: NeedsFacts) -> Decision:
        """What comes of the answer that `go_on` did without."""
        return self.go_on(self._resume(needs, await self.running.desk.ask(needs)))

    def _resume(self, needs: NeedsFacts, found: Found) -> Decision:
        self.exchange.tier, self.exchange.stale_s = found.tier, found.stale_s
        return resume(self.running.gate, needs, found.answer, time.time())

    def tell(self, case: Case) -> None:
        """Put what was found out about the request into the record."""
        exchange = self.exchange
        exchange.request_id = case.request_id
        exchange.client = case.caller.address
        exchange.provider = case.provider
        if case.target is not None:
            exchange.path = case.target.path
        if case.route is not None:
            exchange.route = case.route.name
        if case.facts is not None:
            self.name(case.facts)

    def name(self, facts: Facts) -> None:
        exchange, claims = self.exchange, facts.claims
        exchange.subject, exchange.client_id = _name(claims.get("sub")), _name(claims.get("client_id"))

    def end(self) -> None:
        self.exchange.duration_s = time.monotonic() - self._started_s
        self.running.exchanges -= 1
        self._recorder.requests_in_flight -= 1
        self._recorder.finished(self.exchange)


def _name(claim: object) -> str | None:
    return claim if isinstance(claim, str) else None
