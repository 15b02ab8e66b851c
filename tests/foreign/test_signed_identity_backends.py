"""The example backends verify what the gateway signed, follow its keys, and believe nobody else.

npm installs jose and Maven builds the jar, each once, where NODE_MODULES and IDENTITY_BACKEND_JAR name nothing. Go
fetches its modules by itself.
"""

import asyncio
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from support import maven, npm
from support.real_servers import Command, found, has, running
from support.redis_server import free_port
from support.running_gateway import RunningGateway, configuration, provider_settings
from support.scripted_provider import ScriptedProvider

from gateway.config.identity_key import new_private_pem, read_identity_key

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples" / "backends"
JAR = os.environ.get("IDENTITY_BACKEND_JAR", "")
JOSE = "6.2.18"
ISSUER = "https://gateway.example.com"


async def python(_: Path) -> Command:
    return [sys.executable, str(EXAMPLES / "python" / "backend.py")], {}


async def node(folder: Path) -> Command:
    program, modules = npm.node(), npm.modules_with("jose", JOSE)
    shutil.copy(EXAMPLES / "node" / "backend.mjs", folder)
    (folder / "node_modules").symlink_to(modules.absolute())
    return [program, str(folder / "backend.mjs")], {}


async def go(folder: Path) -> Command:
    program = folder / "go-backend"
    if not await has(found("go"), "build", "-C", str(EXAMPLES / "go"), "-o", str(program), "."):
        pytest.skip("its modules are not there: go mod download, in deploy/examples/backends/go")
    return [str(program)], {}


async def java(_: Path) -> Command:
    program = found("java")
    jar = JAR or str(await asyncio.to_thread(maven.jar_of, EXAMPLES / "java"))
    return [program, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-jar", jar], {}


@pytest.fixture
async def provider():
    async with ScriptedProvider() as scripted:
        scripted.answers["good"] = {
            "active": True, "sub": "alice", "realm_access": {"roles": ["a", "b"]}, "exp": int(time.time()) + 600,
        }  # fmt: skip
        yield scripted


def document(provider, port: int, signing: dict[str, Any], listen: int, audience: str = "orders") -> str:
    token = {"audience": audience, "claims": {"sub": "sub", "roles": "realm_access.roles"}}
    route = {"name": "all", "backend": f"http://127.0.0.1:{port}", "identity": {"token": token}}
    return configuration(
        providers={"p": provider_settings(provider)},
        routes=[route],
        server={"listen": f"127.0.0.1:{listen}"},
        signing=signing,
    )


# Spring's needs Tink beside it for EdDSA.
TRIED = [*((one, "ES256") for one in (python, node, go, java)), *((one, "EdDSA") for one in (python, node, go))]


@pytest.mark.parametrize(("example", "algorithm"), TRIED, ids=lambda one: getattr(one, "__name__", one))
async def test_it_believes_the_gateway_and_nobody_else(example, algorithm, provider, tmp_path) -> None:
    for name in ("first", "second"):
        (tmp_path / f"{name}.pem").write_text(new_private_pem(algorithm))
    first, second = (str(tmp_path / f"{name}.pem") for name in ("first", "second"))
    port, listen = free_port(), free_port()
    # A key is published before it signs, because libraries ask for unknown keys only so often (PyJWT, jose: 30 s).
    signing = {"key_file": first, "previous_key_files": [second], "issuer": ISSUER}
    command, environment = await example(tmp_path)  # it skips where something is missing, so before there is a gateway
    gateway = RunningGateway(document(provider, port, signing, listen))
    await gateway.start()
    environment |= {
        "PORT": str(port),
        "KEYS": f"http://127.0.0.1:{listen}/.gateway/jwks.json",
        "ISSUER": ISSUER,
        "AUDIENCE": "orders",
    }
    try:
        async with running((command, environment), port) as url:
            answer = await gateway.get("/x", token="good")
            assert answer.status == 200, answer.body
            assert (json.loads(answer.body)["sub"], json.loads(answer.body)["roles"]) == ("alice", ["a", "b"])
            await refuses_what_others_sign(url, (tmp_path / "first.pem").read_text(), algorithm)
            signing = {"key_file": second, "previous_key_files": [first], "issuer": ISSUER}
            assert await gateway.reload(document(provider, port, signing, listen))
            assert (await gateway.get("/x", token="good")).status == 200
            wrong = document(provider, port, {"key_file": second, "issuer": ISSUER}, listen, audience="billing")
            assert await gateway.reload(wrong)
            assert (await gateway.get("/x", token="good")).status == 401
    finally:
        await gateway.stop(0.1)


async def refuses_what_others_sign(url: str, pem: str, algorithm: str) -> None:
    ours, theirs = (read_identity_key(one, needs_private=True) for one in (pem, new_private_pem(algorithm)))
    now = int(time.time())
    good = {"iss": ISSUER, "aud": "orders", "iat": now, "exp": now + 60, "sub": "mallory"}
    forged = {
        "of another key under our kid": jwt.encode(good, theirs.private, algorithm, {"kid": ours.kid}),
        "unsigned": jwt.encode(good, None, "none"),
        "ended": jwt.encode(good | {"exp": now - 300}, ours.private, algorithm, {"kid": ours.kid}),
        "of another issuer": jwt.encode(good | {"iss": "https://evil"}, ours.private, algorithm, {"kid": ours.kid}),
        "no token": "x",
    }
    async with aiohttp.ClientSession(trust_env=False) as session:
        for what, token in forged.items():
            async with session.get(url, headers={"X-Identity-Token": token}) as answer:
                assert answer.status == 401, what
        async with session.get(url) as answer:
            assert answer.status == 401
