"""Matching with 10 and with 10,000 routes: `python tests/benchmarks/routing.py`.

Alternates between the tables and reports the median of the ratios, because machines are shared and noisy.
"""

from __future__ import annotations

import statistics
import time

from gateway.config.route_model import Match
from gateway.routing import Matched, Table

ROUNDS = 30
LOOKUPS = 20_000


def table(routes: int) -> Table[str]:
    """Routes in the three forms that real files have, plus the one that is looked for."""
    patterns = ["/tenants/{tenant}/orders/{order}/items/**"]
    patterns += [
        (f"/service-{i}/v1/things/**", f"/service-{i}/{{id}}", f"/shared/{{x}}/leaf-{i}")[i % 3]
        for i in range(routes - 1)
    ]
    return Table((Match.model_validate({"path": pattern}), pattern) for pattern in patterns)


def seconds(routes: Table[str]) -> float:
    segments = ["tenants", "acme", "orders", "7", "items", "1", "parts"]
    assert isinstance(routes.find("api.example.com", segments, "GET"), Matched)
    started = time.process_time()
    for _ in range(LOOKUPS):
        routes.find("api.example.com", segments, "GET")
    return time.process_time() - started


def main() -> None:
    few, many = table(10), table(10_000)
    pairs = [(seconds(few), seconds(many)) for _ in range(ROUNDS)]
    ratios = sorted(many_s / few_s for few_s, many_s in pairs)
    each_us = statistics.median(few_s for few_s, _ in pairs) / LOOKUPS * 1e6
    print(f"10 routes: {each_us:.2f} us a lookup (median of {ROUNDS} rounds of {LOOKUPS:,})")
    print(f"10,000 routes against 10: {statistics.median(ratios):.3f} (from {ratios[0]:.3f} to {ratios[-1]:.3f})")


if __name__ == "__main__":
    main()
