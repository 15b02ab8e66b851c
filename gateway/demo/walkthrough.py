"""The walk-through: checks the gateway's promises one by one on a running demo, over real connections.

Each step says what it did and what came back, and ends with what that shows. The first step that fails ends the walk.
Nothing is read from inside the gateway: every claim is checked at the backend, at the provider's own count of
introspections, or in the metrics.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from gateway.demo.caller import DemoClient, DemoResponse, UnexpectedError
from gateway.demo.demo_proofs import DemoProver
from gateway.demo.guide import PROTOCOL
from gateway.demo.places import Places
from gateway.demo.settings import ADMIN_TOKEN, TTL_S
from gateway.demo.transcript import Transcript

_IDENTITY = ("X-User-Id", "X-User-Name", "X-Client-Id", "X-Scopes", "X-Roles")
_FORGED = {"X-User-Name": "mallory", "x_user_id": "mallory", "X.Roles": "mallory", "Connection": "X-User-Id"}
_FORGER = "mallory"
_SHOWN_METRICS = ("gateway_requests_total", "gateway_cache_lookups_total", "gateway_introspections_total")


async def walk(places: Places, introspections: Callable[[], int], transcript: Transcript) -> bool:
    """Go through all steps. Returns whether all went well. `introspections` is the provider's own count."""
    transcript.opening(places)
    async with DemoClient() as caller:
        walker = _Walker(places, introspections, transcript, caller)
        for number, (title, step) in enumerate(walker.steps(), 1):
            transcript.step(number, title)
            try:
                transcript.passed(await step())
            except UnexpectedError as error:
                transcript.failed(error.expected, error.came)
                transcript.closing(
                    f"Step {number} of {len(walker.steps())} failed; no further step was tried.", is_good=False
                )
                return False
    transcript.closing(f"All {len(walker.steps())} steps went as they should.", is_good=True)
    return True


class _Walker:
    def __init__(
        self, places: Places, introspections: Callable[[], int], transcript: Transcript, caller: DemoClient
    ) -> None:
        self._places = places
        self._introspections = introspections
        self._say = transcript
        self._caller = caller
        self._alice = ""

    def steps(self) -> tuple[tuple[str, Callable[[], Awaitable[str]]], ...]:
        return (
            ("No token", self._no_token),
            ("A token from the provider's token endpoint", self._get_token),
            ("The call: the backend is told who is calling", self._call),
            ("Forged identity headers", self._forge),
            ("The same token again: the result comes from the cache", self._call_again),
            ("A token without the scope", self._missing_scope),
            ("A token that is bound to a key", self._bound),
            ("A revoked token", self._revoke),
            ("The metrics", self._metrics),
        )

    async def _no_token(self) -> str:
        before = self._introspections()
        response = await self._get("/orders/7")
        self._expect_refusal(response, 401, "token_missing")
        challenge = response.headers.get("WWW-Authenticate", "nothing")
        _expect(
            challenge == 'Bearer realm="gateway"', "a challenge without an error (RFC 6750, section 3.1)", challenge
        )
        self._say.came("401 token_missing", f"WWW-Authenticate: {challenge}")
        _expect(self._introspections() == before, "no introspection", "one")
        return "Refused, and the provider was not asked."

    async def _get_token(self) -> str:
        self._alice = await self._token_of("alice")
        return "alice has a token, which the gateway has never seen."

    async def _call(self) -> str:
        before = self._introspections()
        response = await self._get("/orders/7", self._alice)
        headers = _seen_by_backend(response)
        self._say.came(
            "200 from the backend, which read", *(f"{name}: {headers[name]}" for name in _IDENTITY if name in headers)
        )
        for name in _IDENTITY:
            _expect(name in headers, f"{name} at the backend", "none")
        _expect(headers["X-User-Name"] == "alice", "X-User-Name: alice", f"X-User-Name: {headers['X-User-Name']}")
        _expect("Authorization" not in headers, "no Authorization at the backend", "one")
        asked = self._introspections() - before
        _expect(asked == 1, "one introspection", f"{asked}")
        return "The backend knows who is calling and did not get the token. The provider was asked once."

    async def _forge(self) -> str:
        for path, token in (("/orders/7", self._alice), ("/public/hello", None)):
            response = await self._get(path, token, _FORGED)
            headers = _seen_by_backend(response)
            forged = [name for name, value in headers.items() if _FORGER in value]
            _expect(not forged, "none of the forged headers at the backend", ", ".join(forged))
            user = headers.get("X-User-Name")
            wanted = "alice" if token else None
            _expect(user == wanted, f"X-User-Name: {wanted}", f"X-User-Name: {user}")
            _expect(("X-User-Id" in headers) == bool(token), "X-User-Id exactly where there is a token", "the opposite")
            self._say.came("200 from the backend, which read", f"X-User-Name: {user}" if user else "no X-User-Name")
        return "The client's headers are gone, on the public route too; the gateway's are there."

    async def _call_again(self) -> str:
        asked, hits = self._introspections(), await self._hits()
        _seen_by_backend(await self._get("/orders/7", self._alice))
        asked, hits = self._introspections() - asked, await self._hits() - hits
        self._say.came("200 from the backend", f"introspections: +{asked}", f"cache hits: +{hits:g}")
        _expect(asked == 0, "no further introspection", f"{asked}")
        _expect(hits == 1, "one more hit in gateway_cache_lookups_total", f"{hits:g}")
        return f"Within {TTL_S} s the provider is not asked about this token again. The policy still applies."

    async def _missing_scope(self) -> str:
        bob = await self._token_of("bob")
        response = await self._get("/orders/7", bob)
        self._expect_refusal(response, 403, "insufficient_scope")
        challenge = response.headers.get("WWW-Authenticate", "nothing")
        _expect('scope="orders:read"' in challenge, 'a challenge with scope="orders:read"', challenge)
        self._say.came("403 insufficient_scope", f"WWW-Authenticate: {challenge}")
        return "A good token, but not good enough for this route: 403, with the scope that is missing."

    async def _bound(self) -> str:
        prover, url = DemoProver(), f"{self._places.gateway_url}/orders/7"
        token_url = f"{self._places.provider_url}/{PROTOCOL}/token"
        token = await self._token_of("alice", {"DPoP": prover.proof("POST", token_url)})
        proof = prover.proof("GET", url, token)
        headers = _seen_by_backend(await self._get("/orders/7", token, {"DPoP": proof}, "DPoP"))
        # What a proxy beside the gateway passes on, of a proof and of the challenges, is its own affair.
        is_own = not self._places.proxy
        _expect(not (is_own and "DPoP" in headers), "no DPoP at the backend", "one")
        self._say.came("200 from the backend, which read", f"X-User-Name: {headers.get('X-User-Name')}")
        response = await self._get("/orders/7", token, {"DPoP": proof}, "DPoP")
        self._expect_refusal(response, 401, "invalid_dpop_proof")
        self._say.came("401 invalid_dpop_proof: a proof is good once")
        response = await self._get("/orders/7", token)
        self._expect_refusal(response, 401, "invalid_token")
        challenge = response.challenges[-1] if response.challenges else "nothing"
        _expect(not is_own or challenge.startswith("DPoP "), "a challenge in the scheme DPoP", challenge)
        self._say.came("401 invalid_token", f"WWW-Authenticate: {challenge}")
        return "Without its key the token is of no use: whoever steals it cannot make the next proof."

    async def _revoke(self) -> str:
        url = f"{self._places.provider_url}/{PROTOCOL}/revoke"
        self._say.did(f"POST {url}", "token: alice's")
        form = {"client_id": "demo-app", "token": self._alice}
        response = await self._caller.request("POST", url, data=form)
        _expect(response.status == 200, "200", response.summary())  # noqa: PLR2004 - RFC 7009 §2.2
        self._say.came("200")
        _seen_by_backend(await self._get("/orders/7", self._alice))
        self._say.came(
            "200: still let in, because /revoke sends no event and the gateway has a result from a moment ago.",
            f"That ends with cache.ttl ({TTL_S} s) at the latest. The caller of /revoke can end it at once:",
        )
        await self._forget(self._alice)
        response = await self._get("/orders/7", self._alice)
        self._expect_refusal(response, 401, "invalid_token")
        self._say.came("401 invalid_token", f"WWW-Authenticate: {response.headers.get('WWW-Authenticate')}")
        return "Refused. Without DELETE /cache, the gateway refuses it once it has asked the provider again."

    async def _metrics(self) -> str:
        self._say.did(f"GET {self._places.admin_url}/metrics")
        samples = await self._scrape()
        shown = [one for one in samples if one.value and one.name in _SHOWN_METRICS]
        self._say.came("200, and among others", *(_line(one) for one in shown))
        counted = _sum(samples, "gateway_introspections_total")
        asked = self._introspections()
        _expect(counted == asked, f"gateway_introspections_total to be the provider's own {asked}", f"{counted:g}")
        return f"The gateway counts {asked} introspections, and so does the provider."

    async def _forget(self, token: str) -> None:
        url = f"{self._places.admin_url}/cache"
        self._say.did(f"DELETE {url}", "token: alice's")
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        response = await self._caller.request("DELETE", url, headers, json={"token": token})
        _expect(response.document() == {"evicted": 1}, '{"evicted": 1}', response.summary())
        self._say.came(response.summary())

    def _expect_refusal(self, response: DemoResponse, status: int, code: str) -> None:
        """Expect that status, and the code in the problem document, which no proxy beside the gateway passes on."""
        is_so = response.status == status and (self._places.proxy or response.document().get("code") == code)
        _expect(bool(is_so), f"{status} {code}", response.summary())

    async def _token_of(self, user: str, headers: Mapping[str, str] | None = None) -> str:
        url = f"{self._places.provider_url}/{PROTOCOL}/token"
        self._say.did(f"POST {url}", f"grant_type=password username={user}", *_shown(headers or {}))
        form = {"grant_type": "password", "client_id": "demo-app", "username": user, "password": user}
        response = await self._caller.request("POST", url, headers, data=form)
        document = response.document()
        token = document.get("access_token")
        _expect(isinstance(token, str) and bool(token), "an access_token", response.summary())
        self._say.came(
            f"{response.status}", f"scope: {document.get('scope')}", f"expires_in: {document.get('expires_in')}"
        )
        return str(token)

    async def _get(
        self, path: str, token: str | None = None, headers: Mapping[str, str] | None = None, scheme: str = "Bearer"
    ) -> DemoResponse:
        """Call the gateway, and say so. Only the first letters of a token and of a proof are shown."""
        sent = {**({"Authorization": f"{scheme} {token}"} if token else {}), **(headers or {})}
        shown = {**sent, "Authorization": f"{scheme} {token[:6]}..."} if token else sent
        url = f"{self._places.gateway_url}{path}"
        self._say.did(f"GET {url}", *_shown(shown))
        return await self._caller.request("GET", url, sent)

    async def _hits(self) -> float:
        return _sum(await self._scrape(), "gateway_cache_lookups_total", tier="local", result="hit")

    async def _scrape(self) -> list[Sample]:
        response = await self._caller.request("GET", f"{self._places.admin_url}/metrics")
        try:
            families = list(text_string_to_metric_families(response.text))
        except ValueError as error:
            raise UnexpectedError("metrics in Prometheus' text format", str(error)) from error
        return [sample for family in families for sample in family.samples]


def _shown(headers: Mapping[str, str]) -> list[str]:
    return [f"{name}: {value[:6] + '...' if name == 'DPoP' else value}" for name, value in headers.items()]


def _sum(samples: Iterable[Sample], name: str, **labels: str) -> float:
    return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())


def _line(sample: Sample) -> str:
    labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
    return f"{sample.name}{{{labels}}} {sample.value:g}"


def _expect(is_so: bool, expected: str, came: str) -> None:
    if not is_so:
        raise UnexpectedError(expected, came)


def _seen_by_backend(response: DemoResponse) -> dict[str, str]:
    """The header fields that the echo backend read."""
    _expect(response.status == 200, "200 from the backend", response.summary())  # noqa: PLR2004 - RFC 9110 §15.3.1
    headers = response.document().get("headers")
    if not isinstance(headers, dict):
        raise UnexpectedError("the backend's account of the request", response.summary())
    return headers
