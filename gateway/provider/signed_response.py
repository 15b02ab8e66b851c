"""Signed introspection responses (RFC 9701): which of them are good, and answers to the very question that was asked.

    form -> typ, iss, aud, iat (§5) -> signature by the provider's keys -> `token_introspection` -> this question?

A response that is not good in each point is neither yes nor no. The signature says who wrote it and for whom, but RFC
9701 binds it to no question. A confused proxy, or an attacker between the two who cannot sign, may put the response
about one token in the place of the response about another. So these are refused, too (§8):

- a response that was made long before the question, or in the future: a replayed one;
- a response about an active token whose `jti` or `iat` differ from those of the JWT that was asked about;
- the very header and claims that have been the response about another active token. A provider may honestly sign the
  same ones twice within one second, so then the question is asked once more in the next second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from gateway.authn.bearer import Token
from gateway.authn.compact_jws import JwsFault, Unverified, audience_of, is_time, read_unverified
from gateway.http.bounded_memo import BoundedMemo
from gateway.provider.errors import UnusableResponseError
from gateway.provider.signing_keys import SigningKeys

# A response is as large as its JSON, in base64url.
_CHARS_MAX = 256 * 2**10
_TYPE = "token-introspection+jwt"
# The provider's clock may be so far from ours, and an honest response so old: one that is signed is never cached.
CLOCKS_APART_S = 60.0
_REMEMBERED_MAX = 10_000
_WORDS = "the signed introspection answer"


class RepeatedResponseError(UnusableResponseError):
    """The response has been that about another token, which an honest provider may do only within one second."""


@dataclass(frozen=True, slots=True)
class SignedResponses:
    """Reads the responses of the provider `issuer` for the client `client_id`."""

    issuer: str
    client_id: str
    keys: SigningKeys
    algorithms: frozenset[str]
    clocks_apart_s: float
    remembered: BoundedMemo[bytes, bytes]

    @classmethod
    def of(
        cls, issuer: str, client_id: str, keys: SigningKeys, algorithms: Iterable[str], leeway_s: float | None
    ) -> SignedResponses:
        apart_s = max(CLOCKS_APART_S, leeway_s or 0.0)
        return cls(issuer, client_id, keys, frozenset(algorithms), apart_s, BoundedMemo(_REMEMBERED_MAX))

    async def read(self, body: bytes, token: Token, asked_at: float, now: float) -> Mapping[str, Any]:
        """The introspection result in a response about `token`, asked for at `asked_at` and come at `now` (wall clock).

        Raises `ProviderError`: `RepeatedResponseError` where another try may give a good one.
        """
        response = _unverified(body)
        if fault := self._fault(response, asked_at, now):
            raise UnusableResponseError(f"{_WORDS} {fault}")
        signed = await self.keys.has_signed(response.compact, response.algorithm, response.kid)
        if not signed:
            why = "is not signed by a key of its issuer" if signed is None else "has a signature that is not its own"
            raise UnusableResponseError(f"{_WORDS} {why}")
        result = response.claims.get("token_introspection")
        if not isinstance(result, Mapping):
            raise UnusableResponseError(f"{_WORDS} has no token_introspection that is an object")
        if result.get("active") is True:
            self._check_question(response, result, token)
        return result

    def _fault(self, response: Unverified, asked_at: float, now: float) -> str | None:
        claims = response.claims
        if response.typ != _TYPE:
            return f"has not the typ {_TYPE}"
        if response.algorithm not in self.algorithms:
            return "is signed by an algorithm that algorithms of the provider does not name"
        if claims.get("iss") != self.issuer:
            return "is of another iss"
        if self.client_id not in (audience_of(claims.get("aud")) or ()):
            return "is not for this client: its aud is another"
        return self._fault_of_times(claims, asked_at, now)

    def _fault_of_times(self, claims: Mapping[str, Any], asked_at: float, now: float) -> str | None:
        issued_at = claims.get("iat")
        if not is_time(issued_at):
            return "has no iat that is a time in seconds"
        if issued_at > now + self.clocks_apart_s:
            return "was made in the future, by its iat; compare the clocks"
        if issued_at < asked_at - self.clocks_apart_s:
            return "was made long before the question, by its iat; compare the clocks"
        for name in ("exp", "nbf"):
            if name in claims and not is_time(claims[name]):
                return f"has an {name} that is not a time in seconds"
        if claims.get("exp", now) <= now - self.clocks_apart_s or claims.get("nbf", now) > now + self.clocks_apart_s:
            return "is not valid at this time, by its exp or nbf"
        return None

    def _check_question(self, response: Unverified, result: Mapping[str, Any], token: Token) -> None:
        if name := _of_another_token(result, token):
            raise UnusableResponseError(f"{_WORDS} is about another token, by its {name}")
        # Without the signature: whoever cannot sign can still turn a signature of ECDSA into another valid one.
        said = response.compact.rpartition(".")[0]
        which, asked = sha256(said.encode()).digest(), sha256(token.value.encode()).digest()
        if self.remembered.known.get(which, asked) != asked:
            raise RepeatedResponseError(f"{_WORDS} has been the answer about another token before")
        self.remembered.keep(which, asked)


def _unverified(body: bytes) -> Unverified:
    """The response in a body. Raises `UnusableResponseError`."""
    try:
        text = body.decode("ascii").strip()
    except UnicodeDecodeError:
        text = ""
    read = read_unverified(text, chars_max=_CHARS_MAX, containers_max=None)
    if isinstance(read, JwsFault):
        raise UnusableResponseError(f"the introspection answer is not one by RFC 9701: {read.description}")
    return read


def _of_another_token(result: Mapping[str, Any], token: Token) -> str | None:
    """The claim by which `result` is not about `token`; `None` where nothing says so, as of every opaque token."""
    own = read_unverified(token.value)
    if isinstance(own, JwsFault):
        return None
    for name in ("jti", "iat"):
        if name in own.claims and name in result and own.claims[name] != result[name]:
            return name
    return None
