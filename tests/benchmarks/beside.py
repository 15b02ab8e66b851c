"""What a question costs beside nginx: `python tests/benchmarks/beside.py [--seconds 5] [--rounds 3]`.

nginx as `deploy/beside` has it, in front of a backend of its own, with a token that the gateway knows. It asks the
gateway about each request, or keeps what it was answered (`proxy_cache`), which no revocation reaches. CPU of nginx and
of the gateway for one request, by their own clocks; the load comes from wrk.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT / "tests"))

from support.redis_server import free_port  # noqa: E402 - after the path it is found on
from support.served import served  # noqa: E402

CLOCK_HZ = os.sysconf("SC_CLK_TCK")
TOKEN = "token-of-alice"
FACTS = {"active": True, "sub": "alice", "username": "alice", "aud": "orders-api", "scope": "orders:read"}
BACKEND = """\
events {{}}
http {{
    access_log off;
    server {{ listen 127.0.0.1:{port}; keepalive_requests 1000000; return 200 hello; }}
}}
"""
NOT_THE_BODY = "            proxy_pass_request_body off;"
KEPT = """
            proxy_cache kept;
            proxy_cache_key $http_authorization$request_method$host$uri;
            proxy_cache_valid 200 1m;
            proxy_ignore_headers Cache-Control;
"""


class Provider(BaseHTTPRequestHandler):
    """Calls every token alice's."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({**FACTS, "exp": int(time.time()) + 3600}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def nginx(folder: Path, text: str, port: int) -> subprocess.Popen[bytes]:
    folder.mkdir()
    file = folder / "nginx.conf"
    file.write_text(text)
    own = f"daemon off; master_process off; pid {folder}/nginx.pid;"
    process = subprocess.Popen(["nginx", "-p", str(folder), "-e", "stderr", "-c", str(file), "-g", own])
    wait_for(port)
    return process


def beside_text(numbers: dict[str, int], *, keeps: bool, folder: Path) -> str:
    """The file of `deploy/beside`, with these ports; `keeps`: with a cache for what the gateway answers."""
    text = (PROJECT / "deploy" / "beside" / "nginx" / "nginx.conf").read_text()
    text = re.sub(r"\b(8080|8000|9191)\b", lambda found: str(numbers[found[1]]), text)
    text = text.replace("worker_processes auto;", "")
    text = text.replace("keepalive 32;", "keepalive 32;\n        keepalive_requests 1000000;")
    if keeps:
        cache = f"access_log off;\n    proxy_cache_path {folder}/kept keys_zone=kept:8m;"
        text = text.replace("access_log off;", cache, 1).replace(NOT_THE_BODY, KEPT + NOT_THE_BODY, 1)
    return text


def wait_for(port: int) -> None:
    import socket

    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on {port}")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_HZ


def load(port: int, seconds: int) -> int:
    """How many requests were answered with 200."""
    command = ["wrk", "-t1", "-c16", f"-d{seconds}s", "-H", f"Authorization: Bearer {TOKEN}"]
    said = subprocess.run([*command, f"http://127.0.0.1:{port}/orders/7"], capture_output=True, text=True, check=True)
    if "Non-2xx" in said.stdout:
        raise SystemExit(said.stdout)
    found = re.search(r"([0-9]+) requests in", said.stdout)
    assert found is not None
    return int(found[1])


def measured(port: int, pids: dict[str, int], seconds: int) -> dict[str, float]:
    """Microseconds of CPU for one request, by process."""
    load(port, 1)
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    count = load(port, seconds)
    return {name: (cpu_s(pid) - before[name]) / count * 1e6 for name, pid in pids.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    provider = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as name:
        folder, admin = Path(name), free_port()
        numbers = {"8080": free_port(), "8000": free_port(), "9191": free_port()}
        kept = {**numbers, "8080": free_port()}
        document = {
            "server": {"listen": f"127.0.0.1:{free_port()}"},
            "admin": {"listen": f"127.0.0.1:{admin}"},
            "decisions": {"listen": f"127.0.0.1:{numbers['9191']}"},
            "log": {"access": False},
            "providers": {
                "p": {
                    "introspection_endpoint": f"http://127.0.0.1:{provider.server_port}/introspect",
                    "client_id": "gw",
                    "client_secret": "secret-of-the-client",
                }
            },
            "routes": [{"name": "orders", "match": {"path": "/orders/**"}, "auth": {"scopes": ["orders:read"]}}],
        }
        file = folder / "gateway.yaml"
        file.write_text(json.dumps(document))
        backend_text = BACKEND.format(port=numbers["8000"])
        with served(file, admin) as gateway:
            processes = [nginx(folder / "backend", backend_text, numbers["8000"])]
            try:
                asks = nginx(folder / "asks", beside_text(numbers, keeps=False, folder=folder), numbers["8080"])
                keeps = nginx(folder / "keeps", beside_text(kept, keeps=True, folder=folder), kept["8080"])
                processes += [asks, keeps]
                rows = []
                for _ in range(chosen.rounds):
                    asking = measured(numbers["8080"], {"nginx": asks.pid, "gateway": gateway.pid}, chosen.seconds)
                    keeping = measured(kept["8080"], {"nginx": keeps.pid, "gateway": gateway.pid}, chosen.seconds)
                    rows.append((asking, keeping))
                print("| | nginx | gateway | together |\n| --- | --- | --- | --- |")
                for place, title in enumerate(("asks the gateway each time", "proxy_cache of its answers")):
                    one = {key: median(row[place][key] for row in rows) for key in ("nginx", "gateway")}
                    print(f"| {title} | {one['nginx']:.0f} µs | {one['gateway']:.0f} µs | {sum(one.values()):.0f} µs |")
            finally:
                for process in processes:
                    process.terminate()
                    process.wait()
    provider.shutdown()


if __name__ == "__main__":
    main()
