"""Who decides at each place: Oathkeeper refuses a request that two rules match, and so do the routes made here.

A rule's requests are split by place and method. Where two rules share requests, a route of its own for just these
refuses them: it is at least as specific as both, and so it is found first. Where our `**` matches a path that the rule
does not, a route for that path refuses it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product, starmap

from gateway.config.pattern import HostPattern, Segment, SegmentKind, parse_host, parse_path
from gateway.migration.carried_rule import CarriedRule
from gateway.migration.rule_places import Place

Host = HostPattern | str | None
_Key = tuple[str | None, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class SettledRoute:
    """A route to write. `carried` decides; where it is `None` the route refuses, and `why` says why."""

    place: Place
    methods: tuple[str, ...]
    carried: CarriedRule | None
    why: tuple[str, ...] = ()
    about: tuple[CarriedRule, ...] = ()
    beside: tuple[CarriedRule, ...] = ()  # the rules whose `**` has the place, where none is about it


@dataclass(slots=True)
class _Claims:
    """What the rules want at one place, by method."""

    place: Place
    carried: dict[str, list[CarriedRule]] = field(default_factory=lambda: defaultdict(list))
    refused: dict[str, list[CarriedRule]] = field(default_factory=lambda: defaultdict(list))
    holes: dict[str, list[CarriedRule]] = field(default_factory=lambda: defaultdict(list))


def settle(rules: Sequence[CarriedRule]) -> list[SettledRoute]:
    """The routes, those of the first rule first, each place and method once."""
    at: dict[_Key, _Claims] = {}

    def claims(place: Place) -> _Claims:
        return at.setdefault(_key(place), _Claims(place))

    for one in rules:
        for place in one.places.places:
            _claim(claims(place).refused if one.why else claims(place).carried, one)
        for place in one.places.cover:
            _claim(claims(place).refused, one)
    for one in rules:
        for hole in () if one.why else one.places.holes:
            _claim(claims(hole).holes, one)
    for place, methods, pair in _shared(rules):
        refused = claims(place).refused
        for method in methods:
            refused[method] += pair
    return [route for found in at.values() for route in _routes(found)]


def _claim(by_method: dict[str, list[CarriedRule]], one: CarriedRule) -> None:
    for method in one.methods:
        by_method[method].append(one)


def _routes(claims: _Claims) -> Iterator[SettledRoute]:
    """One route for the methods that have one outcome."""
    outcomes: dict[tuple[object, ...], tuple[list[str], SettledRoute]] = {}
    for method in dict.fromkeys([*claims.carried, *claims.refused, *claims.holes]):
        route = _outcome(claims, method)
        same = (route.carried and id(route.carried), route.why)
        outcomes.setdefault(same, ([], route))[0].append(method)
    for methods, route in outcomes.values():
        yield SettledRoute(route.place, tuple(methods), route.carried, route.why, route.about, route.beside)


def _outcome(claims: _Claims, method: str) -> SettledRoute:
    carried = _once(claims.carried.get(method, []))
    refused = _once(claims.refused.get(method, []))
    everybody = _once([*carried, *refused])
    if len(carried) == 1 and not refused:
        return SettledRoute(claims.place, (), carried[0], about=(carried[0],))
    if len(everybody) == 1:
        return SettledRoute(claims.place, (), None, everybody[0].why or everybody[0].partly, (everybody[0],))
    if everybody:
        names = " and ".join(one.rule.id for one in everybody)
        why = tuple(dict.fromkeys(reason for one in everybody for reason in one.why or one.partly))
        return SettledRoute(
            claims.place, (), None, (f"{names} match the same requests, which Oathkeeper answers with 500", *why),
            tuple(everybody),
        )  # fmt: skip
    holes = _once(claims.holes[method])
    names = " and ".join(one.rule.id for one in holes)
    why = (f"{names} does not match this path, and ** here would",)
    return SettledRoute(claims.place, (), None, why, beside=tuple(holes))


def _once(rules: Sequence[CarriedRule]) -> list[CarriedRule]:
    return list({id(one): one for one in rules}.values())


def _shared(rules: Sequence[CarriedRule]) -> Iterator[tuple[Place, list[str], list[CarriedRule]]]:
    """The places that two rules share without having them in common as they are written."""
    parts = [(one, _part(place)) for one in rules for place in one.places.places]
    for index, (one, part) in enumerate(parts):
        for other, other_part in parts[:index]:
            methods = [method for method in one.methods if method in other.methods]
            if other is one or not methods:
                continue
            place = _meeting(part, other_part)
            if place is not None and not _is_hole(place, one) and not _is_hole(place, other):
                yield place, methods, [other, one]


def doubts(one: CarriedRule, others: Sequence[CarriedRule]) -> Iterator[CarriedRule]:
    """Those that may match a request of `one` where they are not carried over, so that `one` decides here.

    A cover that lies within a place of `one` is no doubt: its route is found first, and refuses.
    """
    for other in others:
        pairs = product(one.places.places, other.places.cover)
        if other.rule is not one.rule and {*one.methods} & {*other.methods} and any(starmap(_decides_within, pairs)):
            yield other


def _decides_within(place: Place, cover: Place) -> bool:
    met = _meeting(_part(place), _part(cover))
    return met is not None and _key(met) != _key(cover)


def _key(place: Place) -> _Key:
    return place.host, parse_path(place.path).shape


def _part(place: Place) -> tuple[Host, Sequence[Segment]]:
    return place.host and parse_host(place.host), parse_path(place.path).segments


def _meeting(one: tuple[Host, Sequence[Segment]], other: tuple[Host, Sequence[Segment]]) -> Place | None:
    """The place of the requests that both have."""
    shared = _intersection(one[1], other[1]) if _hosts_meet(one[0], other[0]) else None
    return None if shared is None else Place(_narrower(one[0], other[0]), _text(shared))


def _is_hole(place: Place, one: CarriedRule) -> bool:
    """Is the place nothing but a path that our pattern has beside the rule's?"""
    return any(_covers(parse_path(hole.path).segments, parse_path(place.path).segments) for hole in one.places.holes)


def _covers(hole: Sequence[Segment], path: Sequence[Segment]) -> bool:
    return len(hole) == len(path) and all(
        wide == narrow or (wide.kind is SegmentKind.CAPTURE and narrow.kind is not SegmentKind.REST)
        for wide, narrow in zip(hole, path, strict=True)
    )


def _hosts_meet(one: Host, other: Host) -> bool:
    if not isinstance(one, HostPattern) or not isinstance(other, HostPattern):
        return True
    return one == other or _below(one, other) or _below(other, one)


def _below(host: HostPattern, other: HostPattern) -> bool:
    """Is `host` among those of the wildcard `other`?"""
    return other.wildcard and host.name.endswith(f".{other.name}")


def _narrower(one: Host, other: Host) -> str | None:
    if not isinstance(one, HostPattern) or not isinstance(other, HostPattern):
        found = one if isinstance(one, HostPattern) else other
        return str(found) if isinstance(found, HostPattern) else None
    return str(one if one == other or _below(one, other) else other)


def _intersection(one: Sequence[Segment], other: Sequence[Segment]) -> list[Segment] | None:
    """The pattern of the paths that both patterns match, or `None` where there are none."""
    shared: list[Segment] = []
    for index in range(max(len(one), len(other)) + 1):
        here, there = one[index : index + 1], other[index : index + 1]
        if here and here[0].kind is SegmentKind.REST:
            return [*shared, *other[index:]]
        if there and there[0].kind is SegmentKind.REST:
            return [*shared, *one[index:]]
        if not here and not there:
            return shared
        if not here or not there:
            return None
        met = _met(here[0], there[0])
        if met is None:
            return None
        shared.append(met)
    return shared


def _met(one: Segment, other: Segment) -> Segment | None:
    if one.kind is SegmentKind.CAPTURE:
        return other if other.text or other.kind is SegmentKind.CAPTURE else None
    if other.kind is SegmentKind.CAPTURE:
        return one if one.text else None
    return one if one == other else None


def _text(segments: Sequence[Segment]) -> str:
    marks = {SegmentKind.REST: "**"}
    named = [
        f"{{p{index + 1}}}" if one.kind is SegmentKind.CAPTURE else marks.get(one.kind, one.text)
        for index, one in enumerate(segments)
    ]
    return "/" + "/".join(named)
