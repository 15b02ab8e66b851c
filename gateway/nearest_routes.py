"""Finds the routes that a request almost matched, and what differs: for `explain` of a 404 or a 405.

Pure. It looks at every route, so it serves only an operator's question and never a client's request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from gateway.config.pattern import HostPattern, PathPattern, SegmentKind
from gateway.config.route_model import Route

_NEAREST_MAX = 3
_TOO_FAR = 0.75
_EQUAL_SEGMENT_GAINS = 0.3
_HOST_COSTS = 0.6
_METHOD_COSTS = 0.1
_SHOWN_MAX_CHARS = 40


def nearest_routes(routes: Iterable[Route], host: str, segments: Sequence[str], method: str) -> list[str]:
    """At most three routes, the nearest first, each with the differences in words."""
    near = []
    for place, route in enumerate(routes):
        cost, words = _distance(route, host, segments, method)
        if words and cost < _TOO_FAR:
            near.append((cost, place, f"{route.name} {', '.join(words)}"))
    return [words for _, _, words in sorted(near)[:_NEAREST_MAX]]


def _distance(route: Route, host: str, segments: Sequence[str], method: str) -> tuple[float, list[str]]:
    """How far the request is from the route, and the reasons; none where the route matches and another is better."""
    cost, words = _path_distance(route.match.path, segments)
    if route.match.host is not None and not _takes_host(route.match.host, host):
        cost += _HOST_COSTS
        words.append(f"is for host {route.match.host}, not {_shown(host)}")
    methods = route.match.methods
    if methods is not None and method not in methods and not (method == "HEAD" and "GET" in methods):
        cost += _METHOD_COSTS
        words.append(f"takes {', '.join(methods)} only")
    return cost, words


def _path_distance(pattern: PathPattern, segments: Sequence[str]) -> tuple[float, list[str]]:
    cost = 0.0
    words: list[str] = []
    wanted = pattern.segments[:-1] if pattern.has_rest else pattern.segments
    for index, segment in enumerate(wanted[: len(segments)]):
        text = segments[index]
        if segment.kind is SegmentKind.LITERAL and segment.text != text:
            cost += 1.0 - SequenceMatcher(None, segment.text.lower(), text.lower()).ratio() / 2
            words.append(f"has {_shown(segment.text)} as segment {index + 1}, not {_shown(text)}")
        elif segment.kind is SegmentKind.CAPTURE and not text:
            cost += 1.0
            words.append(f"wants segment {index + 1}, which is empty")
        elif segment.kind is SegmentKind.LITERAL:
            cost -= _EQUAL_SEGMENT_GAINS
    missing = len(wanted) - len(segments)
    if missing > 0:
        cost += 0.5 * missing
        words.append(f"goes on after segment {len(segments)}: its path is {pattern.text}")
    elif missing < 0 and not pattern.has_rest:
        cost += 0.5 * -missing
        words.append(f"ends after segment {len(wanted)}: its path is {pattern.text}")
    return cost, words


def _takes_host(pattern: HostPattern, host: str) -> bool:
    return host.endswith(f".{pattern.name}") if pattern.wildcard else host == pattern.name


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_MAX_CHARS else text[: _SHOWN_MAX_CHARS - 1] + "…")
