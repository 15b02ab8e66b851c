"""The tables, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from benchmarks.comparison.arithmetic import Spread, difference, ratio, spread
from benchmarks.comparison.latency import RATE_PER_S, Case, Timed
from benchmarks.comparison.loads import DOWNLOAD, LOADS, Sample
from benchmarks.comparison.markdown import ABSENT, table, text
from benchmarks.comparison.memory import CONNECTIONS
from benchmarks.comparison.peer import Kind
from benchmarks.comparison.provider_calls import EACH, REQUESTS
from benchmarks.comparison.remarks import remarks, setting
from benchmarks.comparison.results import Results
from benchmarks.comparison.targets import Target, targets
from benchmarks.comparison.variations import Variation
from benchmarks.comparison.wrk import Load

BEGIN, END = "<!-- comparison: begin -->", "<!-- comparison: end -->"
_SMALL = tuple(load for load in LOADS if load is not DOWNLOAD)


def render(results: Results) -> str:
    return "\n".join(line for part in _parts(results) for line in [*part, ""]).rstrip() + "\n"


def insert(document: str, tables: str, marks: tuple[str, str] = (BEGIN, END)) -> str:
    """`document` with `tables` between its markers. Raises `ValueError` where it does not have both, in order."""
    before, begin, rest = document.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(f"the document needs the lines {marks[0]} and {marks[1]}")
    return f"{before}{begin}\n\n{tables}\n{end}{after}"


def _parts(results: Results) -> Iterator[list[str]]:
    """Of what was not measured there is no table."""
    yield list(setting(results))
    yield list(_contestants(results))
    if found := [one for one in targets(results) if one.found is not None or not results.is_partial]:
        yield ["**Targets**", "", *_targets(found)]
    tables: tuple[tuple[str, object, Callable[[Results], Iterator[str]]], ...] = (
        ("CPU µs per request", _small(results), partial(_loads, lambda one: one.cpu_us_per_request, 1)),
        ("Requests per second", _small(results), partial(_loads, lambda one: one.requests_per_s, 0)),
        ("The mixed GET, and more to do: CPU µs per request", results.varied, _varied),
        ("Download of 10 MiB, 8 connections", results.samples.get(DOWNLOAD), _download),
        (f"Latency beyond the backend's own at {RATE_PER_S:,} requests/s, in ms", results.latencies, _latencies),
        ("Calls to the provider per 1,000 requests", results.asked, _calls),
        ("A proxy that asks about each request: CPU µs per request", results.questions, _questions),
        ("Route matching", results.matching, _matching),
        ("Resident memory, MiB", results.held, _memory),
    )
    for title, found, lines in tables:
        if found:
            yield [f"**{title}**", "", *lines(results)]
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


def _targets(found: Sequence[Target]) -> Iterator[str]:
    return table(["what", "at most", "found", ""], "lrrl", map(_target_row, found))


def _target_row(target: Target) -> list[str]:
    mark = {None: "not measured", True: "reached", False: "**not reached**"}[target.is_reached]
    bound = f"{'at least ' if target.is_least else ''}{target.bound:.{max(2, target.digits)}f}".rstrip("0").rstrip(".")
    remark = f" ({target.remark})" if target.remark else ""
    return [target.words, bound + target.unit, text(target.found, target.digits), mark + remark]


def _small(results: Results) -> list[Load]:
    return [load for load in _SMALL if load in results.samples]


def _loads(figure: Callable[[Sample], float], digits: int, results: Results) -> Iterator[str]:
    measured = _small(results)
    rows = [
        [kind.value, *(text(_over(results.samples[load].get(kind), figure), digits) for load in measured)]
        for kind in results.versions
    ]
    return table(["", *(_short(load) for load in measured)], "l" + "r" * len(measured), rows)


# What is measured, and what it is held against in the same rounds.
_AGAINST = {
    Variation.NO_ORIGIN: Variation.PLAIN,
    Variation.ORIGIN: Variation.PLAIN,
    Variation.MANY: Variation.FEW,
    Variation.EXCHANGED: Variation.HEADERS,
    Variation.SIGNED: Variation.HEADERS,
}


def _varied(results: Results) -> Iterator[str]:
    rows = []
    for variation, by_kind in results.varied.items():
        for kind, samples in by_kind.items():
            costs = [one.cpu_us_per_request for one in samples]
            other = results.varied.get(_AGAINST.get(variation, variation), {}).get(kind, [])
            against = ABSENT
            if variation in _AGAINST and other:
                against = text(ratio(costs, [one.cpu_us_per_request for one in other]), 2)
            rows.append([variation.value, kind.value, text(spread(costs), 1), against])
    return table(["", "", "CPU µs", "against the same without"], "llrr", rows)


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
        samples = [one for load in _SMALL for one in results.samples.get(load, {}).get(kind, [])]
        known = sum(one.introspections for one in samples) / max(1, sum(one.requests for one in samples)) * 1000
        rows.append([kind.value, f"{known:.1f}", str(asked.introspections)])
    return table(["", "known tokens", f"{REQUESTS // EACH} unknown ones, {EACH} requests of each at once"], "lrr", rows)


def _questions(results: Results) -> Iterator[str]:
    rows = []
    for (asker, answerer), costs in results.questions.items():
        parts = [(one.asker_us, one.answerer_us, one.asker_us + one.answerer_us) for one in costs]
        rows.append([asker.value, answerer.value, *(text(spread(part), 1) for part in zip(*parts, strict=True))])
    return table(["proxy", "asks", "proxy", "asked", "together"], "llrrr", rows)


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
    return load.name.replace(" connections", " conn.").replace(" connection", " conn.")
