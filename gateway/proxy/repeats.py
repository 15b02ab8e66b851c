"""What was found out about a request, for the next one that is like it but for the token.

Clients ask for the same again and again. Where the bytes of a head are the same but for the token, so is all that
follows from them and the configuration: how they are read, the target, the route, the head that the backend gets.
What follows from the token is found out anew each time: its facts, whether they are enough, who is calling.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.authn.bearer import TOKEN_MAX_CHARS
from gateway.compiled import CompiledConfig, CompiledRoute
from gateway.decision import Allow
from gateway.http.location import Outside
from gateway.http.ordinary import is_common
from gateway.http.request_fields import Fields
from gateway.proxy.request_head import Form, form_of, framing_of
from gateway.routing import Matched

# RFC 9110 §9.2.2. What is not idempotent is sent once, whatever happens.
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_KEPT_MAX = 1024
_PATH_CHARS_MAX = 256


@dataclass(frozen=True, slots=True, eq=False)
class Repeat:
    """`forms` are by the place of the backend on the route; `provider` is `None` where nobody is asked."""

    method: str
    path: str
    scheme: str
    matched: Matched[CompiledRoute]
    provider: str | None
    forms: tuple[Form, ...]
    outside: Outside
    retries: int
    token_bytes_max: int
    body_bytes: int | None


class Repeats:
    """Of one configuration. `known` has them by the head without its token, as `gateway.http.ordinary` parts it."""

    def __init__(self, gate: CompiledConfig) -> None:
        self._gate = gate
        self._seen: set[bytes] = set()
        self.known: dict[bytes, Repeat] = {}

    def remember(self, head: bytes, token: bytes, allow: Allow) -> None:
        """From the second time on: many a request comes once. Whatever could tell one caller from another is not kept:
        neither tokens nor cookies nor queries, nor what a trusted proxy says.
        """
        if head in self.known:
            return  # it was of no use, because nobody remembered the token
        if head not in self._seen:
            if len(self._seen) >= _KEPT_MAX:
                self._seen.clear()
            if self._is_anybodys(head, token, allow):
                self._seen.add(head)
            return
        repeat = self._repeat(token, allow)
        if repeat is not None:
            if len(self.known) >= _KEPT_MAX:
                self.known.clear()
            self.known[head] = repeat

    def _is_anybodys(self, head: bytes, token: bytes, allow: Allow) -> bool:
        route, target = allow.route, allow.target
        return (
            self._gate.trusted_proxies.are_none
            and not route.request_rules.keep_authorization
            and len(route.providers) <= 1
            and (allow.case.provider is not None) == bool(token)
            and target.query is None
            and len(target.path) <= _PATH_CHARS_MAX
            and is_common(head)
        )

    def _repeat(self, token: bytes, allow: Allow) -> Repeat | None:
        case, request = allow.case, allow.case.request
        fields, matched = request.headers, case.matched
        if not isinstance(fields, Fields) or matched is None:
            return None
        body_bytes = fields.block.body_bytes
        framing = framing_of(body_bytes)
        forms = [form_of(request.method, backend, allow, framing) for backend in allow.route.config.backend]
        whole = tuple(form for form in forms if form is not None)
        if len(whole) < len(forms):
            return None
        left = self._gate.max_header_bytes - (fields.size - len(token))
        return Repeat(
            request.method,
            allow.target.path,
            request.scheme,
            matched,
            case.provider,
            whole,
            allow.outside,
            allow.route.config.retries if request.method in IDEMPOTENT else 0,
            min(TOKEN_MAX_CHARS, left),
            body_bytes,
        )
