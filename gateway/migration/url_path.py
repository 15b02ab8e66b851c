"""The path of an access rule's URL as a path pattern of ours, its holes, and what it lacks."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.pattern import parse_path
from gateway.migration.access_rules import printable
from gateway.migration.url_parts import PartKind, UrlPart

_LITERAL = PartKind.LITERAL
_LOOKAHEAD = "(?!"
_GLOBS = frozenset({"*", "**"})


@dataclass(frozen=True, slots=True)
class UrlPath:
    """`holes` are the paths that the pattern matches and the rule does not."""

    pattern: str
    holes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class NotCarriedError(Exception):
    """Says why a path cannot be carried over. `cover` is a pattern that has all of its requests."""

    def __init__(self, why: str, cover: str) -> None:
        self.why = why
        self.cover = cover
        super().__init__(why)


def path_of(parts: list[UrlPart], *, widen: bool) -> UrlPath:
    """The pattern for the parts, the first of which begins with a slash. Raises `NotCarriedError`."""
    segments = _segments(parts)
    done: list[str] = []
    notes: list[str] = []
    for segment in segments[:-1]:
        text, note = _middle(segment, done, widen=widen)
        done.append(text)
        notes += note
    path = _ended(segments[-1], done, notes, widen=widen)
    try:
        parse_path(path.pattern)
    except ValueError as error:
        raise NotCarriedError(f"match.url: {error}", "/**") from None
    return path


def _segments(parts: list[UrlPart]) -> list[list[UrlPart]]:
    """The parts of each segment, without what stands before the first slash. An empty list is an empty segment."""
    segments: list[list[UrlPart]] = [[]]
    for part in parts:
        if part.kind is not _LITERAL:
            segments[-1].append(part)
            continue
        first, *others = part.text.split("/")
        segments[-1] += [UrlPart(_LITERAL, first)] if first else []
        segments += [[UrlPart(_LITERAL, text)] if text else [] for text in others]
    return segments[1:]


def _middle(segment: list[UrlPart], done: list[str], *, widen: bool) -> tuple[str, list[str]]:
    """One segment of our pattern, with notes."""
    kinds = [part.kind for part in segment]
    name = f"{{p{len(done) + 1}}}"
    if all(kind is _LITERAL for kind in kinds):
        return "".join(part.text for part in segment), []
    pattern = next(printable(part.text) for part in segment if part.kind is not _LITERAL)
    if kinds == [PartKind.SEGMENT]:
        return name, []
    if kinds in ([PartKind.ANYTHING], [PartKind.SOMETHING]):
        return name, [f"<{pattern}> takes one segment; requests with more of them there are not carried over"]
    if kinds == [PartKind.NARROW] and widen:
        return name, [f"<{pattern}> takes any segment (--widen)"]
    raise NotCarriedError(_why(pattern, kinds), _below(done))


def _ended(segment: list[UrlPart], done: list[str], notes: list[str], *, widen: bool) -> UrlPath:
    """The whole pattern, with its last segment."""
    kinds = [part.kind for part in segment]
    start = segment[0].text if kinds[:1] == [_LITERAL] else ""
    base = "/" + "/".join([*done, start] if start else done) if done or start else ""
    below = f"{base}/**"
    match kinds:
        case [PartKind.ANYTHING]:
            return UrlPath(below, (base,) if base else (), tuple(notes))
        case [PartKind.SOMETHING]:
            return UrlPath(below, (base, f"{base}/") if base else ("/",), tuple(notes))
        case [PartKind.LITERAL, PartKind.BELOW]:
            return UrlPath(below, (), tuple(notes))
        case [PartKind.LITERAL, PartKind.ANYTHING | PartKind.SOMETHING]:
            note = f"requests whose path goes on behind {base} without a slash are not carried over"
            return UrlPath(below, (base,) if kinds[1] is PartKind.SOMETHING else (), (*notes, note))
    text, more = _middle(segment, done, widen=widen)
    return UrlPath("/" + "/".join([*done, text]), (), (*notes, *more))


def _why(pattern: str, kinds: list[PartKind]) -> str:
    if pattern.startswith(_LOOKAHEAD):
        return f"<{pattern}> looks ahead; here the most specific route wins: write the rule without it, as /path/<.*>"
    if pattern in _GLOBS or pattern.startswith("{"):  # among globs these are carried over
        return f"<{pattern}> is a glob, and the rules are read as regular expressions; use --matching-strategy glob"
    if kinds == [PartKind.NARROW]:
        return f"<{pattern}> admits only some texts, and a segment here takes any; write {{name}}, or use --widen"
    return f"<{pattern}> is no whole segment, and there are no regular expressions here; write path patterns"


def _below(done: list[str]) -> str:
    """Everything behind the segments that are clear."""
    path = "/" + "/".join([*done, "**"])
    try:
        parse_path(path)
    except ValueError:
        return "/**"
    return path
