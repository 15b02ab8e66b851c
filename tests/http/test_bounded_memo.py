import re
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import gateway
from gateway.http.bounded_memo import BoundedMemo

ROOT = Path(gateway.__file__).parent
BY_HAND = re.compile(r"if len\((\S+)\) >= \w+:\n\s+\1\.clear\(\)")
# Memories of the hot path, whose reading in compiled code wants an exact dict.
EXACT = {"compiled.py", "http/headers.py", "http/ordinary.py", "proxy/repeats.py"}


def test_it_is_emptied_before_it_would_hold_more():
    memo: BoundedMemo[int, str] = BoundedMemo(2)
    memo[1], memo[2] = "one", "two"
    assert memo == {1: "one", 2: "two"}
    memo[3] = "three"
    assert memo == {3: "three"}


def test_another_value_for_what_it_holds_empties_nothing():
    memo: BoundedMemo[int, str] = BoundedMemo(2)
    memo[1], memo[2] = "one", "two"
    memo[1] = "another"
    assert memo == {1: "another", 2: "two"}


def test_what_was_read_from_it_stays():
    """Whoever has found something goes on with it, whatever others write."""
    memo: BoundedMemo[int, Iterator[int]] = BoundedMemo(1)
    memo[1] = found = iter([1])
    memo[2] = iter([2])
    assert next(found) == 1


@given(st.integers(1, 20), st.lists(st.integers(0, 50)))
def test_it_never_holds_more_and_always_the_last(most, keys):
    memo: BoundedMemo[int, int] = BoundedMemo(most)
    for key in keys:
        memo[key] = key
        assert len(memo) <= most
        assert memo[key] == key


def test_no_module_bounds_a_memory_by_hand():
    by_hand = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if BY_HAND.search(path.read_text())}
    assert by_hand <= EXACT
    assert BY_HAND.search("if len(self.known) >= _KNOWN_MAX:\n    self.known.clear()")
