"""Each step of the walk-through, with what it looks at broken on purpose."""

import sys

import pytest
from support.demonstrated import checked, free_base

BREAKING = {
    1: """
        from string import Template
        from gateway.demo import settings
        asked = "auth: {scopes: [orders:read], audience: [orders-api]}"
        settings._SETTINGS = Template(settings._SETTINGS.template.replace(asked, "auth: none"))
    """,
    2: """
        from gateway.demo.realm import USERS
        del USERS["alice"]
    """,
    3: """
        from gateway.demo.tokens import Tokens
        Tokens.introspect = lambda self, token: {"active": False}
    """,
    4: """
        from gateway.http import headers
        headers.folded = frozenset
    """,
    5: """
        from gateway.demo import settings
        settings.TTL_S = 0
    """,
    6: """
        from dataclasses import replace
        from gateway import compiled
        compile_policy = compiled.compile_policy
        compiled.compile_policy = lambda auth: replace(compile_policy(auth), scopes=frozenset())
    """,
    7: """
        from gateway.authn.seen_proofs import SeenProofs, UseOutcome
        SeenProofs.claim = lambda self, use, now_s: UseOutcome.NEW
    """,
    8: """
        from gateway.demo.tokens import Tokens
        Tokens.revoke = lambda self, token: None
    """,
    9: """
        from gateway.observe.metrics import Metrics
        Metrics.introspected = lambda self, provider, outcome, duration_s: None
    """,
}
WHAT_IS_SAID = {
    1: ["expected: 401 token_missing", "came: 200 "],
    2: ["expected: an access_token", "Invalid user credentials"],
    3: ["expected: 200 from the backend", "came: 401 ", "invalid_token"],
    4: ["expected: none of the forged headers at the backend", "X.Roles"],
    5: ["expected: no further introspection", "came: 1"],
    6: ["expected: 403 insufficient_scope", "came: 200 "],
    7: ["expected: 401 invalid_dpop_proof", "came: 200 "],
    8: ["expected: 401 invalid_token", "came: 200 "],
    9: ["expected: gateway_introspections_total to be the provider's own 4", "came: 0"],
}


# They replace what compiled code calls without looking it up.
PATCHED = {4, 6}


@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=pytest.mark.interpreted if step in PATCHED else ()) for step in BREAKING]
)
def test_a_broken_promise_is_found_by_its_step_and_ends_the_check_with_1(step):
    breaking = "\n".join(line.strip() for line in BREAKING[step].splitlines())
    program = f"{breaking}\nfrom gateway.cli import main\nmain()"
    done = checked(free_base(), program=(sys.executable, "-c", program))
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    _, failure, words = done.stdout.partition("   ✗ ")
    assert failure, done.stdout
    for said in WHAT_IS_SAID[step]:
        assert said in words
    assert words.endswith(f"\nStep {step} of 9 failed; no further step was tried.\n")
    assert done.stdout.count("   ✓ ") == step - 1


def test_a_gateway_that_is_not_there_is_a_failure_in_words():
    program = """
from gateway.service import Service
async def start(self): pass
Service.start = start
from gateway.cli import main
main()
"""
    base = free_base()
    done = checked(base, program=(sys.executable, "-c", program))
    assert done.returncode == 1
    assert f"expected: a response to GET http://127.0.0.1:{base}/orders/7" in done.stdout
    assert "Traceback" not in done.stderr
