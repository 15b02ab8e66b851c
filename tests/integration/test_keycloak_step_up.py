"""Step-up at a real Keycloak (RFC 9470): its flow has two levels, which a client names silver and gold.

The flow is Keycloak's own for this: a part for each level, with the condition "Level of Authentication". The second
level asks for the password once more, in the place of the second factor that a program cannot show.
"""

import re
from html import unescape
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from support.backend import Backend, ok, script
from support.running_gateway import configuration, gateways

FLOW, REDIRECT = "step-up", "http://127.0.0.1:9/back"
LEVELS = '{"silver": 1, "gold": 2}'
ACR_MAPPER = {
    "name": "acr",
    "protocol": "openid-connect",
    "protocolMapper": "oidc-acr-mapper",
    "config": {"access.token.claim": "true", "id.token.claim": "true", "introspection.token.claim": "true"},
}


@pytest.fixture
async def step_app(administer, register):
    """A client whose callers sign in by the flow."""
    top = {"alias": FLOW, "providerId": "basic-flow", "topLevel": True, "builtIn": False}
    await administer("POST", "/demo/authentication/flows", top)
    for level, form in ((1, "auth-username-password-form"), (2, "auth-password-form")):
        part = {"alias": f"level-{level}", "type": "basic-flow", "provider": "registration-page-form"}
        await administer("POST", f"/demo/authentication/flows/{FLOW}/executions/flow", part)
        for authenticator in ("conditional-level-of-authentication", form):
            path = f"/demo/authentication/flows/level-{level}/executions/execution"
            await administer("POST", path, {"provider": authenticator})
    executions = await administer("GET", f"/demo/authentication/flows/{FLOW}/executions")
    for one in executions:
        is_part = one.get("authenticationFlow", False)
        wanted = {**one, "requirement": "CONDITIONAL" if is_part else "REQUIRED"}
        await administer("PUT", f"/demo/authentication/flows/{FLOW}/executions", wanted)
    conditions = [one for one in executions if one.get("providerId") == "conditional-level-of-authentication"]
    for level, one in enumerate(conditions, 1):
        settings = {"loa-condition-level": str(level), "loa-max-age": "36000"}
        path = f"/demo/authentication/executions/{one['id']}/config"
        await administer("POST", path, {"alias": f"level-{level}", "config": settings})
    [flow] = [one for one in await administer("GET", "/demo/authentication/flows") if one["alias"] == FLOW]
    await register(
        "step-app",
        secret="secret-of-step-app",
        redirectUris=[REDIRECT],
        defaultClientScopes=["basic", "profile", "roles", "audience"],
        attributes={"acr.loa.map": LEVELS},
        authenticationFlowBindingOverrides={"browser": flow["id"]},
        protocolMappers=[ACR_MAPPER],
    )


class Browser:
    """Signs alice in as a browser would, with cookies of its own (Keycloak's are `Secure`, on plain HTTP here)."""

    def __init__(self, http, issuer):
        self._http, self._issuer = http, f"{issuer}/protocol/openid-connect"
        self._cookies = {}

    async def token(self, **more):
        asked = {"client_id": "step-app", "response_type": "code", "redirect_uri": REDIRECT, "scope": "openid", **more}
        answer, page = await self._send("GET", f"{self._issuer}/auth?{urlencode(asked, quote_via=quote)}")
        forms = 0
        while answer.status == 200:
            forms += 1
            assert forms < 4, page[:2000]
            action = re.search(r'<form[^>]*action="([^"]+)"', page)
            assert action is not None, page[:2000]
            form = {"username": "alice", "password": "alice"}
            answer, page = await self._send("POST", unescape(action[1]), data=form)
        code = parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
        own = {"client_id": "step-app", "client_secret": "secret-of-step-app"}
        async with self._http.post(f"{self._issuer}/token", data={**form, **own}) as response:
            document = await response.json()
            assert response.status == 200, document
            return document["access_token"], forms

    async def _send(self, method, url, **more):
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        headers = {"Cookie": cookies} if cookies else {}
        async with self._http.request(method, url, headers=headers, allow_redirects=False, **more) as response:
            for line in response.headers.getall("Set-Cookie", []):
                name, _, value = line.partition(";")[0].partition("=")
                self._cookies[name] = value
            return response, await response.text()


@pytest.fixture
async def running(keycloak):
    backend = Backend()
    backend.default = script(ok())
    await backend.start()
    own = {"issuer": keycloak.issuer, "timeout": "60s"}
    asked = {**own, "client_id": "gateway", "client_secret": "demo-gateway-secret"}
    routes = [
        {
            "name": name,
            "match": {"path": f"/{name}/**"},
            "backend": backend.url,
            "auth": {"provider": name, "acr": ["gold"], "max_auth_age": "1h"},
        }
        for name in ("asked", "local")
    ]
    providers = {"asked": asked, "local": {**own, "validation": "jwt"}}
    async with gateways() as start:
        yield await start(configuration(providers=providers, routes=routes))
    await backend.stop()


async def test_a_caller_of_the_lower_level_is_told_which_one_is_wanted_and_gets_in_with_it(
    http, keycloak, step_app, running
):
    browser = Browser(http, keycloak.issuer)
    low, forms = await browser.token(acr_values="silver")
    assert forms == 1
    for route in ("asked", "local"):
        answer = await running.get(f"/{route}/x", token=low)
        assert (answer.status, answer.code) == (401, "insufficient_user_authentication")
    (challenge,) = answer.values("WWW-Authenticate")
    wanted = re.search(r'acr_values="([^"]+)"', challenge)
    assert wanted is not None, challenge
    high, forms = await browser.token(acr_values=wanted[1])  # as RFC 9470 §4 has the client do
    assert forms == 2, "both levels: the flow takes no cookie for the first one"
    for route in ("asked", "local"):
        assert (await running.get(f"/{route}/x", token=high)).status == 200
