"""Where the requests of an access rule come to: our hosts and path patterns for its `match.url`.

A place has no request that the rule does not match, but for its holes: paths that our `**` matches and the rule does
not. What a place lacks is told in a note. A URL that cannot be carried over has a cover in the place of places:
patterns that hold its requests, for a route that refuses them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.config.pattern import parse_host
from gateway.migration.access_rules import Strategy, printable
from gateway.migration.url_parts import PartKind, UrlPart, split_url, variants
from gateway.migration.url_path import NotCarriedError, UrlPath, path_of

_ANY_LENGTH = frozenset({PartKind.ANYTHING, PartKind.SOMETHING, PartKind.SEGMENT})
_TAKES_PATHS = frozenset({PartKind.ANYTHING, PartKind.BELOW})
_PORT = re.compile(r":[0-9]*$")


@dataclass(frozen=True, slots=True)
class Place:
    """A host, `None` for any, and a path pattern, as our file has them."""

    host: str | None
    path: str


@dataclass(frozen=True, slots=True)
class RulePlaces:
    """`why` says why there are no places, or not all; `cover` has the requests without a place, if there can be any."""

    places: tuple[Place, ...] = ()
    holes: tuple[Place, ...] = ()
    cover: tuple[Place, ...] = ()
    why: str = ""
    notes: tuple[str, ...] = ()


def places_of(url: str, strategy: Strategy, *, widen: bool) -> RulePlaces:
    """The places of a `match.url`. `widen`: a segment in which only some texts may stand takes any."""
    try:
        found = [_variant(parts, widen=widen) for parts in variants(split_url(url), strategy)]
    except ValueError as error:
        return RulePlaces(cover=(Place(None, "/**"),), why=f"match.url: {error}")
    why = next((one.why for one in found if one.why and one.cover), "")
    if not why and not any(one.places for one in found):
        why = next((one.why for one in found if one.why), "match.url is empty")
        return RulePlaces(why=f"{why} (read as {strategy})")
    return RulePlaces(
        places=tuple(dict.fromkeys(place for one in found for place in one.places)),
        holes=tuple(dict.fromkeys(hole for one in found for hole in one.holes)),
        cover=tuple(dict.fromkeys(place for one in found for place in one.cover)),
        why=why,
        notes=tuple(dict.fromkeys(note for one in found for note in one.notes)),
    )


def _variant(parts: list[UrlPart], *, widen: bool) -> RulePlaces:
    """Of a URL whose alternatives are written out."""
    if [part.kind for part in parts] == [PartKind.ANYTHING]:
        return RulePlaces(places=(Place(None, "/**"),))
    behind = _behind_scheme(parts)
    if behind is None:
        return RulePlaces(cover=(Place(None, "/**"),), why="a pattern stands around the :// of match.url")
    if not behind:
        return RulePlaces(why="match.url does not begin with http:// or https://, so that no request matches it")
    host_parts, path_parts = _at_first_slash(behind)
    if not path_parts:
        return RulePlaces(why="match.url has no path, so that no request matches it")
    try:
        path = path_of(path_parts, widen=widen)
    except NotCarriedError as error:
        path, why = UrlPath(error.cover), error.why
    else:
        why = ""
    host, notes, wrong = _host(host_parts, widen=widen)
    place = Place(host, path.pattern)
    if why or wrong:
        return RulePlaces(cover=(place,), why=why or wrong)
    return RulePlaces((place,), tuple(Place(host, hole) for hole in path.holes), notes=(*notes, *path.notes))


def _behind_scheme(parts: list[UrlPart]) -> list[UrlPart] | None:
    """The parts behind `://`; none where neither http nor https stands before it, `None` where it is in a pattern."""
    for index, part in enumerate(parts):
        if part.kind is PartKind.LITERAL and "://" in part.text:
            scheme, _, rest = part.text.partition("://")
            known = scheme in {"http", "https"} if index == 0 else scheme == "" and parts[0].kind in _ANY_LENGTH
            return [*_literal(rest), *parts[index + 1 :]] if known else []
    return [] if all(part.kind is PartKind.LITERAL for part in parts) else None


def _at_first_slash(parts: list[UrlPart]) -> tuple[list[UrlPart], list[UrlPart]]:
    """The host's parts and the path's. A pattern at the end of a URL without a path takes the path in."""
    for index, part in enumerate(parts):
        if part.kind is PartKind.LITERAL and "/" in part.text:
            host, slash, path = part.text.partition("/")
            return [*parts[:index], *_literal(host)], [*_literal(slash + path), *parts[index + 1 :]]
    if not parts or parts[-1].kind not in _TAKES_PATHS:
        return parts, []
    everything = [UrlPart(PartKind.LITERAL, "/"), UrlPart(PartKind.ANYTHING, ".*")]
    return parts if len(parts) == 1 else parts[:-1], everything


def _host(parts: list[UrlPart], *, widen: bool) -> tuple[str | None, tuple[str, ...], str]:
    """Our host, notes about it, and what is wrong where there is none. Ports are not compared here."""
    shown = printable("".join(part.text if part.kind is PartKind.LITERAL else f"<{part.text}>" for part in parts))
    wrong = f"the host {shown} of match.url is neither one name nor all below one"
    head = parts[0].kind if parts else PartKind.OTHER
    rest = parts[1:] if head is not PartKind.LITERAL else parts
    text = _PORT.sub("", "".join(part.text for part in rest))
    if any(part.kind is not PartKind.LITERAL for part in rest):
        return None, (), wrong
    try:
        if head is PartKind.LITERAL:
            return str(parse_host(text)), (), ""
        if head in _ANY_LENGTH and not text:
            return None, (), ""
        if head in _ANY_LENGTH and text.startswith("."):
            return str(parse_host(f"*{text}")), (), ""
        if head is PartKind.NARROW and text.startswith(".") and widen:
            return str(parse_host(f"*{text}")), (f"<{parts[0].text}> in the host takes any names",), ""
    except ValueError as error:
        return None, (), f"the host {shown} of match.url: {error}"
    return None, (), wrong


def _literal(text: str) -> list[UrlPart]:
    return [UrlPart(PartKind.LITERAL, text)] if text else []
