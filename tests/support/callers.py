"""Callers of a gateway in front of a `Witness`: each request bears a marker of its own and is judged by its answer.

What a caller finds is an `Outcome`. Whether a failure is excused, by a fault that somebody switched on, is for those
to say who did; an answer that belongs to somebody else is never excused.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from support.tokens import Tokens
from support.wire import Answer, BrokenOffError, Client, request
from support.witness import lines_of

_ANSWER_S = 15.0
_FRAME_S = 5.0
_REQUESTS_PER_CONNECTION = 25
_MARKER_LINE = re.compile(rb"([a-z0-9]+-[0-9]+)\n")


@dataclass(frozen=True)
class Outcome:
    """`status` is None when no answer came; `wrong` says what makes the answer somebody else's, or undue."""

    kind: str
    began_s: float  # monotonic, as `ended_s`
    ended_s: float
    status: int | None
    failure: str | None = None
    wrong: str | None = None


class WrongError(Exception):
    """The answer is another caller's, or one that this caller has no right to."""


class FailedError(Exception):
    """The answer is not the one that was to come."""

    def __init__(self, words: str, status: int | None) -> None:
        super().__init__(words)
        self.status = status


@dataclass
class Caller:
    """One closed loop: the next request follows the last answer. `record` is told of each outcome."""

    name: str
    addresses: list[tuple[str, int]]
    tokens: Tokens
    record: Callable[[Outcome], object]
    dice: random.Random
    weights: Mapping[str, int]
    think_s: float = 0.0
    _serial: int = 0
    _client: Client | None = None
    _left: int = 0

    async def run(self, stopping: asyncio.Event) -> None:
        kinds, weights = list(self.weights), list(self.weights.values())
        try:
            while not stopping.is_set():
                await self.once(self.dice.choices(kinds, weights)[0])
                await asyncio.sleep(self.think_s * self.dice.uniform(0.5, 1.5))
        finally:
            await self.leave()

    async def once(self, kind: str) -> Outcome:
        """One request of a kind; what came of it is recorded and returned."""
        errands: dict[str, Callable[[], Awaitable[int | None]]] = {
            "hit": self._hit,
            "miss": self._miss,
            "refusal": self._refusal,
            "upload": self._upload,
            "download": self._download,
            "socket": self._socket,
            "disconnect": self._disconnect,
        }
        self._serial += 1
        began_s, status, failure, wrong = time.monotonic(), None, None, None
        try:
            async with asyncio.timeout(_ANSWER_S):
                status = await self._judged(errands[kind])
        except WrongError as error:
            wrong = str(error)
            await self.leave()
        except FailedError as error:
            status, failure = error.status, str(error)
            await self.leave()
        except (OSError, EOFError, TimeoutError, AssertionError) as error:
            failure = f"{type(error).__name__}: {error}"
            await self.leave()
        outcome = Outcome(kind, began_s, time.monotonic(), status, failure, wrong)
        self.record(outcome)
        return outcome

    async def _judged(self, errand: Callable[[], Awaitable[int | None]]) -> int | None:
        try:
            return await errand()
        except BrokenOffError as error:
            if error.partial is not None:
                self._check_marker(error.partial.body)
            raise FailedError("the answer broke off", None) from None

    @property
    def marker(self) -> str:
        return f"{self.name}-{self._serial}"

    def _user(self) -> str:
        return self.dice.choice(self.tokens.names())

    async def _hit(self) -> int:
        user = self._user()
        return await self._echo(user, self.tokens.kept(user))

    async def _miss(self) -> int:
        user = self._user()
        return await self._echo(user, self.tokens.fresh(user))

    async def _echo(self, user: str, token: str) -> int:
        # A forged header on the way: what the backend is told must be the token's.
        wire = request("GET", f"/api/{user}/{self.marker}/echo", "X-User-Id: root", "x_user_id: root", token=token)
        answer = await self._ask(wire)
        self._is_own(answer.body, user)
        return answer.status

    async def _refusal(self) -> int:
        place = f"nobody/{self.marker}/echo"
        kept = self.tokens.kept(self._user())
        wire, status = self.dice.choice(
            [
                (request("GET", f"/api/{place}"), 401),
                (request("GET", f"/api/{place}", token=self.tokens.junk()), 401),
                (request("GET", f"/strict/{place}", token=kept), 403),
                (request("GET", f"/elsewhere/{place}", token=kept), 404),
                (request("GET", f"/api/{place}", "Authorization: Bearer a", token=kept), 400),
                (request("GET", f"/api/{place}", f"Cookie: token={kept}"), 401),
                (request("POST", f"/api/{place}", token=self.tokens.junk(), body=b"x" * 30_000), 401),
                (request("GET", f"/api/../api/{place}", token=kept), 400),
            ]
        )
        client = await self._connected()
        await client.send(wire)
        answer = await client.answer()
        if answer.status < 400:
            raise WrongError(f"{self.marker} got {answer.status} and not {status}")
        if answer.status != status:
            raise FailedError(f"{answer.status} {answer.code} and not {status}", answer.status)
        if answer.value("Connection") == "close":
            await self.leave()
        return answer.status

    async def _upload(self) -> int:
        user, body = self._user(), self.dice.randbytes(self.dice.randrange(1, 200_000))
        target, token = f"/api/{user}/{self.marker}/upload", self.tokens.kept(user)
        if self.dice.random() < 0.5:
            wire = request("POST", target, token=token, body=body)
        else:
            parts = [body[start : start + 7_000] for start in range(0, len(body), 7_000)]
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
            wire = request("POST", target, "Transfer-Encoding: chunked", token=token) + chunks
        answer = await self._ask(wire)
        told = self._is_own(answer.body, user)
        if (told["size"], told["sha256"]) != (len(body), hashlib.sha256(body).hexdigest()):
            raise FailedError(f"{len(body)} bytes went up and {told['size']} arrived", answer.status)
        return answer.status

    async def _download(self) -> int:
        user, size = self._user(), self.dice.randrange(1, 500_000)
        target = f"/api/{user}/{self.marker}/download-{size}"
        answer = await self._ask(request("GET", target, token=self.tokens.kept(user)))
        if answer.value("X-For") != user:
            raise WrongError(f"{self.marker} of {user} got the answer for {answer.value('X-For')}")
        if answer.body != lines_of(self.marker, size):
            self._check_marker(answer.body)
            raise FailedError(f"{size} bytes were to come and {len(answer.body)} came", answer.status)
        return answer.status

    async def _socket(self) -> int:
        user = self._user()
        async with await Client.of(self.dice.choice(self.addresses)) as client:
            await client.send(
                request(
                    "GET",
                    f"/api/{user}/{self.marker}/socket",
                    "Connection: Upgrade",
                    "Upgrade: websocket",
                    "Sec-WebSocket-Version: 13",
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                    token=self.tokens.kept(user),
                )
            )
            answer = await client.answer()
            if answer.status != 101:
                raise FailedError(f"{answer.status} and not 101", answer.status)
            for number in range(self.dice.randrange(1, 6)):
                text = f"{self.marker}.{number}".encode()
                mask = self.dice.randbytes(4)
                masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(text))
                await client.send(b"\x81" + bytes([0x80 | len(text)]) + mask + masked)
                async with asyncio.timeout(_FRAME_S):
                    start = await client.read_exactly(4)
                    if start[:1] == b"\x88":  # RFC 6455 §5.5.1; 1008 is the gateway's own, when the token is purged
                        code = int.from_bytes(start[2:4], "big")
                        raise FailedError(f"closed with {code}", code)
                    if start[:2] != b"\x81\x7e":
                        raise FailedError("no text frame", None)
                    told = await client.read_exactly(int.from_bytes(start[2:], "big"))
                self._is_own(told, user)
                await asyncio.sleep(self.dice.uniform(0, 0.2))
            await client.send(b"\x88\x80" + self.dice.randbytes(4))
        return 101

    async def _disconnect(self) -> None:
        """Leave in the middle: of a head, an upload, a wait or a download."""
        user = self._user()
        start = f"/api/{user}/{self.marker}"
        token = self.dice.choice([self.tokens.kept, self.tokens.fresh])(user)
        wire = self.dice.choice(
            [
                request("GET", f"{start}/echo", token=token)[:-3],
                request("POST", f"{start}/upload", token=token, body=b"x" * 300_000)[
                    : self.dice.randrange(500, 200_000)
                ],
                request("GET", f"{start}/late-{self.dice.randrange(300)}", token=token),
                request("GET", f"{start}/download-3000000", token=token),
            ]
        )
        client = await Client.of(self.dice.choice(self.addresses))
        try:
            await client.send(wire)
            await asyncio.sleep(self.dice.uniform(0, 0.2))
        finally:
            if self.dice.random() < 0.5:
                client.reset()
            await client.close()

    async def _ask(self, wire: bytes) -> Answer:
        """The 200 that is to come. A failed connection of another request's is not tried twice: it counts."""
        client = await self._connected()
        await client.send(wire)
        answer = await client.answer()
        if answer.status != 200:
            raise FailedError(f"{answer.status} {_code(answer)}", answer.status)
        if answer.value("Connection") == "close":
            await self.leave()
        return answer

    async def _connected(self) -> Client:
        if self._client is None or self._left == 0:
            await self.leave()
            self._client, self._left = await Client.of(self.dice.choice(self.addresses)), _REQUESTS_PER_CONNECTION
        self._left -= 1
        return self._client

    async def leave(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.writer.transport.abort()
            await client.close()

    def _is_own(self, body: bytes, user: str) -> dict[str, Any]:
        try:
            told: dict[str, Any] = json.loads(body)
            marker, users = told["marker"], told["user"]
        except (ValueError, KeyError, TypeError):
            self._check_marker(body)
            raise FailedError("the answer can not be read", 200) from None
        if (marker, users) != (self.marker, [user]):
            raise WrongError(f"{self.marker} of {user} got the answer to {marker} for {users}")
        return told

    def _check_marker(self, body: bytes) -> None:
        """What is cut short or garbled may still be recognised as another caller's."""
        found = _MARKER_LINE.match(body)
        if found is not None and found[1].decode() != self.marker:
            raise WrongError(f"{self.marker} got the answer to {found[1].decode()}")


def _code(answer: Answer) -> str:
    try:
        return str(json.loads(answer.body)["code"])
    except (ValueError, KeyError, TypeError):
        return "without a code"
