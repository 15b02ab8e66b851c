"""An errand: what is to be obtained from a provider's token endpoint for one caller, a yes or no or another token.

The tiers remember what comes of it as they remember facts. So an errand is keyed as a token is: by its provider, what
is asked for, and the caller's token. Two errands that differ in one of these never meet.
"""

from __future__ import annotations

import json
from typing import Literal

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts
from gateway.authn.question import Question

Kind = Literal["permission", "exchange", "client"]
Pairs = tuple[tuple[str, str], ...]


class GrantParameters:
    """Holds what is asked of the token endpoint of `provider`, but for the caller. Made once where it does not vary.

    `pairs` are parameters of the request.
    """

    __slots__ = ("kind", "pairs", "prefix", "provider")

    def __init__(self, kind: Kind, provider: str, pairs: Pairs) -> None:
        self.kind: Kind = kind
        self.provider = provider
        self.pairs = pairs
        # JSON in ASCII has no line end of its own, so that nobody can move a part of it into the token behind it.
        self.prefix = json.dumps([kind, pairs], separators=(",", ":")) + "\n"

    @property
    def in_words(self) -> str:
        """The parameters for an operator; they name the gateway's configuration and parts of the path."""
        return " ".join(f"{name}={value}" for name, value in self.pairs) or "nothing in particular"


class Errand(Token):
    """Asks for `asked` in the name of the caller whom `question` and `facts` are about.

    Without them it is asked in the name of the gateway's own client.
    """

    __slots__ = ("asked", "facts", "question")

    def __init__(self, asked: GrantParameters, question: Question | None, facts: Facts | None) -> None:
        super().__init__(asked.prefix if question is None else asked.prefix + question.token.value)
        self.is_remembered = True  # it comes in no field
        self.asked = asked
        self.question = question
        self.facts = facts

    def __repr__(self) -> str:
        return f"Errand({self.asked.kind}, {self.asked.provider})"

    @property
    def caller(self) -> Token | None:
        return None if self.question is None else self.question.token
