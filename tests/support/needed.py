"""What a test needs and a machine may not have: skipped there with a reason, but never under `.ci/run`."""

import os
from typing import NoReturn

import pytest

REQUIRED = "GATEWAY_REQUIRE_INTEGRATION"


def missing(reason: str) -> NoReturn:
    """Skip with `reason`; fail where the environment says that everything has to run."""
    if os.environ.get(REQUIRED, "") not in {"", "0"}:
        pytest.fail(f"{REQUIRED} is set, and yet: {reason}")
    pytest.skip(reason)
