"""Every promise of `harness.py` on all that the search found interesting, without the search."""

from pathlib import Path

import pytest
from fuzz.harness import HARNESSES

CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.parametrize("name", HARNESSES)
def test_the_promises_hold_on_the_corpus(name: str) -> None:
    files = sorted((CORPUS / name).iterdir())
    assert len(files) > 5
    for file in files:
        try:
            HARNESSES[name](file.read_bytes())
        except Exception as error:
            raise AssertionError(f"{file.name}: {file.read_bytes()[:200]!r}") from error


def test_every_corpus_is_of_a_harness() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(HARNESSES)
