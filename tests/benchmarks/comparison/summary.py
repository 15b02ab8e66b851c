"""The few figures that the README quotes: what one authorised GET costs, none like another and again the same."""

from __future__ import annotations

import textwrap

from benchmarks.comparison.arithmetic import spread
from benchmarks.comparison.loads import GET_32, MIXED
from benchmarks.comparison.peer import Kind
from benchmarks.comparison.results import Results
from benchmarks.comparison.wrk import Load

MARKS = ("<!-- costs: begin -->", "<!-- costs: end -->")
_WIDTH = 118
_PEERS = {
    Kind.NGINX_AUTH: "nginx `auth_request`",
    Kind.ENVOY: "Envoy without authentication",
    Kind.APACHE: "Apache mod_auth_openidc",
}
_COMPILED = "(`GATEWAY_COMPILE=1 pip install .`, with a C compiler)"


def summary(results: Results) -> str:
    """A paragraph of Markdown. Raises `ValueError` where one of the two loads was not measured on the gateway."""
    words = (
        f"CPU per authorised GET on one machine, the median of {results.plan.rounds} rounds. Requests that all "
        f"differ (100,000 paths, 1,000 tokens, each with a query, a cookie and a `traceparent`): "
        f"{_costs(results, MIXED, f' {_COMPILED}')}. The same request again and again: {_costs(results, GET_32)}."
    )
    return textwrap.fill(words, _WIDTH, break_on_hyphens=False, break_long_words=False)


def _costs(results: Results, load: Load, how: str = "") -> str:
    costs = {
        kind: f"{spread([one.cpu_us_per_request for one in samples]).median:,.0f}"
        for kind, samples in results.samples.get(load, {}).items()
        if samples
    }
    if Kind.FAST not in costs:
        raise ValueError(f"{load.name} was not measured")
    compiled = f", or {costs[Kind.COMPILED]} compiled{how}" if Kind.COMPILED in costs else ""
    peers = [f"{name} {costs[kind]}" for kind, name in _PEERS.items() if kind in costs]
    return "; ".join([f"{costs[Kind.FAST]} µs{compiled}", ", ".join(peers)]) if peers else costs[Kind.FAST] + " µs"
