"""The drawing of docs/caching.md, in small: what its curves say is what the gateway's code does."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from benchmarks.caching_drawing import Panel, draw
from benchmarks.caching_run import EVENT_S, WINDOW_S, Figures, Kind, simulate

DRAWING = Path(__file__).parents[2] / "docs" / "caching.svg"
EACH_S = 2.0


def simulated(kind: Kind, processes: int) -> Figures:
    return simulate(kind, processes, tokens=5, each_s=EACH_S, seed=3)


@pytest.mark.parametrize("processes", [1, 4])
def test_a_cache_in_each_process_asks_once_in_each_of_them(processes: int) -> None:
    calls = simulated(Kind("apart"), processes).calls
    assert 0.8 * processes < calls <= processes


def test_a_fleet_asks_once_however_large_it_is() -> None:
    one, many = (simulated(Kind("shared", shared=True), processes) for processes in (1, 8))
    assert 0.9 < one.calls <= 1
    assert 0.9 < many.calls <= 1
    assert abs(many.stale_s - one.stale_s) <= 2 * EACH_S
    assert many.stale_s <= WINDOW_S


def test_asking_ahead_costs_what_it_is_said_to_cost() -> None:
    assert 1.1 < simulated(Kind("ahead", shared=True, ahead=0.8), 8).calls <= 1.25


def test_events_end_a_token_at_once() -> None:
    assert simulated(Kind("events", shared=True, events=True), 8).stale_s <= EVENT_S


def test_the_drawing_is_one_and_has_all_curves() -> None:
    drawn = draw((1, 2), (Panel("a", {"x": (1, 2)}, (1, 2), True), Panel("b <", {"x": (0, 5)}, (0, 5), False)), "n")
    for text, count in ((drawn, 2 + 1), (DRAWING.read_text(), 2 * 4 + 4)):
        root = ET.fromstring(text)
        assert len(root.findall("{http://www.w3.org/2000/svg}polyline")) == count
