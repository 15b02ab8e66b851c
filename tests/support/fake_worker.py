"""A worker with nothing in it: speaks the control channel, and answers each connection with its pid and its text.

The text of its configuration is what it does: `refuse: words`, `die`, `mute`, `slow: seconds`, anything else is
served as it stands.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys

from gateway.workers.instance import Readiness
from gateway.workers.worker import ConfigSource, serve_worker

SERVED = "gateway_requests_total"


class FakeWorker:
    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.text = ""
        self.served = 0
        self.remembered = {"alice", "bob"}
        self.server: asyncio.Server | None = None
        self.busy: set[asyncio.Task[None]] = set()

    async def configure(self, source: ConfigSource) -> None:
        await self.reload(source)
        self.listener.setblocking(False)
        self.server = await asyncio.start_server(self.answer, sock=self.listener)

    async def reload(self, source: ConfigSource) -> None:
        if source.text.startswith("refuse: "):
            raise ValueError(source.text.removeprefix("refuse: "))
        if source.text == "die":
            os._exit(3)
        if source.text == f"die in {os.getpid()}":
            raise RuntimeError("not this one")
        self.text = source.text

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.busy.add(task)
        self.served += 1
        if self.text.startswith("slow: "):
            await asyncio.sleep(float(self.text.removeprefix("slow: ")))
        writer.write(f"{os.getpid()} {self.text}".encode())
        writer.close()
        await writer.wait_closed()
        self.busy.discard(task)

    async def purge(self, selector: dict[str, str]) -> int:
        gone = {selector["sub"]} & self.remembered if "sub" in selector else set(self.remembered)
        self.remembered -= gone
        return len(gone)

    async def explain(self, question: dict[str, str]) -> dict[str, object]:
        if question["url"] == "nonsense":
            raise ValueError("that is no URL")
        if question["url"] == "bug":
            raise RuntimeError("with a secret in it")
        return {"decision": "allow", "asked": question}

    def lame_duck(self) -> None:
        self.text += " at last"

    async def drain(self, timeout_s: float | None) -> None:
        assert self.server is not None
        self.server.close()
        if self.busy:
            await asyncio.wait(self.busy, timeout=timeout_s)

    def refusals(self) -> list[dict[str, object]]:
        return [{"time": self.served, "pid": os.getpid()}] * self.served

    def snapshot(self) -> dict[str, object]:
        return {
            "counters": {SERVED: [[["fake", "GET", "200"], self.served]]},
            "gauges": {"gateway_connections": len(self.busy) + 1},
        }

    def ready(self) -> Readiness:
        if self.text == "unready":
            return Readiness(ready=False, reasons=("the provider is not found",), checks={"provider": "sought"})
        return Readiness(ready=True, checks={"provider": "found"})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--die-at-once", action="store_true")
    parser.add_argument("--mute", action="store_true", help="read nothing, answer nothing, ignore SIGTERM")
    chosen = parser.parse_args()
    if chosen.die_at_once:
        sys.exit(7)
    if chosen.mute:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            signal.pause()
    control = socket.socket(fileno=chosen.control_fd)
    asyncio.run(serve_worker(control, FakeWorker(socket.socket(fileno=chosen.listen_fd))))


if __name__ == "__main__":
    main()
