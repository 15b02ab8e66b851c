"""How long an attack lasts while others are served: a second or so, or as long as `GATEWAY_ATTACK_S` says."""

from __future__ import annotations

import os


def attack_s(usual_s: float) -> float:
    """In seconds; `usual_s` where nothing else is wanted."""
    return float(os.environ.get("GATEWAY_ATTACK_S") or usual_s)
