"""Whether one process is ready for requests, and what it knows of that."""

from __future__ import annotations

from gateway.proxy.generation import Generation
from gateway.workers.instance import Readiness


def readiness_of(generation: Generation, *, was_ready: bool, is_draining: bool) -> Readiness:
    """Ready once every provider has been discovered, which `was_ready` says for good, until the process drains."""
    providers, waiting, shared = generation.providers, generation.waiting, generation.cache.shared
    checks = {
        "providers": {one.name: "waiting" if one.name in waiting else "ready" for one in providers.values()},
        "breakers": generation.breakers,
        "redis": "not configured" if shared is None else "shared" if shared.healthy else "away",
    }
    if troubles := generation.troubles:
        checks["provider_reasons"] = troubles
    if shared is not None and (why := shared.trouble):
        checks["redis_reason"] = why
    reasons = ["draining"] if is_draining else []
    if not was_ready:
        reasons += [_awaited(name, why) for name, why in waiting.items()]
    return Readiness(not reasons, tuple(reasons), checks)


def _awaited(name: str, why: str) -> str:
    return f"provider {name}: discovery has not succeeded yet{': ' if why else ''}{why}"
