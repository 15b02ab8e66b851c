"""What only Python's collector of cycles would free."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def uncollected() -> Iterator[list[Any]]:
    """Meanwhile nothing is collected; afterwards the list has what only the collector would have freed."""
    gc.collect()
    gc.disable()
    left: list[Any] = []
    try:
        yield left
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left += gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def ours(objects: list[Any]) -> list[Any]:
    """Those of the gateway's own classes."""
    return [one for one in objects if type(one).__module__.partition(".")[0] == "gateway"]
