"""What a caller's token shows to `gateway doctor --token`, and a random one cannot: its audience, scopes and claims.

Pure: it is given what the provider said of the token. No line shows the token.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.authn.bearer import Token
from gateway.authn.claims import claim_at
from gateway.authn.facts import Facts, Inactive, IntrospectionResult
from gateway.authn.jwt_hint import own_words
from gateway.compiled import CompiledConfig, CompiledRoute
from gateway.policy import judge
from gateway.runtime.doctor_verdicts import Diagnosis, Grade

_INSTEAD = {
    "invalid_token": "have the provider put it in (Keycloak: an audience mapper of the caller's client), or mend auth",
    "insufficient_scope": "have the caller's client ask for the scope, or change the route's scopes",
}
_OTHERWISE = "have the provider put it there (Keycloak: a mapper with Add to token introspection), or change auth"
_NEW_ONE = "obtain a new one from this provider, for the client that callers use"


def token_diagnoses(
    provider: str, compiled: CompiledConfig, token: Token, now: float, result: IntrospectionResult
) -> list[Diagnosis]:
    """What is right and wrong with a token about which the provider said `result`. `now` is the wall clock."""
    subject = f"provider {provider} token"
    issuer = compiled.trusted_issuers[provider]
    if isinstance(result, Inactive):
        words = own_words(token, issuer.issuer, issuer.client_id, now) or [_NEW_ONE]
        return [Diagnosis("FAIL", subject, f"the provider calls it inactive; {'; '.join(words)}")]
    if not isinstance(result, Facts):
        return [Diagnosis("FAIL", subject, f"the provider cannot tell; {result.reason}")]
    routes = [route for route in compiled.routes if route.mode != "none" and provider in route.providers]
    refused = dict(_refusals(routes, compiled, provider, result, now))
    grade: Grade = "FAIL" if routes and len(refused) == len(routes) else "warning"
    taken = len(routes) - len(refused)
    found = [Diagnosis("ok", subject, f"it is active, and {taken} of {len(routes)} routes take it")]
    found += [Diagnosis(grade, f"{subject}, route {name}", words) for name, words in refused.items()]
    return [*found, *_missing_claims(subject, [one for one in routes if one.name not in refused], result)]


def _refusals(
    routes: Iterable[CompiledRoute], compiled: CompiledConfig, provider: str, facts: Facts, now: float
) -> Iterator[tuple[str, str]]:
    for route in routes:
        if any(rule.captures for rule in route.config.auth.claims):
            continue  # only a request tells what its path says
        refusal = judge(route.policy, facts, compiled.trusted_issuers[provider], {}, now)
        if refusal is not None:
            instead = _INSTEAD.get(refusal.code, _OTHERWISE)
            yield route.name, f"{refusal.reason or refusal.detail}; {instead}"


def _missing_claims(subject: str, routes: Iterable[CompiledRoute], facts: Facts) -> Iterator[Diagnosis]:
    """Claims of identity headers that the token has not; each header once."""
    rules = {header: paths for route in routes for header, paths in route.identity.headers.items()}
    for header, paths in rules.items():
        if all(claim_at(facts.claims, path) is None for path in paths):
            names = " or ".join(".".join(path) for path in paths)
            words = f"backends get no {header}, for the token has no {names}; {_OTHERWISE.replace('auth', 'identity')}"
            yield Diagnosis("warning", f"{subject}, {header}", words)
