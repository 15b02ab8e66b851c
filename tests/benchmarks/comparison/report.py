"""The tables, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from benchmarks.comparison.arithmetic import Spread, difference, spread
from benchmarks.comparison.latency import RATE_PER_S, Case, Timed
from benchmarks.comparison.loads import DOWNLOAD, GET_1, GET_32, GET_256, GET_VARIED, POST_1K, POST_64K, Sample
from benchmarks.comparison.markdown import ABSENT, table, text
from benchmarks.comparison.memory import CONNECTIONS
from benchmarks.comparison.peer import Kind
from benchmarks.comparison.provider_calls import EACH, REQUESTS
from benchmarks.comparison.remarks import remarks, setting
from benchmarks.comparison.results import Results
from benchmarks.comparison.targets import Target, targets
from benchmarks.comparison.wrk import Load

BEGIN, END = "<!-- comparison: begin -->", "<!-- comparison: end -->"
_SMALL = (GET_1, GET_32, GET_VARIED, GET_256, POST_1K, POST_64K)


def render(results: Results) -> str:
    return "\n".join(line for part in _parts(results) for line in [*part, ""]).rstrip() + "\n"


def insert(document: str, tables: str) -> str:
    """`document` with `tables` between its markers. Raises `ValueError` where it does not have both, in order."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document needs the lines {BEGIN} and {END}")
    return f"{before}{begin}\n\n{tables}\n{end}{after}"


def _parts(results: Results) -> Iterator[list[str]]:
    yield list(setting(results))
    yield list(_contestants(results))
    yield ["**Targets**", "", *_targets(results)]
    for title, figure, digits in (
        ("CPU µs per request", lambda one: one.cpu_us_per_request, 1),
        ("Requests per second", lambda one: one.requests_per_s, 0),
    ):
        yield [f"**{title}**", "", *_loads(results, figure, digits)]
    yield ["**Download of 10 MiB, 8 connections**", "", *_download(results)]
    yield [f"**Latency beyond the backend's own at {RATE_PER_S:,} requests/s, in ms**", "", *_latencies(results)]
    yield ["**Calls to the provider per 1,000 requests**", "", *_calls(results)]
    yield ["**Route matching**", "", *_matching(results)]
    yield ["**Resident memory, MiB**", "", *_memory(results)]
    if said := list(remarks(results)):
        yield ["**Remarks**", "", *said]


def _contestants(results: Results) -> Iterator[str]:
    rows = []
    for kind in Kind:
        if kind not in results.versions:
            rows.append([kind.value, "not measured: " + results.absent.get(kind, "unknown"), "", ""])
            continue
        checked = results.checked[kind]
        refuses = "401" if checked.refuses_bad_tokens else "passes"
        identity = "the token's user, not the forged one" if checked.sends_identity else "none"
        rows.append([kind.value, results.versions[kind], refuses, identity])
    return table(["", "version", "no token, bad token", "identity that the backend saw"], "llll", rows)


def _targets(results: Results) -> Iterator[str]:
    return table(["what", "at most", "found", ""], "lrrl", map(_target_row, targets(results)))


def _target_row(target: Target) -> list[str]:
    mark = {None: "not measured", True: "reached", False: "**not reached**"}[target.is_reached]
    bound = f"{'at least ' if target.is_least else ''}{target.bound:.{max(2, target.digits)}f}".rstrip("0").rstrip(".")
    remark = f" ({target.remark})" if target.remark else ""
    return [target.words, bound + target.unit, text(target.found, target.digits), mark + remark]


def _loads(results: Results, figure: Callable[[Sample], float], digits: int) -> Iterator[str]:
    rows = [
        [kind.value, *(text(_over(results.samples[load].get(kind), figure), digits) for load in _SMALL)]
        for kind in results.versions
    ]
    return table(["", *(_short(load) for load in _SMALL)], "l" + "r" * len(_SMALL), rows)


def _download(results: Results) -> Iterator[str]:
    samples = results.samples[DOWNLOAD]
    rows = [
        [
            kind.value,
            text(_over(samples.get(kind), lambda one: one.mb_per_s), 0),
            text(_over(samples.get(kind), lambda one: one.mb_per_cpu_s), 0),
        ]
        for kind in results.versions
    ]
    return table(["", "MB/s", "MB per CPU second"], "lrr", rows)


def _latencies(results: Results) -> Iterator[str]:
    columns = [(case, quantile) for case in Case for quantile in ("p50", "p99")]
    rows = [
        [kind.value, *(_latency(results, case, kind, quantile) for case, quantile in columns)]
        for kind in results.versions
    ]
    own = [_own(results, case, quantile) for case, quantile in columns]
    heads = [f"{case.value} {quantile}" for case, quantile in columns]
    return table(["", *heads], "l" + "r" * len(columns), [*rows, ["*the backend's own*", *own]])


def _latency(results: Results, case: Case, kind: Kind, quantile: str) -> str:
    timed = results.latencies.get(case, {})
    if not timed.get(kind):
        return ABSENT
    return text(difference(_ms(timed[kind], quantile), _ms(timed[None], quantile)), 2)


def _own(results: Results, case: Case, quantile: str) -> str:
    timed = results.latencies.get(case, {}).get(None)
    return text(spread(_ms(timed, quantile)), 2) if timed else ABSENT


def _ms(timed: Sequence[Timed], quantile: str) -> list[float]:
    return [(one.p50_s if quantile == "p50" else one.p99_s) * 1000 for one in timed]


def _calls(results: Results) -> Iterator[str]:
    rows = []
    for kind, asked in results.asked.items():
        samples = [one for load in _SMALL for one in results.samples[load].get(kind, [])]
        known = sum(one.introspections for one in samples) / max(1, sum(one.requests for one in samples)) * 1000
        rows.append([kind.value, f"{known:.1f}", str(asked.introspections)])
    return table(
        ["", "one known token", f"{REQUESTS // EACH} unknown ones, {EACH} requests of each at once"], "lrr", rows
    )


def _matching(results: Results) -> Iterator[str]:
    first = next(iter(results.matching.values()))
    rows = [
        [
            f"{routes:,}",
            text(spread(found), 2),
            text(spread([one / ten for one, ten in zip(found, first, strict=True)]), 3),
        ]
        for routes, found in results.matching.items()
    ]
    return table(["routes", "µs a lookup", "against 10"], "rrr", rows)


def _memory(results: Results) -> Iterator[str]:
    rows = []
    for kind, held in results.held.items():
        connections = f"+{held.connections_bytes / 2**20:.0f}"
        if held.open_connections < CONNECTIONS:
            connections += f" ({held.open_connections:,} stayed open)"
        tokens = ABSENT if held.tokens_bytes is None else f"+{held.tokens_bytes / 2**20:.0f} for {held.tokens:,}"
        rows.append([kind.value, f"{held.idle_bytes / 2**20:.0f}", tokens, connections])
    return table(["", "idle", "cached tokens", f"{CONNECTIONS:,} idle connections"], "lrrr", rows)


def _over(samples: Sequence[Sample] | None, figure: Callable[[Sample], float]) -> Spread | None:
    return spread([figure(one) for one in samples]) if samples else None


def _short(load: Load) -> str:
    method = f"POST {load.body_bytes // 2**10} KiB" if load.body_bytes else "GET"
    return f"{method}, {load.connections} conn." + (", paths vary" if load.is_varied else "")
