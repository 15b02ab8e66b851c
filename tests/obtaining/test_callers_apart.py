"""Whatever happens in whatever order: each caller gets a token made for him, and none from before his eviction."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from support.obtaining_stage import Said, Stage

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Indeterminate
from gateway.authn.question import Question
from gateway.condition import Met
from gateway.conditions.grant_conditions import Credential
from gateway.grants.grant_request import GrantParameters, GrantRequest
from gateway.grants.obtained import Denied, Granted
from gateway.http.refusal import Refusal
from gateway.introspection.tag_purge import purge_of
from gateway.obtaining.client_tokens import ClientTokens
from gateway.obtaining.credential_port import CredentialPort

CALLERS = ("alice", "bob", "carol")
LIVES_S = {"grant": 300.0, "grant briefly": 0.02}
STEPS = st.one_of(
    st.tuples(st.sampled_from(["ask", "ask", "ask", "evict", "leave"]), st.sampled_from(CALLERS)),
    st.tuples(st.sampled_from([*LIVES_S, "refuse", "fail", "stall", "go on", "let time pass"]), st.just("")),
)


@dataclass
class Scene:
    """`evicted` counts the evictions of each caller. A token says for whom it was made, and after how many of them."""

    stage: Stage = field(default_factory=lambda: Stage(fraction=0.5))
    mood: str = "grant"
    evicted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CALLERS, 0))
    facts: dict[str, Facts] = field(default_factory=lambda: {name: new_facts(name) for name in CALLERS})
    asked: list[tuple[str, int, asyncio.Task[Refusal | Met]]] = field(default_factory=list)
    serials: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.stage.source.verdict = self.says
        self.parameters = GrantParameters("exchange", "p", (("audience", "a"),))
        self.port = CredentialPort(self.stage.obtainer, ClientTokens(self.stage.obtainer))

    def says(self, grant: GrantRequest) -> Said:
        assert grant.caller is not None
        name = grant.caller.value
        if self.mood == "refuse":
            return Denied("no")
        if self.mood == "fail":
            return Indeterminate("the token endpoint is away")
        return Granted(f"{name}.{self.evicted[name]}.{next(self.serials)}", LIVES_S[self.mood])

    async def settle(self, name: str) -> Refusal | Met:
        condition = Credential(self.parameters.grant(question(name), self.facts[name]), "192.0.2.1")
        known = self.port.known(condition)
        return await self.port.find(condition) if known is None else known

    async def step(self, what: str, name: str) -> None:
        gate = self.stage.source.gate
        match what:
            case "ask":
                task = asyncio.get_running_loop().create_task(self.settle(name))
                self.asked.append((name, self.evicted[name], task))
            case "leave":
                for caller, _, task in self.asked:
                    if caller == name:
                        task.cancel()
            case "evict":
                tags = self.stage.tags(question(name), self.facts[name])
                self.evicted[name] += 1
                self.facts[name] = new_facts(name)
                self.stage.obtainer.forget(purge_of(tags[self.evicted[name] % 2 : 2]))
            case "stall":
                gate.clear()
            case "go on":
                gate.set()
            case "let time pass":
                await asyncio.sleep(0.03)
            case _:
                self.mood = what
        await asyncio.sleep(0)


def new_facts(name: str) -> Facts:
    return Facts({"sub": name}, time.time())


def question(name: str) -> Question:
    return Question("p", Token(name))


@given(st.lists(STEPS, max_size=40))
@settings(deadline=None)
def test_no_caller_gets_anothers_token_or_one_from_before_an_eviction(steps: list[tuple[str, str]]) -> None:
    asyncio.run(played(steps))


async def played(steps: list[tuple[str, str]]) -> None:
    scene = Scene()
    for what, name in steps:
        await scene.step(what, name)
    scene.stage.source.gate.set()
    for name, evicted, task in scene.asked:
        try:
            outcome = await task
        except asyncio.CancelledError:
            continue
        if isinstance(outcome, Met):
            made_for, after, _ = str(outcome.authorization).removeprefix("Bearer ").split(".")
            assert made_for == name
            assert int(after) >= evicted
    await scene.stage.obtainer.close(1.0)
