"""How many workers an instance has."""

from __future__ import annotations

import os

from gateway.config.server_model import Server


def worker_count(server: Server) -> int:
    if server.workers != "auto":
        return server.workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
