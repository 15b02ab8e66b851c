"""Which tests are `pure` and which are `slow`, by folder and file; `CONTRIBUTING.md` says when to run them.

Pure tests wait for nothing: no server, no process, no sleep. Slow files take most of the time of the suite: they wait
for clocks, build something, or drive other people's programs.
"""

from pathlib import Path

TESTS = Path(__file__).parents[1]
PURE = (
    "admin/test_describe.py",
    "admin/test_status.py",
    "authn",
    "cache/test_entry.py",
    "cache/test_key.py",
    "cache/test_local.py",
    "cache/test_packed.py",
    "cache/test_purge_index.py",
    "cache/test_seal.py",
    "config",
    "grants",
    "events/test_jws.py",
    "events/test_logout.py",
    "events/test_replay.py",
    "events/test_security_event_token.py",
    "events/test_subject.py",
    "events/test_verdict.py",
    "fuzz",
    "http",
    "limits",
    "introspection/test_invalidation.py",
    "introspection/test_lifetime.py",
    "introspection/test_not_before.py",
    "introspection/test_outage.py",
    "introspection/test_stale.py",
    "introspection/test_tag_purge.py",
    "introspection/test_token_buckets.py",
    "migration/test_migrated_requests.py",
    "migration/test_rule_places.py",
    "migration/test_written_config.py",
    "observe/test_access_log.py",
    "observe/test_metrics.py",
    "provider/test_breaker.py",
    "provider/test_fair_queue.py",
    "provider/test_grant_response.py",
    "provider/test_grants.py",
    "provider/test_oauth_error.py",
    "provider/test_retry_after.py",
    "provider/test_suspects.py",
    "proxy/downstream/test_head_budget.py",
    "proxy/downstream/test_reclaiming.py",
    "proxy/downstream/test_shares.py",
    "proxy/streams/test_exchange_index.py",
    "proxy/streams/test_rounds.py",
    "proxy/upstream/test_attempts.py",
    "proxy/upstream/test_connect_reasons.py",
    "runtime/test_doctor_verdicts.py",
    "test_architecture.py",
    "test_identity.py",
    "test_inner_loop.py",
    "test_pipeline.py",
    "test_policy.py",
    "test_policy_reasons.py",
    "test_routing.py",
    "test_signed_identity.py",
    "test_threat_model.py",
    "workers/test_instance.py",
)
SLOW = (
    "admin/test_page_in_browser.py",
    "benchmarks/test_comparison_smoke.py",
    "cache/test_limits_in_processes.py",
    "cache/test_processes.py",
    "deploy/test_compiled_build.py",
    "deploy/test_prometheus.py",
    "deploy/test_wheels.py",
    "docs/test_guides.py",
    "foreign",
    "hazards/test_blame.py",
    "hazards/test_exhaustion.py",
    "hazards/test_faults.py",
    "hazards/test_one_network.py",
    "hazards/test_outages.py",
    "hazards/test_shared_connections.py",
    "hazards/test_soak.py",
    "integration",
    "proxy/streams/test_streams_of_a_fleet.py",
    "proxy/test_limits_in_trouble.py",
    "runtime/test_file_watch.py",
    "runtime/test_revoked_everywhere.py",
    "runtime/test_token_type_sharing.py",
    "workers/test_processes.py",
)


def is_among(path: Path, places: tuple[str, ...]) -> bool:
    """Whether a file of tests is one of `places`, or stands in one."""
    inside = path.relative_to(TESTS)
    return any(str(place) in places for place in (inside, *inside.parents))
