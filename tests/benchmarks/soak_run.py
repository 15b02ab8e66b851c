"""One soak: the stage, the callers and the troubles together, and what is to be said of it."""

from __future__ import annotations

import asyncio
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from benchmarks.soak_stage import SECRETS, Stage, staged
from benchmarks.soak_tables import HEAD, Within, within
from benchmarks.soak_troubles import STALL_S, Troubles
from benchmarks.soak_watch import Growth, Watch
from support.callers import Caller, Outcome
from support.tokens import Tokens

WEIGHTS = {"hit": 10, "miss": 6, "refusal": 6, "upload": 2, "download": 2, "socket": 1, "disconnect": 2}
# About what keeps half of a small machine busy.
THINK_S = 0.02
_SHOWN_MAX = 10
_PIECE_BYTES = 2**20


@dataclass
class Tally:
    """Counts outcomes; keeps those that somebody will ask about."""

    counts: Counter[str] = field(default_factory=Counter)
    failed: list[Outcome] = field(default_factory=list)
    wrong: list[Outcome] = field(default_factory=list)

    def record(self, outcome: Outcome) -> None:
        self.counts[outcome.kind] += 1
        if outcome.wrong is not None:
            self.wrong.append(outcome)
        elif outcome.failure is not None:
            self.failed.append(outcome)


@dataclass(frozen=True)
class Row:
    words: str
    figure: object
    is_sound: bool | None = None  # None: says how much was tried, and is neither

    def __str__(self) -> str:
        mark = {None: "", True: "ok", False: "**not ok**"}[self.is_sound]
        return f"| {self.words} | {self.figure} | {mark} |"


@dataclass
class Verdict:
    rows: list[Row]
    details: list[str]
    tables: list[str]

    @property
    def is_sound(self) -> bool:
        return all(row.is_sound is not False for row in self.rows)

    def table(self) -> str:
        head = ["| what | figure | |", "| --- | ---: | --- |"]
        details = [*self.details, ""] if self.details else []
        return "\n".join([*details, *head, *map(str, self.rows), "", *HEAD, *self.tables])


async def soak(duration_s: float, callers: int, seed: int, folder: Path) -> Verdict:
    tokens = Tokens(f"tkn{secrets.token_hex(6)}")
    tally, began_s = Tally(), time.monotonic()
    async with staged(folder, tokens) as stage:
        troubles, watch = Troubles(stage, random.Random(seed)), Watch(stage.gateways)
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(troubles.run(stopping))
            group.create_task(watch.run(stopping))
            for number in range(callers):
                group.create_task(_caller(number, stage, tally, seed).run(stopping))
            group.create_task(_tell(stage, tally, stopping))
            await asyncio.sleep(duration_s)
            stopping.set()
        shown = await _shown(stage)
        calls = len(stage.provider.calls)
    watch.write(folder / "samples.csv")
    spent_s = time.monotonic() - began_s
    leaked = _found(tokens, [gateway.output for gateway in stage.gateways], shown)
    growths = [(one, within(folder, one.pid, one.warm_up_s)) for one in watch.growths()]
    return _verdict(stage, tally, troubles, watch, growths, calls, leaked, spent_s)


def _caller(number: int, stage: Stage, tally: Tally, seed: int) -> Caller:
    addresses = [gateway.address for gateway in stage.gateways]
    dice = random.Random(seed * 1000 + number)
    return Caller(f"c{number}", addresses, stage.tokens, tally.record, dice, WEIGHTS, THINK_S)


async def _tell(stage: Stage, tally: Tally, stopping: asyncio.Event) -> None:
    """Signs of life, and what the stand-ins would hoard is thrown away."""
    while not stopping.is_set():
        await asyncio.sleep(1)
        if int(time.monotonic()) % 30 == 0:
            line = f"{tally.counts.total()} requests, {len(tally.failed)} failed, {len(tally.wrong)} wrong"
            print(line, file=sys.stderr, flush=True)


async def _shown(stage: Stage) -> bytes:
    """What the gateways show of themselves, and what lies in Redis."""
    shown = b""
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        for gateway in stage.gateways:
            for path in ("/metrics", "/routes", "/health/ready"):
                async with session.get(gateway.admin_url + path) as answer:
                    shown += await answer.read()
    with stage.redis.client() as client:
        for name in client.scan_iter():
            shown += name + (client.dump(name) or b"")
    return shown


def _found(tokens: Tokens, outputs: list[Path], shown: bytes) -> int:
    """How often a token or a secret stands in what the gateways have printed or shown."""
    wanted = [tokens.run.encode(), *(secret.encode() for secret in SECRETS)]
    count = sum(shown.count(one) for one in wanted)
    for output in outputs:
        kept = b""
        with output.open("rb") as stream:
            while piece := stream.read(_PIECE_BYTES):
                text = kept + piece
                kept = text[-64:]
                count += sum(text.count(one) - kept.count(one) for one in wanted)
        count += sum(kept.count(one) for one in wanted)
    return count


def _verdict(
    stage: Stage,
    tally: Tally,
    troubles: Troubles,
    watch: Watch,
    growths: Sequence[tuple[Growth, Within]],
    calls: int,
    leaked: int,
    spent_s: float,
) -> Verdict:
    unexcused = [one for one in tally.failed if not troubles.is_excused(one)]
    fives = [one for one in unexcused if one.status is not None and 500 <= one.status < 600]
    others = [one for one in unexcused if one not in fives]
    tracebacks = sum(gateway.output.read_bytes().count(b'"traceback"') for gateway in stage.gateways)
    statuses = [gateway.exit_status for gateway in stage.gateways]
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(tally.counts.items()))
    faults = [window for window in troubles.windows if window.place not in {"kill", "stall", "purge"}]
    rows = [
        Row("minutes", f"{spent_s / 60:.1f}"),
        Row(f"requests ({kinds})", tally.counts.total()),
        Row("introspections that reached the provider", calls),
        Row("fault windows; reloads; killed workers; purges", _joined(len(faults), troubles)),
        Row(f"times that the machine stopped the stand-ins for over {STALL_S:g} s", troubles.stalls),
        Row("failed within a window that excuses it", len(tally.failed) - len(unexcused)),
        Row("answers to the wrong caller", len(tally.wrong), not tally.wrong),
        Row(
            "unauthenticated requests seen by a backend",
            stage.witness.unvouched_count,
            stage.witness.unvouched_count == 0,
        ),
        Row("uploads that a backend saw twice", stage.witness.repeated_count, stage.witness.repeated_count == 0),
        Row("5xx outside fault windows", len(fives), not fives),
        Row("other failures outside windows", len(others), not others),
        Row("tokens and secrets found in output, metrics and Redis", leaked, leaked == 0),
        Row("tracebacks in output", tracebacks, tracebacks == 0),
        Row("reloads not taken, workers not replaced, purges failed", len(troubles.problems), not troubles.problems),
        Row("exit statuses", ", ".join(map(str, statuses)), statuses == [0, 0]),
        *(row for growth, held in growths for row in _growth_rows(growth, held)),
        Row("processes too young to be measured (shot)", len(watch.series) - len(growths)),
    ]
    details = [f"wrong: {one}" for one in tally.wrong[:_SHOWN_MAX]]
    details += [f"unvouched: {one}" for one in stage.witness.unvouched]
    details += [f"failed: {one}, near {_near(one, troubles)}" for one in (others + fives)[:_SHOWN_MAX]]
    tables = [line for growth, held in growths for line in held.lines(growth.name)]
    return Verdict(rows, details + troubles.problems[:_SHOWN_MAX], tables)


def _joined(faults: int, troubles: Troubles) -> str:
    return f"{faults}; {troubles.reloads}; {troubles.kills}; {troubles.purges}"


def _growth_rows(one: Growth, held: Within) -> Iterator[Row]:
    before, after = one.memory_before_bytes / 2**20, one.memory_after_bytes / 2**20
    yield Row(
        f"{one.name}, {one.minutes:.1f} minutes: memory in MiB (of it by tables that filled); descriptors",
        f"{before:.1f} to {after:.1f} ({held.growth_bytes / 2**20:+.1f}); "
        f"{one.descriptors_before} to {one.descriptors_after}",
        one.is_flat(held.growth_bytes),
    )
    if held.fillings:
        yield Row(f"{one.name}: entries of its largest table ({held.largest})", held.entries_most, held.is_bounded)
        yield Row(
            f"{one.name}: blocks that Python has allocated, the least",
            f"{held.blocks_before:,} to {held.blocks_after:,}",
        )


def _near(outcome: Outcome, troubles: Troubles) -> str:
    """The troubles that had begun a little before; where there are none, it failed by itself."""
    near = [one for one in troubles.windows if -1 < outcome.ended_s - one.began_s < 15]
    return (
        ", ".join(f"{one.place} {one.what} {outcome.ended_s - one.began_s:.1f} s before" for one in near) or "nothing"
    )
