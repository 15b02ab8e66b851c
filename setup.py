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
    "authn/claims",
    "authn/confirmation",
    "authn/facts",
    "authn/jwt_hint",
    "authn/presented",
    "authn/question",
    "cache/auto_pipeline",
    "cache/clocks_apart",
    "cache/codec",
    "cache/deadline",
    "cache/entry",
    "cache/entry_form",
    "cache/entry_names",
    "cache/key",
    "cache/local",
    "cache/lookups",
    "cache/prefixed_mac",
    "cache/purge_index",
    "cache/redis_backoff",
    "cache/reply_queue",
    "cache/resp",
    "cache/seal",
    "compiled",
    "condition",
    "conditions/conditions",
    "conditions/grant_conditions",
    "conditions/new_proof",
    "conditions/within_limits",
    "cors",
    "decision",
    "entitlements",
    "grants/credential",
    "grants/grant_request",
    "grants/grant_rules",
    "http/client_network",
    "http/fates",
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
    "http/strict_json",
    "http/target",
    "http/trace_context",
    "http/told_request",
    "http/unfinished",
    "identity",
    "introspection/admission",
    "introspection/authenticator",
    "introspection/fallback",
    "introspection/fetcher",
    "introspection/flights",
    "introspection/inflight",
    "introspection/invalidation",
    "introspection/joiners",
    "introspection/last_known",
    "introspection/lifetime",
    "introspection/not_before",
    "introspection/ports",
    "introspection/settlement",
    "introspection/stale",
    "introspection/token_buckets",
    "limits/allowance",
    "limits/fleet_size",
    "limits/identities",
    "limits/limit",
    "limits/rate_fields",
    "observe/metrics",
    "observe/observation",
    "obtaining/credential_port",
    "obtaining/obtainer",
    "obtaining/verdict_tier",
    "pipeline",
    "policy",
    "possession",
    "proxy/access_record",
    "proxy/added_fields",
    "proxy/awaited_relay",
    "proxy/condition_port",
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
    "proxy/upstream/connection",
    "proxy/upstream/ejection",
    "proxy/upstream/hash_value",
    "proxy/upstream/http1_request",
    "proxy/upstream/pool",
    "proxy/upstream/pools",
    "proxy/upstream/quiet_backends",
    "proxy/upstream/response_reader",
    "proxy/upstream/route_backends",
    "request",
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
