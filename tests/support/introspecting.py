"""Stand-ins at the ports of authentication: a provider that answers as told, clocks to be set, a counting meter."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive, Indeterminate, IntrospectionResult
from gateway.introspection.joiners import Joiners
from gateway.introspection.ports import TokenValidator


@dataclass
class Clock:
    """Call it for the time. `advance` moves it."""

    now_s: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass
class CountingMeter:
    introspections: Counter[tuple[str, str]] = field(default_factory=Counter)
    lookups: Counter[tuple[str, str]] = field(default_factory=Counter)
    leases: Counter[str] = field(default_factory=Counter)
    refreshes: Counter[str] = field(default_factory=Counter)

    def introspected(self, provider: str, outcome: str, duration_s: float) -> None:
        assert duration_s >= 0
        self.introspections[provider, outcome] += 1

    def found_at_once(self) -> None:
        self.looked_up("local", "hit")

    def looked_up(self, tier: str, result: str) -> None:
        self.lookups[tier, result] += 1

    def leased(self, outcome: str) -> None:
        self.leases[outcome] += 1

    def refreshed(self, outcome: str) -> None:
        self.refreshes[outcome] += 1


@dataclass
class ScriptedIntrospector:
    """Active with `sub` from the token's first part (`alice.1` is alice's), unless told otherwise.

    While `gate` is set to an event nobody gets an answer before it is set.
    """

    clock: Clock
    name: str = "keycloak"
    identity: bytes = b"https://sso.example.com introspect gateway"
    max_duration_s: float = 2.0
    realm: str = "https://sso.example.com"
    breaker_is_open: bool = False
    validator: TokenValidator | None = None
    exp_in_s: float | None = None
    result: IntrospectionResult | None = None
    gate: asyncio.Event | None = None
    asked: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    crowded_out: frozenset[str] = frozenset()  # addresses for which its queue has no place

    async def introspect(self, token: Token, address: str = "", joiners: Joiners | None = None) -> IntrospectionResult:
        self.asked.append(token.value)
        self.addresses.append(address)
        asked_at = self.clock()
        result, serial = self.result, len(self.asked)
        if self.gate is not None:
            await self.gate.wait()
        else:
            await asyncio.sleep(0)
        if address in self.crowded_out:
            return Indeterminate("too many wait", 1.0, was_asked=False, is_queue_full=True)
        if result is not None:
            return result
        if token.value.startswith("junk"):
            return Inactive(asked_at)
        exp = None if self.exp_in_s is None else asked_at + self.exp_in_s
        claims = {"active": True, "sub": token.value.partition(".")[0], "client_id": "app", "serial": serial}
        return Facts(claims if exp is None else {**claims, "exp": exp}, asked_at, exp)


UNCLEAR = Indeterminate("the provider did not answer in time")
