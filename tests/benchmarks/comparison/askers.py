"""Proxies that ask about each request: nginx, Caddy and Traefik as `deploy/beside` has them, on free ports."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path

from benchmarks.comparison import nginx
from benchmarks.comparison.peer import NotInstalledError
from benchmarks.comparison.place import Place, port
from benchmarks.comparison.server import Server

import gateway

_BESIDE = Path(gateway.__file__).parents[1] / "deploy" / "beside"
_PROXY, _BACKEND, _DECISIONS = "8080", "8000", "9191"  # the ports of its files


class Asker(Enum):
    NGINX = "nginx"
    CADDY = "Caddy"
    TRAEFIK = "Traefik"


class Answerer(Enum):
    GATEWAY = "the gateway"
    COMPILED = "the gateway, compiled"
    KEPT = "its proxy_cache"
    OATHKEEPER = "Oathkeeper"


def _text(file: str, numbers: dict[str, int]) -> str:
    def own(found: re.Match[str]) -> str:
        return str(numbers[found[1]])

    return re.sub(rf"\b({_PROXY}|{_BACKEND}|{_DECISIONS})\b", own, (_BESIDE / file).read_text())


def _numbers(place: Place, decisions: int) -> dict[str, int]:
    return {_PROXY: port(), _BACKEND: place.backend_port, _DECISIONS: decisions}


def nginx_text(numbers: dict[str, int], answerer: Answerer, folder: Path, *, keeps: bool) -> str:
    """The file of `deploy/beside` with one worker and connections that last; `keeps`: and with a cache for answers."""
    text = _text("nginx/nginx.conf", numbers).replace("worker_processes auto;", "worker_processes 1;")
    text = text.replace("keepalive 32;", "keepalive 64;\n        keepalive_requests 1000000000;")
    text = text.replace("access_log off;", "access_log off;\n    keepalive_requests 1000000000;", 1)
    if answerer is Answerer.OATHKEEPER:
        text = text.replace("proxy_pass http://decisions/;", "proxy_pass http://decisions/decisions$request_uri;")
    if keeps:
        zone = f"    proxy_cache_path {folder}/kept keys_zone=kept:8m;\n    upstream decisions {{"
        kept = "proxy_cache kept; proxy_cache_key $http_authorization$request_method$host$uri;"
        kept += " proxy_cache_valid 200 1m; proxy_ignore_headers Cache-Control;"
        ignoring = f"{kept}\n            proxy_pass_request_body off;"
        text = text.replace("    upstream decisions {", zone).replace("proxy_pass_request_body off;", ignoring)
    return text


def _nginx(place: Place, decisions: int, answerer: Answerer, keeps: bool) -> Server:
    numbers = _numbers(place, decisions)
    file = place.folder / "nginx.conf"
    file.write_text(nginx_text(numbers, answerer, place.folder, keeps=keeps))
    own = f"daemon off; pid {place.folder}/nginx.pid;" + (" user root;" if os.geteuid() == 0 else "")
    command = [nginx.binary(), "-p", str(place.folder), "-e", "stderr", "-c", str(file), "-g", own]
    return place.proxy("nginx that asks", command, numbers[_PROXY])


def _named(variable: str) -> str:
    """The program that an environment variable names."""
    if found := os.environ.get(variable, ""):
        return found
    raise NotInstalledError(f"{variable.title()} ({variable}=/its/program)")


def _caddy(place: Place, decisions: int, answerer: Answerer, _keeps: bool) -> Server:
    program, numbers = _named("CADDY"), _numbers(place, decisions)
    text = _text("caddy/Caddyfile", numbers)
    if answerer is Answerer.OATHKEEPER:
        text = text.replace("\turi /\n", "\turi /decisions\n")
    file = place.folder / "Caddyfile"
    file.write_text(text)
    command = [program, "run", "--adapter", "caddyfile", "--config", str(file)]
    return place.proxy("Caddy that asks", ["env", "GOMAXPROCS=1", *command], numbers[_PROXY])


def _traefik(place: Place, decisions: int, answerer: Answerer, _keeps: bool) -> Server:
    program, numbers = _named("TRAEFIK"), _numbers(place, decisions)
    for name in ("traefik.yaml", "dynamic.yaml"):
        text = _text(f"traefik/{name}", numbers).replace("filename: dynamic", f"filename: {place.folder}/dynamic")
        if answerer is Answerer.OATHKEEPER:
            text = text.replace(f":{decisions}/", f":{decisions}/decisions")
        (place.folder / name).write_text(text)
    command = ["env", "GOMAXPROCS=1", program, f"--configFile={place.folder / 'traefik.yaml'}"]
    return place.proxy("Traefik that asks", command, numbers[_PROXY])


ASKERS: Mapping[Asker, Callable[[Place, int, Answerer, bool], Server]] = {
    Asker.NGINX: _nginx,
    Asker.CADDY: _caddy,
    Asker.TRAEFIK: _traefik,
}
