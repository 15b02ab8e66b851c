"""The channel between the supervisor and a worker: JSON lines over a socket pair.

Three forms of line: `{"ask": word, "id": n, "body": …}`, its answer `{"id": n, "answer": …}` or
`{"id": n, "failure"|"refusal": words}`, and the one-way `{"tell": word, "body": …}`. Either side may ask. Lines
are bounded, every question has a deadline, and the end of the stream means that the other process is gone.

What goes over it (configurations, tokens to explain) stays between two processes of one user, and is never logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

# The largest lines are configurations and snapshots: 10,000 routes make about 5 MiB of either.
LINE_MAX_BYTES = 64 * 2**20
# Questions of the other side that may be worked on at once; more are refused, so that reading never stops.
_AT_ONCE = 256
# How long the last lines of a channel that is closed may take to be read.
_CLOSING_S = 2.0

_logger = logging.getLogger(__name__)

Answerer = Callable[[str, Any], Awaitable[Any]]


class ControlError(Exception):
    """A question was not answered as asked."""


class ChannelClosedError(ControlError):
    """The other process is gone, or was given up."""


class UnansweredError(ControlError):
    """The other process did not answer in time."""


class FailedError(ControlError):
    """The other process answered that it could not; the text is its own."""


class RefusedError(FailedError):
    """The other process answered that the question is wrong: a `ValueError` there."""


async def _answers_nothing(word: str, _body: Any) -> Any:
    raise FailedError(f"{word} is not answered here")


class Channel:
    """One end. `run` reads until the other end is gone; `ask` and `tell` may be used meanwhile.

    Questions of the other side go to `answer(word, body)`, which may be set until `run` begins: each in a task of
    its own, begun in the order in which they came. What it raises is told to the asker: `ValueError` as a
    `RefusedError`, `FailedError` as itself, both in their words, and anything else as a `FailedError` without them.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answerer = _answers_nothing
    ) -> None:
        self._reader = reader
        self._writer = writer
        self.answer = answer
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @classmethod
    async def over(cls, sock: socket.socket, answer: Answerer = _answers_nothing) -> Channel:
        """The end on `sock`, which the channel owns from now on."""
        sock.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=sock, limit=LINE_MAX_BYTES)
        return cls(reader, writer, answer)

    async def run(self) -> None:
        """Read until the other end is gone or speaks another language, then fail all that is waiting."""
        try:
            while line := await self._reader.readline():
                if not line.endswith(b"\n"):
                    break  # the other process died within a line
                self._received(json.loads(line))
        except (OSError, ValueError, KeyError, TypeError) as error:
            _logger.warning("control channel lost: %s", error, extra={"event": "control_lost"})
        finally:
            self.close()
            await self._ended()

    async def ask(self, word: str, body: Any = None, *, timeout_s: float) -> Any:
        """The answer to a question, which is sent before the first wait. Raises `ControlError`."""
        if self._closed:
            raise ChannelClosedError("the other process is gone")
        number = next(self._ids)
        self._send({"ask": word, "id": number, "body": body})
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answered
        try:
            async with asyncio.timeout(timeout_s):
                return await answered
        except TimeoutError:
            raise UnansweredError(f"no answer to {word} within {timeout_s:g} s") from None
        finally:
            del self._waiting[number]

    def tell(self, word: str, body: Any = None) -> None:
        """Send without waiting for anything; lost when the other process is gone."""
        if not self._closed:
            with contextlib.suppress(ChannelClosedError):
                self._send({"tell": word, "body": body})

    def close(self) -> None:
        """Close the end; whoever waits for an answer gets `ChannelClosedError`.

        What was sent before is still delivered, if the other process reads it soon.
        """
        if not self._closed:
            self._closed = True
            self._writer.close()
            # Closing waits until all is written, and reading ends no sooner than that.
            asyncio.get_running_loop().call_later(_CLOSING_S, self._writer.transport.abort)
        for answered in self._waiting.values():
            if not answered.done():
                answered.set_exception(ChannelClosedError("the other process is gone"))

    def _send(self, message: dict[str, Any]) -> None:
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        if len(line) > LINE_MAX_BYTES:
            raise FailedError(f"{len(line)} bytes are more than the {LINE_MAX_BYTES} of a line")
        if self._writer.transport.get_write_buffer_size() > LINE_MAX_BYTES:
            # It has stopped reading, and what it does not read is our memory.
            self.close()
            self._writer.transport.abort()
            raise ChannelClosedError("the other process has stopped reading")
        self._writer.write(line)

    def _received(self, message: dict[str, Any]) -> None:
        if "ask" in message or "tell" in message:
            if len(self._tasks) >= _AT_ONCE:
                self._reply(message, {"failure": "busy with other questions"})
                return
            task = asyncio.create_task(self._attend(message), name=f"control {message.get('ask', 'notice')}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        answered = self._waiting.get(message["id"])
        if answered is None or answered.done():
            return  # it came after its deadline
        if "refusal" in message:
            answered.set_exception(RefusedError(message["refusal"]))
        elif "failure" in message:
            answered.set_exception(FailedError(message["failure"]))
        else:
            answered.set_result(message["answer"])

    async def _attend(self, message: dict[str, Any]) -> None:
        try:
            answer = await self.answer(message.get("ask") or message["tell"], message.get("body"))
            reply = {"answer": answer}
        except ValueError as error:
            reply = {"refusal": str(error)}
        except ControlError as error:
            reply = {"failure": str(error)}
        except Exception as error:
            # The process goes on; what went wrong stands in its log, not in the answer.
            _logger.exception("a question of the other process failed", extra={"event": "control_failed"})
            reply = {"failure": f"internal error: {type(error).__name__}"}
        self._reply(message, reply)

    def _reply(self, message: dict[str, Any], reply: dict[str, Any]) -> None:
        if "ask" not in message or self._closed:
            return
        with contextlib.suppress(ControlError):
            try:
                self._send({"id": message["id"], **reply})
            except (FailedError, TypeError) as error:  # too large, or no JSON
                self._send({"id": message["id"], "failure": str(error)})

    async def _ended(self) -> None:
        # What came last may have come together with the end, as a goodbye does; a task that is cancelled before its
        # first step never takes it.
        await asyncio.sleep(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
