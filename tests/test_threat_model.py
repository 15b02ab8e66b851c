"""The threat model names tests that are there, and leaves out no file of those that show what it says."""

import re

from support.layers import RANKS
from support.named_tests import TESTS, is_there, named_in

DOCUMENT = (TESTS.parent / "docs" / "threat-model.md").read_text()
NAMED = named_in(DOCUMENT)
# A file of `gateway/`, by its room.
MODULE = re.compile(rf"`((?:(?:{'|'.join(RANKS)})/[a-z_/]+|{'|'.join(RANKS)})\.py)`")


def test_each_test_that_is_named_is_there() -> None:
    assert NAMED
    assert [named for named in NAMED if not is_there(named)] == []


def test_every_file_of_hazards_is_named() -> None:
    files = {f"tests/hazards/{file.name}" for file in (TESTS / "hazards").glob("test_*.py")}
    assert files - {named.partition("::")[0] for named in NAMED} == set()


def test_every_module_that_is_said_to_stop_something_is_there() -> None:
    modules = set(MODULE.findall(DOCUMENT))
    assert modules
    assert [name for name in sorted(modules) if not (TESTS.parent / "gateway" / name).is_file()] == []


def test_no_row_is_without_a_test() -> None:
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| ") and "---" not in line]
    headings = ("| what is tried", "| what must hold")
    assert [row for row in rows if "`tests/" not in row and not row.startswith(headings)] == []
