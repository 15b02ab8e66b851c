"""What pyproject.toml can not say: with GATEWAY_COMPILE=1 the modules that every request goes through are compiled.

Without it nothing is, and no compiler is needed. See docs/decisions/0007-compiled-by-choice.md.
"""

import os
import shutil
import sys
from typing import Any

from setuptools import setup

COMPILER = "mypy>=2.4"  # mypyc comes with it; the oldest that was tried
COMPILED = (
    "authn/bearer",
    "authn/facts",
    "authn/question",
    "cache/clocks_apart",
    "cache/codec",
    "cache/key",
    "cache/local",
    "cache/prefixed_mac",
    "cache/reply_queue",
    "cache/resp",
    "cache/seal",
    "compiled",
    "condition",
    "conditions/conditions",
    "conditions/grant_conditions",
    "conditions/new_proof",
    "conditions/within_limits",
    "decision",
    "entitlements",
    "grants/credential",
    "grants/grant_request",
    "grants/grant_rules",
    "http/fates",
    "http/client_network",
    "http/forwarded",
    "http/framing",
    "http/header_names",
    "http/headers",
    "http/location",
    "http/method",
    "http/ordinary",
    "http/percent",
    "http/request_fields",
    "http/response_head",
    "http/target",
    "http/unfinished",
    "http/told_request",
    "identity",
    "introspection/authenticator",
    "introspection/lifetime",
    "introspection/ports",
    "limits/allowance",
    "limits/fleet_size",
    "limits/identities",
    "limits/limit",
    "limits/rate_fields",
    "obtaining/credential_port",
    "obtaining/obtainer",
    "obtaining/verdict_tier",
    "observe/metrics",
    "observe/observation",
    "pipeline",
    "policy",
    "proxy/access_record",
    "proxy/awaited_relay",
    "proxy/condition_port",
    "proxy/added_fields",
    "proxy/date_field",
    "proxy/decision_exchange",
    "proxy/decision_reply",
    "proxy/downstream/awaited_body",
    "proxy/downstream/client_connection",
    "proxy/downstream/client_transport",
    "proxy/downstream/listener_state",
    "proxy/fast_exchange",
    "proxy/fast_lane",
    "proxy/generation",
    "proxy/last_request",
    "proxy/refusing",
    "proxy/relay",
    "proxy/request_context",
    "proxy/request_head",
    "proxy/request_id",
    "proxy/upstream/backend_request",
    "proxy/upstream/backend_state",
    "proxy/upstream/balance",
    "proxy/upstream/ejection",
    "proxy/upstream/hash_value",
    "proxy/upstream/connection",
    "proxy/upstream/http1_request",
    "proxy/upstream/pool",
    "proxy/upstream/pools",
    "proxy/upstream/response_reader",
    "proxy/upstream/route_backends",
    "route_path",
    "routing",
    "step_up",
)


def compiled() -> list[Any]:
    """What mypyc makes of them. A compiler that is not there is an error: it was asked for."""
    from mypyc.build import mypycify  # noqa: PLC0415 - it is there when it is asked for, and no sooner

    # Types of other packages are left out, so that it is no matter which of them are installed.
    options = ["--config-file=", "--follow-imports=silent", "--ignore-missing-imports", "--no-site-packages"]
    paths = [f"gateway/{name}.py" for name in COMPILED]
    return mypycify([*options, *paths], group_name="gateway", opt_level="2")


def settings() -> dict[str, Any]:
    asked = os.environ.get("GATEWAY_COMPILE", "")
    if asked not in {"", "0", "1"}:
        raise SystemExit(f"GATEWAY_COMPILE={asked}: write 1 to compile, or leave it out")
    # In an editable install, what is edited must be what runs.
    if asked != "1" or "editable_wheel" in sys.argv:
        return {}
    if "egg_info" in sys.argv:
        return {"setup_requires": [COMPILER]}  # asked for before the build, and installed for it
    if "bdist_wheel" in sys.argv or "build_ext" in sys.argv:
        shutil.rmtree("build", ignore_errors=True)  # what an earlier build left there would be packed with the rest
        return {"ext_modules": compiled()}
    return {}


if __name__ == "__main__":
    setup(**settings())
