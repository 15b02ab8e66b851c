"""The mixed load on a gateway with something more to do: `Origin`, thousands of routes, tokens that only Redis knows,
credentials for the backend.

Each group has contestants of its own, which are measured within the same rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from enum import Enum

from benchmarks.comparison.loads import MIXED, Sample, sample, turned, warm_up
from benchmarks.comparison.peer import Contestant, Kind
from benchmarks.comparison.plan import Plan
from benchmarks.comparison.stage import Stage
from benchmarks.comparison.wrk import Load

FEW_ROUTES, MANY_ROUTES = 10, 10_000
_FAST = (Kind.FAST, Kind.COMPILED)


class Variation(Enum):
    """The value is its name in the tables."""

    PLAIN = "neither CORS nor Origin"
    NO_ORIGIN = "CORS route, without Origin"
    ORIGIN = "CORS route, with Origin"
    FEW = f"{FEW_ROUTES} routes"
    MANY = f"{MANY_ROUTES:,} routes"
    REDIS = "Redis hit"
    HEADERS = "backend gets identity headers"
    EXCHANGED = "and an exchanged token"
    SIGNED = "and a signed identity"


class Group(Enum):
    """The value is for the command line."""

    CORS = "origin"
    ROUTES = "routes"
    REDIS = "redis"
    CREDENTIALS = "credentials"


_CORS = (Variation.PLAIN, Variation.NO_ORIGIN, Variation.ORIGIN)
_CREDENTIALS = (Variation.HEADERS, Variation.EXCHANGED, Variation.SIGNED)
# By variation, then by kind: one sample for each round.
Varied = dict[Variation, dict[Kind, list[Sample]]]

_ORIGIN = "\r\nOrigin: https://app.example.com"
_LOADS: dict[Variation, Load] = {
    Variation.PLAIN: MIXED,
    Variation.NO_ORIGIN: replace(MIXED, target="/cors"),
    Variation.ORIGIN: replace(MIXED, target="/cors", lines=_ORIGIN),
    Variation.FEW: replace(MIXED, services=FEW_ROUTES),
    Variation.MANY: replace(MIXED, services=MANY_ROUTES),
    Variation.REDIS: MIXED,
    Variation.HEADERS: MIXED,
    Variation.EXCHANGED: replace(MIXED, target="/exchanged"),
    Variation.SIGNED: replace(MIXED, target="/signed"),
}


def measure(stage: Stage, group: Group, plan: Plan, tell: Callable[[str], None]) -> Varied:
    tell(f"mixed GET, {group.value}")
    found: Varied = {}
    with _contestants(stage, group) as pairs:
        for contestant in {id(one): one for _, one in pairs}.values():
            warm_up(contestant)
        for variation, contestant in pairs:
            found.setdefault(variation, {})[contestant.kind] = []
            if variation in {Variation.EXCHANGED, Variation.SIGNED}:
                warm_up(contestant, _LOADS[variation].target)
        for number in range(plan.rounds):
            for variation, contestant in turned(pairs, number):
                taken = sample(stage, contestant, _LOADS[variation], plan.round_s, number)
                found[variation][contestant.kind].append(taken)
    return found


@contextmanager
def _contestants(stage: Stage, group: Group) -> Iterator[list[tuple[Variation, Contestant]]]:
    with ExitStack() as stack:
        match group:
            case Group.CORS:
                given = stack.enter_context(stage.contestants((*_FAST, Kind.GENERAL), has_cors=True))
                yield [(variation, one) for one in given for variation in _CORS]
            case Group.ROUTES:
                few = stack.enter_context(stage.contestants(_FAST, routes=FEW_ROUTES))
                many = stack.enter_context(stage.contestants(_FAST, routes=MANY_ROUTES))
                yield [*((Variation.FEW, one) for one in few), *((Variation.MANY, one) for one in many)]
            case Group.REDIS:
                given = stack.enter_context(stage.contestants((*_FAST, Kind.GENERAL, Kind.APACHE), redis=True))
                yield [(Variation.REDIS, one) for one in given]
            case Group.CREDENTIALS:
                given = stack.enter_context(stage.contestants((*_FAST, Kind.GENERAL), has_credentials=True))
                yield [(variation, one) for one in given for variation in _CREDENTIALS]
