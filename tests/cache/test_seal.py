import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.seal import Seal

SEAL = Seal(b"k" * 32, 1000)


@given(st.binary(max_size=64), st.binary(max_size=900))
def test_what_was_sealed_opens_at_its_place(place: bytes, plain: bytes) -> None:
    sealed = SEAL.seal(place, plain)
    assert sealed is not None
    assert SEAL.open(place, sealed) == plain


@given(st.binary(max_size=200), st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_byte_and_it_does_not_open(plain: bytes, where: int, change: int) -> None:
    sealed = bytearray(SEAL.seal(b"place", plain) or b"")
    sealed[where % len(sealed)] ^= change
    assert SEAL.open(b"place", bytes(sealed)) is None


@given(st.binary(max_size=1200))
def test_garbage_does_not_open(garbage: bytes) -> None:
    assert SEAL.open(b"place", garbage) is None
    assert SEAL.open(b"place", b"\x01" + garbage) is None


def test_what_is_copied_to_another_place_does_not_open() -> None:
    sealed = SEAL.seal(b"place", b"plain")
    assert sealed is not None
    assert SEAL.open(b"elsewhere", sealed) is None
    assert Seal(b"x" * 32, 1000).open(b"place", sealed) is None


@pytest.mark.parametrize("cut", [0, 1, 5, 28])
def test_what_is_cut_short_does_not_open(cut: int) -> None:
    sealed = SEAL.seal(b"place", b"plain")
    assert sealed is not None
    assert SEAL.open(b"place", sealed[:cut]) is None


def test_too_much_is_neither_sealed_nor_opened() -> None:
    assert SEAL.seal(b"place", b"x" * 1000) is None
    large = Seal(b"k" * 32, 5000).seal(b"place", b"x" * 2000)
    assert large is not None
    assert SEAL.open(b"place", large) is None


def test_the_same_twice_looks_different() -> None:
    assert SEAL.seal(b"place", b"plain") != SEAL.seal(b"place", b"plain")
