"""What goes wrong in a soak, and when: faults on the roads, reloads, killed workers, emptied caches."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from dataclasses import dataclass, field

from benchmarks.soak_stage import Stage, edits
from support.callers import Outcome
from support.fault_proxy import CLEAR, GARBLED, HALF_CLOSING, RESETTING, SILENT, Weather
from support.processes import ServedGateway

WEATHERS = {
    "latency": Weather(latency_s=0.3),
    "bandwidth": Weather(bytes_per_s=20_000),
    "slicing": Weather(slice_bytes=7),
    "silence": SILENT,
    "reset": RESETTING,
    "half-close": HALF_CLOSING,
    "garbage": GARBLED,
}
WAYS = ("to_server", "to_client", "both")
FAULT_S, CALM_S = 4.0, 8.0
# What was begun within a fault has its own deadlines, of 3 s at most, to end by.
SETTLE_S = 4.0
RELOAD_EVERY_S, PURGE_EVERY_S = 9.0, 5.0
KILL_EVERY_S, KILL_FIRST_S = 25.0, 12.0
# A caller that waits between two requests learns late that its worker has gone.
KILL_SETTLE_S = 3.0
# What is open ends with its token, within a second of the purge anywhere in the fleet (docs/revocation.md).
PURGED, PURGE_SETTLE_S = 1008, 1.5
# Redis excuses nothing: it is there to be done without.
EXCUSED = {
    "provider": {502, 503, 504, PURGED, None},  # whoever cannot be asked about again is ended as well
    "backend": {502, 503, 504, None},
    "kill": {None},
    "purge": {PURGED},
}
# Provider and backend live in this process. When the machine stops it for longer than this, they are slow.
STALL_S = 0.5
EXCUSED["stall"] = {503, 504}


@dataclass
class Window:
    """From `began_s` to `ended_s` (monotonic), settling included, `place` excuses what `EXCUSED` says."""

    place: str
    what: str
    began_s: float
    ended_s: float = float("inf")

    def excuses(self, outcome: Outcome) -> bool:
        if outcome.ended_s < self.began_s or outcome.began_s > self.ended_s:
            return False
        if "garbage" in self.what and outcome.status == 200:
            return self.place == "backend"  # a garbled body is no news to anybody without TLS
        return outcome.status in EXCUSED.get(self.place, ())


@dataclass
class Troubles:
    """`run` until cancelled. The first worker of each gateway is spared: somebody must grow old to be measured."""

    stage: Stage
    dice: random.Random
    windows: list[Window] = field(default_factory=list)
    reloads: int = 0
    kills: int = 0
    purges: int = 0
    stalls: int = 0
    problems: list[str] = field(default_factory=list)

    async def run(self, stopping: asyncio.Event) -> None:
        spared = {gateway.name: gateway.workers()[0] for gateway in self.stage.gateways}
        async with asyncio.TaskGroup() as group:
            group.create_task(self._weather(stopping))
            group.create_task(self._reload(stopping))
            group.create_task(self._kill(stopping, spared))
            group.create_task(self._purge(stopping))
            group.create_task(self._notice_stalls(stopping))

    def is_excused(self, outcome: Outcome) -> bool:
        if outcome.status == PURGED and any(self._came_late(purge, outcome) for purge in self.windows):
            return True
        return any(window.excuses(outcome) for window in self.windows)

    def _came_late(self, purge: Window, outcome: Outcome) -> bool:
        """Redis carries a purge to the other gateway: while it carries badly, the purge comes later there."""
        return purge.place == "purge" and any(
            road.place.startswith("redis-")
            and road.began_s <= purge.ended_s
            and purge.began_s <= outcome.ended_s
            and max(road.began_s, purge.began_s) <= outcome.ended_s <= road.ended_s + PURGE_SETTLE_S
            for road in self.windows
        )

    async def _weather(self, stopping: asyncio.Event) -> None:
        combinations = [(place, what, way) for place in self.stage.roads for what in WEATHERS for way in WAYS]
        while True:
            self.dice.shuffle(combinations)
            for place, what, way in combinations:
                if await _passed(stopping, CALM_S):
                    return
                road = self.stage.roads[place]
                window = Window(place, f"{what} {way}", time.monotonic())
                self.windows.append(window)
                for each in (road.to_server, road.to_client):
                    if way == "both" or each is getattr(road, way):
                        each.become(WEATHERS[what])
                await _passed(stopping, FAULT_S)
                road.become(CLEAR)
                window.ended_s = time.monotonic() + SETTLE_S

    async def _reload(self, stopping: asyncio.Event) -> None:
        files = {gateway.name: edits(gateway.document) for gateway in self.stage.gateways}
        turn = 0
        while not await _passed(stopping, RELOAD_EVERY_S):
            gateway = self.stage.gateways[turn % 2]
            choices = files[gateway.name]
            before = len(gateway.events("reloaded"))
            gateway.reload(choices[turn // 2 % len(choices)])
            turn += 1
            deadline = time.monotonic() + 30
            while len(gateway.events("reloaded")) == before:
                if time.monotonic() > deadline:
                    self.problems.append(f"gateway {gateway.name} did not take a reload")
                    break
                await asyncio.sleep(0.2)
            self.reloads += 1

    async def _kill(self, stopping: asyncio.Event, spared: dict[str, int]) -> None:
        pause_s, turn = KILL_FIRST_S, 0
        while not await _passed(stopping, pause_s):
            gateway = self.stage.gateways[turn % 2]
            turn, pause_s = turn + 1, KILL_EVERY_S
            for pid in gateway.workers():
                if pid != spared[gateway.name]:
                    await self._shoot(gateway, pid)
                    break

    async def _shoot(self, gateway: ServedGateway, pid: int) -> None:
        began_s = time.monotonic()
        self.windows.append(Window("kill", gateway.name, began_s, began_s + KILL_SETTLE_S))
        os.kill(pid, signal.SIGKILL)
        self.kills += 1
        try:
            await gateway.until_workers(2, without=pid)
        except AssertionError as error:
            self.problems.append(str(error))

    async def _purge(self, stopping: asyncio.Event) -> None:
        while not await _passed(stopping, PURGE_EVERY_S):
            gateway = self.dice.choice(self.stage.gateways)
            selector = self.dice.choice([{}, {"sub": "u1"}, {"token": self.stage.tokens.kept("u2")}])
            window = Window("purge", ", ".join(selector) or "everything", time.monotonic())
            self.windows.append(window)
            try:
                await gateway.forget(**selector)
            except (AssertionError, OSError, TimeoutError) as error:
                # A worker that was shot in between is a reason to be told so.
                if not any(one.place == "kill" and time.monotonic() < one.ended_s + 10 for one in self.windows):
                    self.problems.append(f"DELETE /cache: {type(error).__name__} {error}")
            window.ended_s = time.monotonic() + PURGE_SETTLE_S
            self.purges += 1

    async def _notice_stalls(self, stopping: asyncio.Event) -> None:
        began_s = time.monotonic()
        while not await _passed(stopping, 0.1):
            now_s = time.monotonic()
            if now_s - began_s > STALL_S:
                self.stalls += 1
                self.windows.append(Window("stall", f"of {now_s - began_s:.1f} s", began_s, now_s + SETTLE_S))
            began_s = now_s


async def _passed(stopping: asyncio.Event, seconds: float) -> bool:
    """Wait; whether it is time to stop."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return False
    return True
