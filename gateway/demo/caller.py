"""The walk-through's HTTP client: one request at a time, read whole, within a deadline, with failures in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

_TIMEOUT_S = 10.0
_SHOWN_MAX = 300


class UnexpectedError(Exception):
    """A step did not go as it should. Both texts are for people."""

    def __init__(self, expected: str, came: str) -> None:
        super().__init__(f"expected {expected}, came {came}")
        self.expected = expected
        self.came = came


@dataclass(frozen=True, slots=True)
class DemoResponse:
    """Holds a response, read whole."""

    status: int
    headers: Mapping[str, str]
    text: str
    challenges: tuple[str, ...] = ()  # all values of WWW-Authenticate

    def document(self) -> dict[str, Any]:
        """The body as a JSON object. Raises `UnexpectedError`."""
        try:
            value = json.loads(self.text)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise UnexpectedError("a JSON object", self.summary())
        return value

    def summary(self) -> str:
        return f"{self.status} {' '.join(self.text.split())[:_SHOWN_MAX]}".rstrip()


class DemoClient:
    """Sends requests within an asynchronous context, without the environment's proxies and without cookies."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, **body: Any
    ) -> DemoResponse:
        """Send a request and read the response; `body` is aiohttp's `data` or `json`. Raises `UnexpectedError`."""
        assert self._session is not None  # within the context
        try:
            async with self._session.request(method, url, headers=headers, allow_redirects=False, **body) as response:
                challenges = tuple(response.headers.getall("WWW-Authenticate", ()))
                return DemoResponse(response.status, response.headers, await response.text(), challenges)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UnexpectedError(f"a response to {method} {url}", f"{type(error).__name__}: {error}") from error
