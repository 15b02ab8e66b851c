"""The soak's probe finds every table of the gateway's, and a table that fills is told apart from a leak."""

import importlib.util
import json
from collections import OrderedDict
from types import ModuleType
from typing import Any

import pytest
from benchmarks.soak_stage import PROBE
from benchmarks.soak_tables import ENTRIES_MAX, Filling, Within, within
from benchmarks.soak_troubles import PURGE_SETTLE_S, PURGED, Troubles, Window
from benchmarks.soak_watch import MEMORY_SLACK_BYTES, Growth
from support.callers import Outcome

MIB = 2**20


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Without its thread: this process is no worker."""
    monkeypatch.delenv("SOAK_PROBE", raising=False)
    spec = importlib.util.spec_from_file_location("soak_probe", PROBE / "sitecustomize.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Plain:
    def __init__(self) -> None:
        self.seen = {number: str(number) * 100 for number in range(500)}


class Slotted:
    __slots__ = ("order", "other")

    def __init__(self) -> None:
        self.order = OrderedDict.fromkeys(range(40))
        self.other = None


@pytest.mark.parametrize(("kind", "name", "entries"), [(Plain, "seen", 500), (Slotted, "order", 40)])
def test_a_table_is_found_by_whoever_has_it(probe, monkeypatch, kind, name, entries):
    monkeypatch.setattr(kind, "__module__", "gateway.somewhere")
    held = [kind(), kind()]
    found = probe.tables()[f"gateway.somewhere.{kind.__name__}.{name}"]
    assert found[0] == entries * len(held)


def test_what_entries_share_is_not_counted_for_each(probe):
    shared = ["x" * 10_000]
    own = {number: ("y" * 1_000 + str(number), shared) for number in range(100)}
    assert 100_000 < probe._bytes(own) < 200_000


def test_a_table_of_a_module_is_found(probe):
    from gateway.http import fates

    assert isinstance(fates._READ, dict)
    assert f"{fates.__name__}._READ" in dict(probe._named())


def lines(count: int, tables: Any) -> str:
    return "".join(json.dumps({"s": n, "blocks": 1000 + n % 7, "tables": tables(n)}) + "\n" for n in range(count))


def test_a_filling_is_the_last_third_against_the_first(tmp_path):
    (tmp_path / "7.jsonl").write_text(lines(40, lambda n: {"gateway.a.B.c": [n, n * 100]}))
    found = within(tmp_path, 7, warm_up_s=10)
    assert found.fillings == (Filling("gateway.a.B.c", 14.5, 34.5, 1450, 3450),)
    assert (found.blocks_before, found.blocks_after) == (1000, 1000)
    assert (found.entries_most, found.largest) == (39, "gateway.a.B.c")
    assert found.lines("w") == ["| w | a.B.c | 14 to 34 | 1 to 3 |"]
    assert within(tmp_path, 8, warm_up_s=10) == Within()


def growth(memory_mib: float) -> Growth:
    return Growth(1, "w", 5.0, 20.0, 50 * MIB, 50 * MIB + memory_mib * MIB, 5, 5)


def test_growth_that_tables_explain_is_flat_and_more_than_that_is_not():
    slack_mib = MEMORY_SLACK_BYTES / MIB
    assert growth(slack_mib).is_flat(0)
    assert not growth(slack_mib + 0.1).is_flat(0)
    assert growth(slack_mib + 1).is_flat(1 * MIB)
    assert not growth(slack_mib + 1.1).is_flat(1 * MIB)
    assert growth(slack_mib).is_flat(-5 * MIB)  # what a table has given up goes back to the allocator alone


def test_a_table_beyond_every_bound_is_the_leak_itself():
    assert Within(entries_most=ENTRIES_MAX).is_bounded
    assert not Within(entries_most=ENTRIES_MAX + 1).is_bounded


@pytest.mark.parametrize(
    ("ended_s", "is_excused"), [(100.0, False), (101.0, True), (103.0, True), (105.0, True), (106.0, False)]
)
def test_a_purge_is_felt_late_while_redis_carries_badly(ended_s, is_excused):
    purge = Window("purge", "sub", 100.5, 100.5 + PURGE_SETTLE_S)
    slow = Window("redis-two", "bandwidth both", 99.0, 104.0)
    troubles = Troubles(stage=None, dice=None, windows=[purge, slow])  # type: ignore[arg-type] - neither is asked
    outcome = Outcome("socket", ended_s - 0.1, ended_s, PURGED, "closed", None)
    assert troubles.is_excused(outcome) is is_excused
    assert not troubles.is_excused(Outcome("socket", ended_s - 0.1, ended_s, 1006, "closed", None))
