"""Marks the tests, and has a short way for the inner loop: `pytest -m pure`."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.marked import PURE, SLOW, is_among

from gateway.runtime.build import BUILD

# How long an example takes, or the making of one, says how busy the machine is, and nothing of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("patient"), max_examples=20)
settings.load_profile("patient")


def is_inner_loop(config: pytest.Config) -> bool:
    return str(config.getoption("markexpr", "")).strip() == "pure"


def pytest_configure(config: pytest.Config) -> None:
    wanted = os.environ.get("GATEWAY_FORM", BUILD)
    if wanted != BUILD:
        pytest.exit(f"GATEWAY_FORM asks for the {wanted} form, and this is the {BUILD} one", returncode=4)
    if is_inner_loop(config) and not config.getoption("--hypothesis-profile", None):
        settings.load_profile("quick")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """In the inner loop, the files that would be read and then left out are not read at all."""
    if not is_inner_loop(config) or not collection_path.is_file() or not collection_path.name.startswith("test_"):
        return None
    return None if is_among(collection_path, PURE) else True


@pytest.hookimpl(tryfirst=True)  # before `-m` looks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if BUILD == "compiled" and item.get_closest_marker("interpreted") is not None:
            item.add_marker(pytest.mark.skip(reason="the compiled form does not look up what this patches"))
        if is_among(item.path, PURE):
            item.add_marker("pure")
        elif is_among(item.path, SLOW):
            item.add_marker("slow")
