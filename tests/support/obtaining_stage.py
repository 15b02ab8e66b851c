"""An obtainer between callers and a token endpoint that says what it is told to, without a gateway around it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Indeterminate
from gateway.authn.question import Question
from gateway.cache.key_ring import keys_of
from gateway.grants.grant_request import GrantParameters, GrantRequest, Kind
from gateway.grants.obtained import Granted, Verdict, Windows
from gateway.introspection.joiners import Joiners
from gateway.obtaining.grant_runner import GrantRunner
from gateway.obtaining.obtainer import Obtainer
from gateway.obtaining.verdict_tier import VerdictTier

Said = Verdict | Indeterminate


class Source:
    """A token endpoint that says what `verdict` is, or makes of the grant, once `gate` is open."""

    max_duration_s = 1.0
    breaker_is_open = False

    def __init__(self) -> None:
        self.verdict: Said | Callable[[GrantRequest], Said] = Granted("new", 300.0)
        self.calls: list[GrantRequest] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def run(
        self, grant: GrantRequest, address: str = "", joiners: Joiners | None = None
    ) -> Verdict | Indeterminate:
        self.calls.append(grant)
        verdict = self.verdict(grant) if callable(self.verdict) else self.verdict
        await self.gate.wait()
        return verdict


class Counts:
    def __init__(self) -> None:
        self.ended: list[tuple[str, str, str]] = []

    def grant_ended(self, kind: str, provider: str, outcome: str) -> None:
        self.ended.append((kind, provider, outcome))


class Stage:
    def __init__(self, *secrets: bytes, max_entries: int = 100, fraction: float | None = None) -> None:
        self.source, self.counts = Source(), Counts()
        self.keys = keys_of(secrets)
        windows = Windows(60.0, 10.0)
        runner = GrantRunner("p", b"id", "realm", self.source, windows, self.tags, self.counts, time.time)
        self.obtainer = Obtainer(
            {"p": runner},
            keys=self.keys,
            local=VerdictTier(max_entries),
            shared=None,
            leases=None,
            windows=windows,
            fraction=fraction,
        )

    def tags(self, question: Question, facts: Facts) -> tuple[bytes, ...]:
        key = self.keys.key(b"id", question.token)
        return (key, *self.keys.aliases(key), *self.keys.result_tags("realm", facts))


def grant(token: str = "alice.1", kind: Kind = "exchange", sub: str = "alice", audience: str = "a") -> GrantRequest:
    facts = Facts({"sub": sub}, time.time())
    return GrantRequest(GrantParameters(kind, "p", (("audience", audience),)), Question("p", Token(token)), facts)
