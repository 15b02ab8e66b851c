from pathlib import Path

import pytest
from benchmarks.cache_memory import BYTES_PER_TOKEN_MAX, answers, measured_apart

from gateway.http.strict_json import loads

TOKENS = 10_000


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
def test_remembered_tokens_take_no_more_memory_than_promised() -> None:
    figures = measured_apart(TOKENS)
    assert 500 < figures["bytes_per_token"] < BYTES_PER_TOKEN_MAX


def test_the_answers_are_like_those_of_a_real_provider() -> None:
    first, second = map(loads, answers(2))
    assert len(first) == 25
    own = {name for name in first if first[name] != second[name]}
    assert {"sub", "sid", "jti", "preferred_username", "email"} <= own
    assert {"iss", "azp", "scope", "aud", "active"}.isdisjoint(own)
