import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import gateway
from gateway.http.bounded_memo import BoundedMemo

ROOT = Path(gateway.__file__).parent
BY_HAND = re.compile(r"if len\((\S+)\) >= \w+:\n\s+\1\.clear\(\)")


def test_it_is_emptied_before_it_would_hold_more():
    memo: BoundedMemo[int, str] = BoundedMemo(2)
    memo.keep(1, "one")
    memo.keep(2, "two")
    assert memo.known == {1: "one", 2: "two"}
    memo.keep(3, "three")
    assert memo.known == {3: "three"}


def test_another_value_for_what_it_holds_empties_nothing():
    memo: BoundedMemo[int, str] = BoundedMemo(2)
    memo.keep(1, "one")
    memo.keep(2, "two")
    memo.keep(1, "another")
    assert memo.known == {1: "another", 2: "two"}


def test_what_is_read_is_the_same_dict_for_ever():
    """Modules of the hot path hold on to it."""
    memo: BoundedMemo[int, int] = BoundedMemo(1)
    known = memo.known
    memo.keep(1, 1)
    memo.keep(2, 2)
    assert known == {2: 2}
    assert type(known) is dict


@given(st.integers(1, 20), st.lists(st.integers(0, 50)))
def test_it_never_holds_more_and_always_the_last(most, keys):
    memo: BoundedMemo[int, int] = BoundedMemo(most)
    for key in keys:
        memo.keep(key, key)
        assert len(memo.known) <= most
        assert memo.known[key] == key


def test_no_module_bounds_a_memory_by_hand():
    by_hand = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if BY_HAND.search(path.read_text())}
    assert by_hand == set()
    assert BY_HAND.search("if len(self.known) >= _KNOWN_MAX:\n    self.known.clear()")
