"""The tokens of one run, which are told from all other text by a name that they share."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import Any

from support.scripted_provider import Call


@dataclass
class Tokens:
    """Tokens of one run, which tell them from all other text: `<run>.<user>.<serial>`; and what they stand for."""

    run: str
    users: int = 12
    life_s: float = 300.0
    _serials: Any = field(default_factory=lambda: itertools.count(1), repr=False)

    def kept(self, user: str) -> str:
        """The one that a user has all the time."""
        return f"{self.run}.{user}.kept"

    def fresh(self, user: str) -> str:
        return f"{self.run}.{user}.{next(self._serials)}"

    def junk(self) -> str:
        return f"{self.run}.junk.{next(self._serials)}"

    def names(self) -> list[str]:
        return [f"u{number}" for number in range(self.users)]

    def answer(self, call: Call) -> dict[str, Any]:
        """For a provider's `default`."""
        run, _, rest = (call.token or "").partition(".")
        user = rest.partition(".")[0]
        if run != self.run or user not in self.names():
            return {"active": False}
        return {"active": True, "sub": user, "scope": "read", "exp": int(time.time() + self.life_s)}
