"""The two ways that requests take through the gateway, and which of them a test is run on.

A test that asks for the fixture `lane` is run on both, but where it bears `lanes(FAST)` or `lanes(GENERAL)`: what
takes seconds or gigabytes, or a member of a class whose other members are run on both.
"""

from __future__ import annotations

from typing import Any

import pytest

GENERAL, FAST = LANES = ("general", "fast")
lanes = pytest.mark.lanes


def lane_keys(lane: str) -> dict[str, Any]:
    """The `server` keys of a gateway whose requests take `lane`, as far as they are ordinary ones."""
    return {"fast_path": lane == FAST}


def is_wanted(item: pytest.Item) -> bool:
    """Whether the test is to be run on the lane that it was made for."""
    lane = getattr(item, "callspec", None) and item.callspec.params.get("lane")  # type: ignore[attr-defined]
    mark = item.get_closest_marker("lanes")
    return lane is None or mark is None or lane in mark.args
