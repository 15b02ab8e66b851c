"""Real servers for behind the gateway, each as its users start it: `ALL` makes their commands, `running` runs one.

A test is skipped, with a reason, where a runtime or a package is not there. `FOREIGN_PYTHON` names an interpreter that
has Flask, Starlette, gunicorn and uvicorn, where this one has not; `NODE_MODULES` a folder with Express; `MAVEN_REPO`
the repository where Maven has put Tomcat. What they serve is in `tests/foreign/servers`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from string import Template

import pytest

SERVERS = Path(__file__).parents[1] / "foreign" / "servers"
PYTHON = os.environ.get("FOREIGN_PYTHON", sys.executable)
MAVEN_REPO = Path(os.environ.get("MAVEN_REPO", Path.home() / ".m2" / "repository"))
APACHE_MODULES = Path("/usr/lib/apache2/modules")
TEXT = b"a line of text\n" * 200
STARTED_WITHIN_S = 60.0

Command = tuple[list[str], dict[str, str]]


async def has(*command: str) -> bool:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait() == 0


async def python(module: str, *words: str, **environment: str) -> Command:
    package = words[0] if words else module
    for name in {module, package}:
        if not await has(PYTHON, "-c", f"import {name}"):
            pytest.skip(f"{PYTHON} has no {name}; name one that has it in FOREIGN_PYTHON")
    return [PYTHON], environment


async def uvicorn(port: int, _: Path) -> Command:
    (start, environment) = await python("starlette", "uvicorn")
    return [*start, "-m", "uvicorn", "--app-dir", str(SERVERS), "--port", str(port), "asgi_app:app"], environment


async def gunicorn(port: int, _: Path, **environment: str) -> Command:
    start, environment = await python("flask", "gunicorn", **environment)
    bind = f"127.0.0.1:{port}"
    return [
        *start,
        "-m",
        "gunicorn",
        "--chdir",
        str(SERVERS),
        "--threads",
        "4",
        "-b",
        bind,
        "wsgi_app:app",
    ], environment


async def gunicorn_with_proxy_fix(port: int, folder: Path) -> Command:
    return await gunicorn(port, folder, PROXY_FIX="1")


async def flask(port: int, _: Path) -> Command:
    start, environment = await python("flask")
    return [*start, str(SERVERS / "wsgi_app.py"), str(port)], environment


def found(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if path is None:
        pytest.skip(f"there is no {name} on this machine")
    return path


async def node(port: int, _: Path) -> Command:
    return [found("node"), str(SERVERS / "node_http.js"), str(port)], {}


async def express(port: int, _: Path) -> Command:
    modules = os.environ.get("NODE_MODULES", "")
    if not (Path(modules) / "express" / "package.json").is_file():
        pytest.skip("no express in the folder that NODE_MODULES names")
    return [found("node"), str(SERVERS / "express_app.js"), str(port)], {"NODE_PATH": modules}


async def express_that_trusts(port: int, folder: Path) -> Command:
    command, environment = await express(port, folder)
    return command, {**environment, "TRUST_PROXY": "1"}


async def go(port: int, folder: Path) -> Command:
    built = folder / "server"
    process = await asyncio.create_subprocess_exec(found("go"), "build", "-o", str(built), str(SERVERS / "main.go"))
    assert await process.wait() == 0
    return [str(built), str(port)], {}


async def nginx(port: int, folder: Path) -> Command:
    program = found("nginx")
    files_in(folder)
    file = folder / "nginx.conf"
    file.write_text((SERVERS / "nginx.conf").read_text().format(port=port, root=folder))
    return [program, "-c", str(file), "-p", str(folder)], {}


async def apache(port: int, folder: Path) -> Command:
    program = found("apache2")
    if not (APACHE_MODULES / "mod_lua.so").is_file():
        pytest.skip(f"there is no mod_lua in {APACHE_MODULES}")
    files_in(folder)
    file = folder / "apache.conf"
    values = {"port": port, "folder": folder, "modules": APACHE_MODULES, "servers": SERVERS}
    file.write_text(Template((SERVERS / "apache.conf").read_text()).substitute(values))
    return [program, "-DFOREGROUND", "-f", str(file)], {}


async def tomcat(port: int, folder: Path, *words: str) -> Command:
    jars = [_jar(name) for name in ("embed/tomcat-embed-core", "tomcat-annotations-api")]
    found("javac")
    files_in(folder)
    path = os.pathsep.join(jars)
    return [found("java"), "-cp", path, str(SERVERS / "TomcatApp.java"), str(port), str(folder), *words], {}


def _jar(artifact: str) -> str:
    jars = sorted((MAVEN_REPO / "org/apache/tomcat" / artifact).glob("*/*.jar"))
    if not jars:
        pytest.skip(f"there is no {artifact} in {MAVEN_REPO}")
    return str(jars[-1])


async def tomcat_with_remote_ip(port: int, folder: Path) -> Command:
    """It takes the client and the host from `X-Forwarded-*`, and keeps these from the servlets."""
    return await tomcat(port, folder, "RemoteIpValve", "X-Forwarded-Host")


def files_in(folder: Path) -> None:
    """What the servers with files of their own serve."""
    (folder / "files" / "slash").mkdir(parents=True, exist_ok=True)
    (folder / "files" / "slash" / "index.html").write_text('{"path": "/slash/", "headers": {}}')
    (folder / "files" / "text").write_bytes(TEXT)
    (folder / "files" / "file.txt").write_bytes(TEXT)


ALL = (
    uvicorn,
    gunicorn,
    gunicorn_with_proxy_fix,
    flask,
    node,
    express,
    go,
    nginx,
    apache,
    tomcat,
)
# The same with the gateway among their trusted proxies, where they are not so by themselves on loopback.
CONFIGURED = (express_that_trusts, tomcat_with_remote_ip)


@asynccontextmanager
async def running(command: Command, port: int, folder: Path = Path("/nowhere")) -> AsyncIterator[str]:
    """Its URL. `folder` has the files that it serves, where it serves any; see `files_in`."""
    words, environment = command
    process = await asyncio.create_subprocess_exec(
        *words,
        # All that it asks is on loopback, where a machine's proxy for the Internet does not lead.
        env={**os.environ, "no_proxy": "*", "NO_PROXY": "*", "FILES": str(folder / "files"), **environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(STARTED_WITHIN_S):
            while not await _is_listening(port):
                assert process.returncode is None, words
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _is_listening(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
