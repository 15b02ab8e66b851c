"""h1spec, the check of an HTTP/1.1 server by uNetworking: all of it passes, in both lanes."""

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest
from support.running_gateway import RunningGateway, configuration

H1SPEC = os.environ.get("H1SPEC", "")
IS_THERE = Path(H1SPEC).is_file()
DENO = os.environ.get("DENO") or shutil.which("deno")


@pytest.mark.parametrize("lane", ["fast", "general"])
async def test_every_case_passes(lane, backend):
    if DENO is None or not IS_THERE:
        pytest.skip("no deno, or H1SPEC does not name h1spec's http_test.ts; see CONTRIBUTING.md")
    route = {"name": "all", "backend": backend.url, "auth": "none"}
    gateway = RunningGateway(configuration(providers={}, routes=[route], server={"fast_path": lane == "fast"}))
    await gateway.start()
    try:
        host, port = gateway.address
        process = await asyncio.create_subprocess_exec(
            DENO,
            "run",
            "--allow-net",
            H1SPEC,
            host,
            str(port),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(120):
            printed, _ = await process.communicate()
    finally:
        await gateway.stop()
    passed, cases = re.search(rb"(\d+) out of (\d+) tests passed", printed).groups()
    assert passed == cases, printed.decode()
    assert int(cases) > 30
