import sys
from collections import OrderedDict
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.facts import Facts, Inactive
from gateway.cache import local
from gateway.cache.local import LocalCache
from gateway.introspection.ports import CacheEntry
from gateway.introspection.tag_purge import purge_everything, purge_of


def good(until_s: float = 60, *tags: bytes) -> CacheEntry:
    return CacheEntry(Facts({}, 0), tags, 0, until_s)


def junk(until_s: float = 10) -> CacheEntry:
    return CacheEntry(Inactive(0), (), 0, until_s)


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def packing(max_entries: int, in_use: int = 2) -> LocalCache:
    """A cache that packs all but a few of its entries, as one of many thousands does."""
    cache = LocalCache(max_entries)
    cache._active._max_in_use = in_use
    return cache


def known(number: int, until_s: float = 60) -> CacheEntry:
    return CacheEntry(
        Facts({"sub": f"user-{number}", "roles": ["a", number]}, 5.0, 70, None, frozenset("ab")), (), 0, until_s
    )


def test_an_entry_is_found_until_its_time_and_not_at_it() -> None:
    cache, entry = LocalCache(10), good(60)
    cache.put(b"k", entry, 0)
    assert cache.get(b"k", 59.9) is entry
    assert cache.get(b"k", 60) is None
    assert len(cache) == 0


def test_the_least_recently_used_goes_first() -> None:
    cache = LocalCache(2)
    cache.put(b"a", good(), 0)
    cache.put(b"b", good(), 0)
    cache.get(b"a", 1)
    cache.put(b"c", good(), 2)
    assert [name for name in (b"a", b"b", b"c") if cache.get(name, 3)] == [b"a", b"c"]


def test_junk_pushes_out_no_good_entry_and_takes_a_tenth_of_the_room() -> None:
    cache = LocalCache(100)
    for number in range(100):
        cache.put(key(number), good(), 0)
    for number in range(1000, 21_000):
        cache.put(key(number), junk(), 0)
    assert all(cache.get(key(number), 1) for number in range(100))
    assert len(cache) == 110


def test_there_is_room_for_one_inactive_answer_at_least() -> None:
    cache = LocalCache(1)
    cache.put(b"a", junk(), 0)
    assert cache.get(b"a", 1) is not None


def test_a_token_is_either_active_or_inactive() -> None:
    cache = LocalCache(10)
    cache.put(b"k", good(), 0)
    cache.put(b"k", junk(), 0)
    found = cache.get(b"k", 1)
    assert found is not None
    assert isinstance(found.result, Inactive)
    cache.put(b"k", good(), 0)
    assert len(cache) == 1


def test_what_has_expired_is_reclaimed_while_new_entries_come() -> None:
    cache = LocalCache(10_000)
    for number in range(5_000):
        cache.put(key(number), good(until_s=number / 100 + 1), number / 100)
    assert len(cache) < 250  # of which 100 are good


def test_a_purge_drops_what_bears_the_mark() -> None:
    cache = LocalCache(10)
    cache.put(b"1", good(60, b"alice"), 0)
    cache.put(b"2", good(60, b"alice"), 0)
    cache.put(b"3", good(60, b"bob"), 0)
    cache.put(b"4", junk(), 0)
    assert cache.drop_tagged(purge_of([b"alice"]), 1) == 2
    assert cache.drop_tagged(purge_of([b"4", b"unknown"]), 1) == 1
    assert cache.get(b"3", 1) is not None
    assert cache.drop_tagged(purge_everything(), 1) == 1
    assert len(cache) == 0


def test_one_entry_under_two_marks_counts_once() -> None:
    cache = LocalCache(10)
    cache.put(b"1", good(60, b"alice", b"session"), 0)
    assert cache.drop_tagged(purge_of([b"alice", b"session", b"1"]), 1) == 1


def test_a_small_cache_packs_nothing() -> None:
    cache = LocalCache(1000)
    for number in range(1000):
        cache.put(key(number), known(number), 0)
    assert not cache._active._packed


def test_of_a_large_cache_one_in_thirty_two_is_ready_to_use() -> None:
    assert LocalCache(100_000)._active._max_in_use == 3_125


def test_what_was_packed_is_found_as_it_was_and_is_in_use_again() -> None:
    cache = packing(100)
    entries = [known(number) for number in range(10)]
    for number, entry in enumerate(entries):
        cache.put(key(number), entry, 0)
    assert list(cache._active._packed) == [key(number) for number in range(8)]
    found = cache.get(key(0), 1)
    assert found == entries[0]
    assert cache.get(key(0), 1) is found
    assert list(cache._active._packed) == [key(number) for number in range(1, 9)]


def test_what_was_packed_once_is_not_packed_again() -> None:
    cache = packing(100, in_use=1)
    for number in range(3):
        cache.put(key(number), known(number), 0)
    packed = cache._active._packed[key(0)]
    cache.get(key(0), 1)
    cache.get(key(1), 1)
    assert cache._active._packed[key(0)] is packed


def test_what_is_packed_expires_and_is_reclaimed_too() -> None:
    cache = packing(100)
    for number in range(50):
        cache.put(key(number), known(number, until_s=10), 0)
    assert cache.get(key(0), 9.9) is not None
    assert cache.get(key(1), 10) is None
    for number in range(50, 75):
        cache.put(key(number), known(number, until_s=30), 20)
    assert len(cache) == 25


def test_a_purge_reaches_what_is_packed() -> None:
    cache = packing(100)
    for number in range(10):
        cache.put(key(number), good(60, b"alice" if number % 2 else b"bob"), 0)
    assert cache.drop_tagged(purge_of([b"alice"]), 1) == 5
    assert cache.get(key(1), 1) is None
    assert cache.get(key(0), 1) is not None
    assert cache.drop_tagged(purge_everything(), 1) == 5
    assert len(cache) == 0
    assert not cache._active._tagged


STEPS = st.lists(st.tuples(st.sampled_from(["get", "put", "drop"]), st.integers(0, 9)), max_size=60)


@given(STEPS, st.integers(1, 4))
def test_packed_or_not_the_least_recently_used_goes_first(steps: list[tuple[str, int]], in_use: int) -> None:
    cache, expected = packing(6, in_use), OrderedDict[int, CacheEntry]()
    for step, number in steps:
        if step == "put":
            expected.pop(number, None)
            if len(expected) == 6:
                expected.popitem(last=False)
            expected[number] = known(number)
            cache.put(key(number), known(number), 0)
        elif step == "drop":
            assert cache.drop_tagged(purge_of([key(number)]), 0) == (expected.pop(number, None) is not None)
        else:
            assert cache.get(key(number), 0) == expected.get(number)
            if number in expected:
                expected.move_to_end(number)
        assert [*cache._active._packed, *cache._active._in_use] == [key(each) for each in expected]


@given(st.lists(st.tuples(st.integers(0, 8), st.sampled_from([(), (b"x",), (b"y",), (b"x", b"y")]), st.booleans())))
def test_a_purge_finds_all_and_only_what_is_tagged(steps: list[tuple[int, tuple[bytes, ...], bool]]) -> None:
    with patch.object(local, "_KEYS_PER_TAG_MAX", 3):  # so that both ways are gone
        purge_and_compare(steps)


def purge_and_compare(steps: list[tuple[int, tuple[bytes, ...], bool]]) -> None:
    cache, expected = packing(100), {}
    for number, tags, drop in steps:
        if drop:
            cache.drop_tagged(purge_of([key(number)]), 0)
            expected.pop(number, None)
        else:
            cache.put(key(number), good(60, *tags), 0)
            expected[number] = tags
    assert cache.drop_tagged(purge_of([b"x"]), 0) == sum(b"x" in tags for tags in expected.values())
    assert cache.drop_tagged(purge_everything(), 0) == sum(b"x" not in tags for tags in expected.values())
    assert not cache._active._tagged


def test_a_tag_that_thousands_bear_is_found_without_an_index() -> None:
    cache = packing(10_000, in_use=10)
    for number in range(3_000):
        cache.put(key(number), good(60, b"realm", b"even" if number % 2 == 0 else b"odd"), 0)
    cache.put(key(3_000), good(60, b"other"), 0)
    assert not cache._active._tagged._several.keys() & {b"realm"}
    assert cache.drop_tagged(purge_of([b"even"]), 0) == 1_500
    assert cache.drop_tagged(purge_of([b"realm"]), 0) == 1_500
    assert len(cache) == 1
    assert cache.drop_tagged(purge_everything(), 0) == 1
    assert not cache._active._tagged


def test_ten_thousand_tokens_of_one_sub_cost_no_more_each_than_of_many() -> None:
    cache = LocalCache(20_000)
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    for number in range(10_000):
        cache.put(key(number), good(60, b"service"), 0)
    before = sys.getprofile()
    sys.setprofile(count)
    cache.put(key(3), good(60, b"service"), 0)
    cache.drop_tagged(purge_of([key(4)]), 0)
    sys.setprofile(before)
    assert calls < 200


def kept(good_until_s: float, kept_until_s: float, *tags: bytes) -> CacheEntry:
    return CacheEntry(Facts({}, 0), tags, 0, good_until_s, kept_until_s=kept_until_s)


def test_what_is_kept_longer_is_known_and_never_good() -> None:
    cache, entry = LocalCache(10), kept(60, 300)
    cache.put(b"k", entry, 0)
    assert cache.get(b"k", 59) is entry
    assert cache.last_known(b"k", 59) is entry
    assert cache.get(b"k", 60) is None
    assert cache.last_known(b"k", 299.9) is entry
    assert cache.last_known(b"k", 300) is None
    assert len(cache) == 0


def test_a_no_takes_what_was_known_with_it() -> None:
    cache = LocalCache(10)
    cache.put(b"k", kept(60, 300), 0)
    cache.put(b"k", junk(10), 1)
    assert cache.last_known(b"k", 2) is None
    assert cache.last_known(b"k", 100) is None
    assert cache.get(b"k", 100) is None


def test_what_is_kept_takes_no_more_room_than_what_is_good() -> None:
    cache = LocalCache(10)
    for number in range(100):
        cache.put(key(number), kept(1, 1_000), number)
    assert len(cache) == 10


def test_a_purge_takes_what_is_only_known_too() -> None:
    cache = LocalCache(10)
    for name, tag in ((b"a", b"alice"), (b"b", b"bob")):
        cache.put(name, kept(1, 1_000, tag), 0)
    cache.drop_tagged(purge_of([b"alice"]), 10)
    assert cache.last_known(b"a", 11) is None
    assert cache.last_known(b"b", 11) is not None
    cache.drop_tagged(purge_everything(), 12)
    assert cache.last_known(b"b", 13) is None


def test_what_was_out_of_use_comes_back_with_all_its_times() -> None:
    cache, entry = LocalCache(10_000), CacheEntry(Facts({"sub": "alice"}, 1, exp=99), (b"t",), 1, 60, 48, 120)
    cache.put(key(0), entry, 2)
    for number in range(1, 2_000):
        cache.put(key(number), good(), 2)
    assert (cache.get(key(0), 3), cache.last_known(key(0), 61)) == (entry, entry)
    assert cache.get(key(0), 60) is None
