"""A simulated fleet: the gateway's own code for remembering and asking, on a clock that jumps from request to request.

Each token is used now here, now there. Some time in the middle the provider revokes it. What is counted are the
provider's calls before that, and for how long afterwards a request with the token still passed somewhere.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from support.introspecting import Clock, CountingMeter

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive, IntrospectionResult
from gateway.cache.key import HmacKeys
from gateway.cache.local import LocalCache
from gateway.introspection.authenticator import Authenticator, Question
from gateway.introspection.joiners import Joiners
from gateway.introspection.lease_port import LeaseState
from gateway.introspection.lifetime import Lifetimes
from gateway.introspection.ports import Absent, Recalled
from gateway.introspection.refresh import Ahead
from gateway.introspection.tag_purge import TagPurge

WINDOW_S = 60.0
WARM_WINDOWS, COUNTED_WINDOWS = 1, 10
# What an event takes through the fleet: a tenth of what is promised.
EVENT_S = 0.1


@dataclass(frozen=True)
class Kind:
    """A way to remember: `shared` by the fleet or by each process for itself, `ahead` of the end, told by `events`."""

    name: str
    shared: bool = False
    ahead: float | None = None
    events: bool = False


@dataclass(frozen=True)
class Figures:
    """Calls for one token in one window, and seconds from a revocation to the last request that passed, on average."""

    calls: float
    stale_s: float


class _Provider:
    name = "p"
    identity = b"provider"
    max_duration_s = 2.0
    breaker_is_open = False
    validator = None
    realm = "https://sso.example.com"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.asked = 0
        self.revoked: set[str] = set()

    async def introspect(self, token: Token, address: str = "", joiners: Joiners | None = None) -> IntrospectionResult:
        self.asked += 1
        now = self._clock()
        return Inactive(now) if token.value in self.revoked else Facts({"sub": token.value}, now)


@dataclass
class _Shelf:
    """What Redis is to the fleet, on the simulation's clock: entries that end, and leases that nobody waits for."""

    clock: Clock
    timeout_s: float = 0.05
    held: dict[bytes, tuple[Recalled, float]] = field(default_factory=dict)

    def log_position(self) -> bytes:
        return b"known"

    async def get(self, key: bytes, realm: str) -> Recalled | Absent:
        recalled, put_at_s = self.held.get(key, (None, 0.0))
        passed_s = self.clock() - put_at_s
        if recalled is None or passed_s >= recalled.left_s:
            return Absent.MISS
        return Recalled(recalled.result, recalled.age_s + passed_s, recalled.left_s - passed_s, recalled.fence)

    async def put(self, key: bytes, recalled: Recalled, log_position: bytes) -> None:
        self.held[key] = (recalled, self.clock())

    def hide(self, purge: TagPurge) -> None:
        for key in [key for key, (recalled, _) in self.held.items() if purge.covers(_tags(key, recalled))]:
            del self.held[key]

    async def acquire(self, key: bytes, realm: str, fence: bytes, length_s: float) -> LeaseState:
        return LeaseState(fence, length_s, await self.get(key, realm))

    async def settle(self, key: bytes, recalled: Recalled, log_position: bytes, fence: bytes) -> bool:
        await self.put(key, recalled, log_position)
        return True

    async def release(self, key: bytes, fence: bytes) -> None:
        pass

    @contextmanager
    def signal(self, key: bytes) -> Iterator[None]:
        yield


_KEYS = HmacKeys(b"secret of the simulation")


def _tags(key: bytes, recalled: Recalled) -> tuple[bytes, ...]:
    return (key, *_KEYS.result_tags(_Provider.realm, recalled.result))


def simulate(kind: Kind, processes: int, *, tokens: int, each_s: float, seed: int) -> Figures:
    """`tokens` tokens, each used every `each_s` seconds on average, by any of `processes` processes."""
    return asyncio.run(_simulate(kind, processes, tokens, each_s, random.Random(seed)))


async def _simulate(kind: Kind, processes: int, tokens: int, each_s: float, dice: random.Random) -> Figures:
    clock = Clock(0.0)
    provider = _Provider(clock)
    shelf = _Shelf(clock) if kind.shared else None
    fleet = [_process(kind, provider, shelf, clock) for _ in range(processes)]
    counted_from_s = WARM_WINDOWS * WINDOW_S
    revoked_from_s = counted_from_s + COUNTED_WINDOWS * WINDOW_S
    names = [f"user{number}" for number in range(tokens)]
    revoked_at_s = {name: revoked_from_s + dice.uniform(0, WINDOW_S) for name in names}
    passed_at_s = dict(revoked_at_s)
    coming = [(dice.uniform(0, each_s), "use", name) for name in names]
    coming += [(at_s, "revoke", name) for name, at_s in revoked_at_s.items()]
    coming += [(at_s + EVENT_S, "event", name) for name, at_s in revoked_at_s.items() if kind.events]
    heapq.heapify(coming)
    asked_before, asked_by_then = 0, None
    while coming:
        now_s, what, name = heapq.heappop(coming)
        if clock.now_s < counted_from_s <= now_s:
            asked_before = provider.asked
        if asked_by_then is None and now_s >= revoked_from_s:
            asked_by_then = provider.asked
        clock.now_s = now_s
        match what:
            case "revoke":
                provider.revoked.add(name)
            case "event":
                order = fleet[0].purge_of(sub=name)
                for each in fleet:
                    each.forget(order)
            case _:
                if await _passes(dice.choice(fleet), name):
                    passed_at_s[name] = max(now_s, passed_at_s[name])
                if now_s < revoked_at_s[name] + 1.2 * WINDOW_S:
                    heapq.heappush(coming, (now_s + dice.expovariate(1 / each_s), "use", name))
    assert asked_by_then is not None
    stale_s = sum(passed_at_s[name] - revoked_at_s[name] for name in names) / tokens
    return Figures((asked_by_then - asked_before) / tokens / COUNTED_WINDOWS, stale_s)


async def _passes(process: Authenticator, name: str) -> bool:
    question = Question("p", Token(name))
    found = process.cached(question) or await process.look_up(question)
    await asyncio.gather(*process._flights._tasks)  # what is asked for ahead is there before the next request
    return isinstance(found.result, Facts)


def _process(kind: Kind, provider: _Provider, shelf: _Shelf | None, clock: Clock) -> Authenticator:
    return Authenticator(
        {"p": provider},
        keys=_KEYS,
        local=LocalCache(10_000),
        shared=shelf,
        meter=CountingMeter(),
        lifetimes=Lifetimes(WINDOW_S, 10.0),
        clock=clock,
        monotonic=clock,
        leases=shelf,
        ahead=None if kind.ahead is None else Ahead(kind.ahead, WINDOW_S, 64),
    )
