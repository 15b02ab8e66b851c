"""Tables in Markdown, and figures with their spread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.comparison.arithmetic import Spread

ABSENT = "-"
_LARGE = 100  # from here on nobody wants decimals


def table(heads: Sequence[str], sides: str, rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """`sides` is one letter for each column, `l` or `r`."""
    yield _row(heads)
    yield _row([{"l": "---", "r": "---:"}[side] for side in sides])
    for row in rows:
        yield _row(row)


def text(found: Spread | None, digits: int) -> str:
    """The median, and in brackets lowest and highest where there are others."""
    if found is None:
        return ABSENT
    middle, low, high = (_figure(one, digits) for one in (found.median, found.low, found.high))
    return middle if low == high else f"{middle} ({low}…{high})"


def _figure(value: float, digits: int) -> str:
    return f"{value:,.{digits if abs(value) < _LARGE else 0}f}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
