"""A grant: what is to be obtained from a provider's token endpoint for one caller, a yes or no or another token.

The tiers remember what comes of it as they remember facts. So a grant is keyed as a token is: by its provider, what
is asked for, and the caller's token. Two grants that differ in one of these never meet.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts
from gateway.authn.question import Question
from gateway.http.bounded_memo import BoundedMemo

Kind = Literal["permission", "exchange", "client"]
Pairs = tuple[tuple[str, str], ...]


# Callers of one route that are kept: with tokens of the usual length a few MiB.
_GRANTS_MAX = 2048
_TOKEN_CHARS_MAX = 2048


class GrantParameters:
    """Holds what is asked of the token endpoint of `provider`, but for the caller. Made once where it does not vary.

    `pairs` are parameters of the request. The grants of callers who come again are kept, with the cache key and the
    outcome that were made of each last time.
    """

    __slots__ = ("_grants", "kind", "pairs", "prefix", "provider")

    def __init__(self, kind: Kind, provider: str, pairs: Pairs) -> None:
        self.kind: Kind = kind
        self.provider = provider
        self.pairs = pairs
        # JSON in ASCII has no line end of its own, so that nobody can move a part of it into the token behind it.
        self.prefix = json.dumps([kind, pairs], separators=(",", ":")) + "\n"
        self._grants: BoundedMemo[str, GrantRequest] = BoundedMemo(_GRANTS_MAX)

    def grant(self, question: Question | None, facts: Facts | None) -> GrantRequest:
        """The grant for the caller whom `question` and `facts` are about; for the gateway's own client without."""
        token = "" if question is None else question.token.value
        known = self._grants.known.get(token)
        if known is None or known.facts is not facts:
            known = GrantRequest(self, question, facts)
            if len(token) <= _TOKEN_CHARS_MAX:
                self._grants.keep(token, known)
        return known

    @property
    def in_words(self) -> str:
        """The parameters for an operator; they name the gateway's configuration and parts of the path."""
        return " ".join(f"{name}={value}" for name, value in self.pairs) or "nothing in particular"


class GrantRequest(Token):
    """Asks for `asked` in the name of the caller whom `question` and `facts` are about.

    Without them it is asked in the name of the gateway's own client. `outcome` is what was made of the verdict `kept`
    last time; it holds as long as the tiers have this very verdict, and until `due_at` on the wall clock.
    """

    __slots__ = ("asked", "due_at", "facts", "kept", "outcome", "question")

    def __init__(self, asked: GrantParameters, question: Question | None, facts: Facts | None) -> None:
        super().__init__(asked.prefix if question is None else asked.prefix + question.token.value)
        self.is_remembered = True  # it comes in no field
        self.asked = asked
        self.question = question
        self.facts = facts
        self.kept: Facts | None = None
        self.outcome: Any = None
        self.due_at = 0.0

    def __repr__(self) -> str:
        return f"GrantRequest({self.asked.kind}, {self.asked.provider})"

    @property
    def caller(self) -> Token | None:
        return None if self.question is None else self.question.token
