"""A real Keycloak in dev mode on loopback, with the realm that `deploy/` ships."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

from support.needed import missing

PROJECT = Path(__file__).parents[2]
REALM_FILE = PROJECT / "deploy" / "keycloak" / "realm-demo.json"
COMPOSE_FILE = PROJECT / "deploy" / "compose" / "compose.yaml"
ADMIN = "admin"  # of the master realm: the name and the password
JAVA_AT_LEAST = 17
START_WITHIN_S = 300.0  # unpacking is done; a cold start takes 45 s on two idle cores
STOP_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Keycloak:
    """`issuer` is what tokens carry; `other_url` reaches the same realm by a name that is in no token."""

    issuer: str
    other_url: str

    @property
    def server(self) -> str:
        return self.other_url.removesuffix("/realms/demo")


def version() -> str:
    """The release that compose starts; the tests and `.ci/run` follow it."""
    found = re.search(r"keycloak/keycloak:([0-9.]+)", COMPOSE_FILE.read_text())
    assert found, f"{COMPOSE_FILE} names no Keycloak"
    return found[1]


def home() -> Path:
    """A Keycloak to start: `KEYCLOAK_HOME`, or the zip of the local Maven repository, unpacked once."""
    require_java()
    if configured := os.environ.get("KEYCLOAK_HOME"):
        return Path(configured)
    name = f"keycloak-{version()}"
    unpacked = PROJECT / ".cache" / name
    if not unpacked.is_dir():
        repository = Path(os.environ.get("MAVEN_REPO") or Path.home() / ".m2" / "repository")
        archive = repository / f"org/keycloak/keycloak-quarkus-dist/{version()}/keycloak-quarkus-dist-{version()}.zip"
        if not archive.is_file():
            missing(f"no Keycloak: KEYCLOAK_HOME is not set and Maven has not fetched {archive.name} (CONTRIBUTING.md)")
        unpack(archive, name, unpacked)
    return unpacked


def require_java() -> None:
    java = shutil.which("java")
    if java is None:
        missing("no Keycloak: it needs java on the PATH")
    text = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False).stderr
    found = re.search(r'version "([0-9]+)', text)
    if not found or int(found[1]) < JAVA_AT_LEAST:
        missing(f"no Keycloak: it needs Java {JAVA_AT_LEAST} or later, and this is {text.splitlines()[:1]}")


def unpack(archive: Path, name: str, target: Path) -> None:
    """Unpack beside `target` and rename, so that a run cut short leaves no half of a Keycloak."""
    partial = target.with_name(f"{name}.{os.getpid()}")
    with zipfile.ZipFile(archive) as content:
        content.extractall(partial)
    partial.joinpath(name).rename(target)
    partial.rmdir()


def start(keycloak_home: Path, http_port: int, management_port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start it in a process group of its own: `kc.sh` has children."""
    imports = keycloak_home / "data" / "import"
    imports.mkdir(parents=True, exist_ok=True)
    shutil.copy(REALM_FILE, imports)
    options = [
        "--import-realm",
        "--db=dev-mem",
        "--http-host=127.0.0.1",
        f"--http-port={http_port}",
        f"--hostname=http://localhost:{http_port}",
        "--health-enabled=true",
        f"--http-management-port={management_port}",
        # A proxy in front would pass the certificate of a client on in this header; the tests do, over plain HTTP.
        "--proxy-headers=xforwarded",
        "--spi-x509cert-lookup--provider=haproxy",
        "--spi-x509cert-lookup--haproxy--ssl-client-cert=X-Test-Client-Cert",
    ]
    with log.open("wb") as output:
        return subprocess.Popen(
            ["bash", str(keycloak_home / "bin" / "kc.sh"), "start-dev", *options],
            env={
                **os.environ,
                "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx384m",
                "KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN,
                "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMIN,
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_until_ready(process: subprocess.Popen[bytes], management_port: int, log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{management_port}/health/ready", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(f"Keycloak did not start; the end of its log:\n{log.read_text()[-3000:]}")


def stop(process: subprocess.Popen[bytes]) -> None:
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, kind)
            process.wait(STOP_WITHIN_S)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
