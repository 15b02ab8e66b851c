"""Tries for `gateway doctor` what routes want of token endpoints: exchanges, and tokens of the gateway's own client.

There is no caller, so a token that nobody has is exchanged. The provider must refuse that token, and not our client:
then the client may exchange. Whether it may have the audience shows only with a caller's token. Each thing that is
asked for is tried once, however many routes ask for it. No line shows a token.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import ssl
from collections.abc import Mapping

from gateway.authn.bearer import Token
from gateway.authn.facts import Indeterminate
from gateway.authn.question import Question
from gateway.config.model import Config
from gateway.config.realms import by_realm, names_by_realm
from gateway.grants.credential import compile_credential
from gateway.grants.grant_request import GrantParameters, GrantRequest
from gateway.grants.obtained import Denied, Granted, Verdict
from gateway.provider.provider import ProviderClient
from gateway.runtime.doctor_network import PROBE_MAX_S
from gateway.runtime.doctor_verdicts import Diagnosis

_TOKEN_BYTES = 16
# Keycloak says `invalid_request` of a client that may not exchange, as it does of a request that is wrong.
_OF_OUR_CLIENT = re.compile(r"not (enabled|allowed|permitted|supported)|disabled", re.IGNORECASE)


async def examine_grants(config: Config, contexts: Mapping[str, ssl.SSLContext]) -> list[Diagnosis]:
    """One line for each thing that routes ask for. `contexts` are the TLS contexts of the providers."""
    return list(await asyncio.gather(*(_tried(config, each, contexts) for each in wanted_grants(config))))


def wanted_grants(config: Config) -> list[GrantParameters]:
    """What the routes ask for, in the order of the file, each thing once."""
    found: dict[tuple[str, str], GrantParameters] = {}
    for route in config.routes:
        rule = compile_credential(route, config.providers)
        if rule is None:
            continue
        names = names_by_realm(route.auth.provider or config.providers, config.providers)
        asked = [rule.for_all] if rule.for_all is not None else [(rule.of_callers or {}).get(name) for name in names]
        for one in asked:
            if one is not None:
                found.setdefault((one.provider, one.prefix), one)
    return list(found.values())


async def _tried(config: Config, asked: GrantParameters, contexts: Mapping[str, ssl.SSLContext]) -> Diagnosis:
    form = "exchange" if asked.kind == "exchange" else "client_credentials"
    subject = f"provider {asked.provider} {form} ({asked.in_words})"
    try:
        client = ProviderClient(
            asked.provider, by_realm(config.providers)[asked.provider], tls=contexts[asked.provider]
        )
    except ValueError as error:
        return Diagnosis("FAIL", subject, f"{error}")
    question = None if asked.kind == "client" else Question(asked.provider, Token(secrets.token_hex(_TOKEN_BYTES)))
    try:
        async with asyncio.timeout(PROBE_MAX_S):
            verdict = await client.grants.run(GrantRequest(asked, question, None))
    except TimeoutError:
        verdict = Indeterminate(f"it gave no complete answer within {PROBE_MAX_S:g} s")
    finally:
        await client.close()
    return _diagnosis(subject, asked, verdict)


def _diagnosis(subject: str, asked: GrantParameters, verdict: Verdict | Indeterminate) -> Diagnosis:
    match verdict:
        case Indeterminate():
            what = f"{verdict.reason}; allow the client this grant at the provider, or take it out of the routes"
            return Diagnosis("FAIL", subject, what)
        case Granted() if asked.kind == "exchange":
            what = "it exchanges a random token, as if it took any token for good; mend the provider"
            return Diagnosis("FAIL", subject, what)
        case Granted():
            return Diagnosis("ok", subject, "it gives a token")
        case Denied() if _OF_OUR_CLIENT.search(verdict.reason):
            what = f"{verdict.reason}; allow the client this grant at the provider, or take it out of the routes"
            return Diagnosis("FAIL", subject, what)
        case Denied():
            return Diagnosis("ok", subject, f"a random token is refused, and our client is not: {verdict.reason}")
