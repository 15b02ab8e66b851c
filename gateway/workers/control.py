"""The channel between the supervisor and a worker: JSON lines over a socket pair.

How this works:

- Either side may ask: `{"ask": name, "id": n, "body": …}`. The other side answers with the same id:
  `{"id": n, "answer": …}`, or `{"id": n, "failure": text}`, or `{"id": n, "refusal": text}`.
- Either side may also send a notice that nobody answers: `{"tell": name, "body": …}`.
- `Channel.run` reads lines until the other process is gone. It hands each question to a task of its own, and each
  answer to the future of `ask` that waits for its id.
- Lines are bounded, the number of questions under way is bounded, and every question has a deadline. The end of the
  stream means that the other process is gone.

Configurations and tokens to explain go over the channel. They stay between two processes of one user and are never
logged.
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
# How many questions of the other side may be under way; more are refused, so that reading never stops.
_QUESTIONS_MAX = 256
# How long the other side may take to read the last lines of a closed channel.
_CLOSE_S = 2.0

_logger = logging.getLogger(__name__)

Handler = Callable[[str, Any], Awaitable[Any]]


class ControlError(Exception):
    """The other process did not answer a question as asked."""


class ChannelClosedError(ControlError):
    """The other process is gone, or this one gave it up."""


class UnansweredError(ControlError):
    """The other process did not answer in time."""


class FailedError(ControlError):
    """The other process answered that it could not do it; the text is its own."""


class RefusedError(FailedError):
    """The other process future that the question is wrong, a `ValueError` there."""


async def _handles_nothing(name: str, _body: Any) -> Any:
    raise FailedError(f"{name} is not answered here")


class Channel:
    """Asks and answers questions at one end. `run` reads until the other end is gone; `ask` and `tell` work meanwhile.

    Questions of the other side go to `answer(name, body)`, which may be set until `run` begins. Each runs in a task of
    its own, in the order of arrival. The asker gets a `ValueError` as a `RefusedError` and a `FailedError` as itself,
    both with their text, and any other exception as a `FailedError` without its text.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Handler = _handles_nothing
    ) -> None:
        self._reader = reader
        self._writer = writer
        self.answer = answer
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @classmethod
    async def over(cls, sock: socket.socket, answer: Handler = _handles_nothing) -> Channel:
        """Make the end on `sock`, which the channel owns from then on."""
        sock.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=sock, limit=LINE_MAX_BYTES)
        return cls(reader, writer, answer)

    async def run(self) -> None:
        """Read until the other end is gone or sends something else, then fail every question that waits."""
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

    async def ask(self, name: str, body: Any = None, *, timeout_s: float) -> Any:
        """Send a question before the first wait, and return its answer. Raises `ControlError`."""
        if self._closed:
            raise ChannelClosedError("the other process is gone")
        number = next(self._ids)
        self._send({"ask": name, "id": number, "body": body})
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise UnansweredError(f"no answer to {name} within {timeout_s:g} s") from None
        finally:
            del self._waiting[number]

    def tell(self, name: str, body: Any = None) -> None:
        """Send a notice without waiting. It is lost when the other process is gone."""
        if not self._closed:
            with contextlib.suppress(ChannelClosedError):
                self._send({"tell": name, "body": body})

    def close(self) -> None:
        """Close the end. Every `ask` that waits raises `ChannelClosedError`.

        The other process still gets what was sent before, if it reads soon.
        """
        if not self._closed:
            self._closed = True
            self._writer.close()
            # The transport closes only when all is written, and reading does not end before that.
            asyncio.get_running_loop().call_later(_CLOSE_S, self._writer.transport.abort)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ChannelClosedError("the other process is gone"))

    def _send(self, message: dict[str, Any]) -> None:
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        if len(line) > LINE_MAX_BYTES:
            raise FailedError(f"{len(line)} bytes are more than the {LINE_MAX_BYTES} of a line")
        if self._writer.transport.get_write_buffer_size() > LINE_MAX_BYTES:
            # The other process has stopped reading, and unread lines fill our memory.
            self.close()
            self._writer.transport.abort()
            raise ChannelClosedError("the other process has stopped reading")
        self._writer.write(line)

    def _received(self, message: dict[str, Any]) -> None:
        if "ask" in message or "tell" in message:
            if len(self._tasks) >= _QUESTIONS_MAX:
                self._reply(message, {"failure": "busy with other questions"})
                return
            task = asyncio.create_task(self._handle(message), name=f"control {message.get('ask', 'notice')}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        future = self._waiting.get(message["id"])
        if future is None or future.done():
            return  # the answer came after the deadline
        if "refusal" in message:
            future.set_exception(RefusedError(message["refusal"]))
        elif "failure" in message:
            future.set_exception(FailedError(message["failure"]))
        else:
            future.set_result(message["answer"])

    async def _handle(self, message: dict[str, Any]) -> None:
        try:
            answer = await self.answer(message.get("ask") or message["tell"], message.get("body"))
            reply = {"answer": answer}
        except ValueError as error:
            reply = {"refusal": str(error)}
        except ControlError as error:
            reply = {"failure": str(error)}
        except Exception as error:
            # The process goes on; the log says what went wrong, the answer does not.
            _logger.exception("a question of the other process failed", extra={"event": "control_failed"})
            reply = {"failure": f"internal error: {type(error).__name__}"}
        self._reply(message, reply)

    def _reply(self, message: dict[str, Any], reply: dict[str, Any]) -> None:
        if "ask" not in message or self._closed:
            return
        with contextlib.suppress(ControlError):
            try:
                self._send({"id": message["id"], **reply})
            except (FailedError, TypeError) as error:  # too large, or not JSON
                self._send({"id": message["id"], "failure": str(error)})

    async def _ended(self) -> None:
        # The last notice may have come together with the end, as a goodbye does. A task that is cancelled before its
        # first step would never handle it, so give it one.
        await asyncio.sleep(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
