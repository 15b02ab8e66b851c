"""Panels of a Grafana dashboard as values, and the JSON that Grafana reads of them.

How this works: `rows.py` lists rows, figures and graphs in reading order. `placed` lays them out from left to right, 24
columns wide, and gives each its number. A query names by `@` what the variables at the head of the dashboard choose:

    gateway_x_total{@}        of the chosen jobs and instances
    gateway_x_total{@route}   of the chosen routes, too
    [@]                       over the span that fits the width of a graph
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

COLUMNS = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_CHOSEN = 'job=~"$job",instance=~"$instance"'
_YES_OR_NO = {"0": {"text": "NO", "color": "red"}, "1": {"text": "yes", "color": "green"}}
Steps = tuple[tuple[float | None, str], ...]  # from this value on, this colour; the first has no value
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A question. The panels up to the next row answer it."""

    title: str
    width = COLUMNS
    height = 1

    def json(self) -> Json:
        return {"title": self.title, "type": "row", "collapsed": False, "panels": [], "targets": []}


@dataclass(frozen=True, slots=True)
class Figure:
    """One value of now, in the colour of its step. With `answer` it is 0 or 1, and is shown as NO or yes."""

    title: str
    query: str
    legend: str = ""
    unit: str = "short"
    steps: Steps = ()
    answer: bool = False
    about: str = ""
    width = 4
    height = 4

    def json(self) -> Json:
        defaults: Json = {"unit": self.unit, "noValue": "-"}
        steps: Steps = ((None, "red"), (1, "green")) if self.answer else self.steps
        if steps:
            defaults |= {"thresholds": _thresholds(steps), "color": {"mode": "thresholds"}}
        if self.answer:
            defaults["mappings"] = [{"type": "value", "options": _YES_OR_NO}]
        return {
            "title": self.title,
            "description": self.about,
            "type": "stat",
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "targets": [_target("A", self.query, self.legend) | {"instant": True}],
            "options": {
                "colorMode": "background" if steps else "none",
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            },
        }


@dataclass(frozen=True, slots=True)
class Graph:
    """Lines over time, from zero: by their names, which take labels in double braces, the query of each.

    Lines whose names match `red` are red. `steps` are drawn across.
    """

    title: str
    lines: Mapping[str, str]
    unit: str = "short"
    most: float | None = None
    steps: Steps = ()
    red: str = ""
    about: str = ""
    width: int = 12
    height = 8

    def json(self) -> Json:
        defaults: Json = {"unit": self.unit, "min": 0}
        if self.most is not None:
            defaults["max"] = self.most
        if self.steps:
            defaults |= {"thresholds": _thresholds(self.steps), "custom": {"thresholdsStyle": {"mode": "line"}}}
        return {
            "title": self.title,
            "description": self.about,
            "type": "timeseries",
            "fieldConfig": {"defaults": defaults, "overrides": [_in_red(self.red)] if self.red else []},
            "targets": [
                _target(letter, query, legend)
                for letter, (legend, query) in zip(ascii_uppercase, self.lines.items(), strict=False)
            ],
            "options": {
                "legend": {"displayMode": "list", "placement": "bottom"},
                "tooltip": {"mode": "multi", "sort": "desc"},
            },
        }


def quantile(part: float, metric: str, by: str = "", chosen: str = "@") -> str:
    """The query for what `part` of a histogram's samples stay below, for each value of the label `by`."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({part}, sum by ({labels}) (rate({metric}_bucket{{{chosen}}}[@])))"


def expanded(query: str) -> str:
    """A query as Prometheus and Grafana read it."""
    written = query.replace("[@]", "[$__rate_interval]").replace("@route", f'{_CHOSEN},route=~"$route"')
    return written.replace("@", _CHOSEN)


def placed(panels: Sequence[Row | Figure | Graph]) -> Iterator[Json]:
    """Each panel with its place: beside the one before it where there is room, else below the line."""
    x = y = line_height = 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > COLUMNS:
            x, y, line_height = 0, y + line_height, 0
        place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
        yield {"id": number, "datasource": SOURCE, "gridPos": place, **panel.json()}
        x, line_height = x + panel.width, max(line_height, panel.height)


def _target(letter: str, query: str, legend: str) -> Json:
    return {"refId": letter, "datasource": SOURCE, "expr": expanded(query), "legendFormat": legend}


def _thresholds(steps: Steps) -> Json:
    return {"mode": "absolute", "steps": [{"color": colour, "value": value} for value, colour in steps]}


def _in_red(pattern: str) -> Json:
    red = {"id": "color", "value": {"mode": "fixed", "fixedColor": "red"}}
    return {"matcher": {"id": "byRegexp", "options": pattern}, "properties": [red]}
