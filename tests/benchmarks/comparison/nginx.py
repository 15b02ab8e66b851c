"""nginx as the backend, as a plain proxy, and as a proxy that asks with `auth_request` and caches the answer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.comparison.peer import Contestant, Kind, NotInstalledError
from benchmarks.comparison.place import Place, port
from benchmarks.comparison.server import Server
from benchmarks.comparison.stand_in import ANSWER

DOWNLOAD_BYTES = 10 * 2**20

# Kept alive for as long as it lasts; nothing is written, neither logs nor bodies that fit into memory.
_FRAME = """\
{modules}{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
worker_rlimit_nofile 20000;
events {{ worker_connections 16384; multi_accept on; }}
http {{
    access_log off;
    default_type application/json;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    sendfile on;
    tcp_nodelay on;
    client_body_buffer_size 128k;
    client_max_body_size 10m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{http}
}}
"""

# `mirror` reads the whole body before the answer, as a service would; `return` alone would answer too early.
# Who sends neither whom a proxy has named nor a token of his own is refused: a proxy that lost both is no cheap one.
_BACKEND = """\
    map "$http_x_user_id$http_authorization" $is_nobody {{ "" 1; default 0; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ if ($is_nobody) {{ return 403; }} return 200 '{answer}'; }}
        location = /whoami {{ return 200 '{{"user":"$http_x_user_id","authorization":"$http_authorization"}}'; }}
        location /post {{ if ($is_nobody) {{ return 403; }} mirror /sink; error_page 405 =200 @answer; empty_gif; }}
        location = /sink {{ internal; return 204; }}
        location @answer {{ return 200 '{answer}'; }}
        location = /download {{ if ($is_nobody) {{ return 403; }} root {folder}; }}
        location = /accepted {{ stub_status; }}
    }}
"""

_UPSTREAMS = """\
    upstream backend {{
        server 127.0.0.1:{backend_port};
        keepalive 512;
        keepalive_requests 1000000000;
        keepalive_time 1h;
    }}
    upstream provider {{
        server 127.0.0.1:{provider_port};
        keepalive 64;
        keepalive_requests 1000000000;
        keepalive_time 1h;
    }}
    proxy_http_version 1.1;
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;
    proxy_buffers 16 64k;
    proxy_buffer_size 16k;
    proxy_busy_buffers_size 128k;
"""

_PLAIN = """\
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://backend;
            proxy_set_header Connection "";
        }}
    }}
"""

_IDENTITY = ("X-User-Id", "X-User-Name", "X-Client-Id", "X-Scopes", "X-Roles")

_AUTH = """\
    proxy_cache_path {folder}/cache levels=1:2 keys_zone=answers:32m max_size=2g inactive=10h use_temp_path=off;
    open_file_cache max=10000 inactive=10m;
    map $http_authorization $bearer {{ "~^Bearer (?<sent>[-A-Za-z0-9._~+/]+=*)$" $sent; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            auth_request /verify;
{taken}
            proxy_pass http://backend;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header Authorization "";
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Request-Id $request_id;
{sent}
        }}
        location = /verify {{
            internal;
            proxy_pass http://provider/verify;
            proxy_method POST;
            proxy_pass_request_headers off;
            proxy_pass_request_body off;
            proxy_set_header Connection "";
            proxy_set_header Authorization "Basic Z3c6c2VjcmV0";
            proxy_set_header Content-Type application/x-www-form-urlencoded;
            proxy_set_body token=$bearer;
            proxy_cache answers;
            proxy_cache_lock on;
            proxy_cache_methods POST;
            proxy_cache_key $http_authorization;
            proxy_cache_valid 200 1h;
            proxy_cache_valid 401 10s;
        }}
    }}
"""


def binary() -> str:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise NotInstalledError("nginx (apt-get install nginx)")
    return found


def version() -> str:
    shown = subprocess.run([binary(), "-v"], capture_output=True, text=True, check=True, timeout=20).stderr
    found = re.search(r"nginx/([0-9.]+)", shown)
    return found[1] if found else shown.strip()


def backend_text(folder: Path, listen_port: int) -> str:
    return framed(folder, _BACKEND.format(port=listen_port, folder=folder, answer=ANSWER.decode()))


def plain_text(place: Place, listen_port: int) -> str:
    return framed(place.folder, upstreams(place) + _PLAIN.format(port=listen_port))


def auth_text(place: Place, listen_port: int) -> str:
    names = [(name, "$id_" + name.lower().replace("-", "_")) for name in _IDENTITY]
    taken = [f"auth_request_set {kept} $upstream_http_{kept.removeprefix('$id_')};" for _, kept in names]
    sent = [f"proxy_set_header {name} {kept};" for name, kept in names]
    indent = " " * 12
    return framed(
        place.folder,
        upstreams(place)
        + _AUTH.format(
            port=listen_port,
            folder=place.folder,
            taken="\n".join(indent + line for line in taken),
            sent="\n".join(indent + line for line in sent),
        ),
    )


def backend(place: Place) -> Server:
    """Answers with 100 bytes, `/download` with 10 MiB, and with who is calling at `/whoami`."""
    (place.folder / "download").write_bytes(os.urandom(2**20) * (DOWNLOAD_BYTES // 2**20))
    listen_port = port()
    file = written(place.folder, backend_text(place.folder, listen_port))
    return place.helper("backend", [binary(), "-c", str(file), "-p", str(place.folder)], listen_port)


def plain(place: Place) -> Contestant:
    return _proxy(place, Kind.NGINX, port(), plain_text)


def auth(place: Place) -> Contestant:
    return _proxy(place, Kind.NGINX_AUTH, port(), auth_text)


def _proxy(place: Place, kind: Kind, listen_port: int, text: Callable[[Place, int], str]) -> Contestant:
    file = written(place.folder, text(place, listen_port))
    server = place.proxy(kind.value, [binary(), "-c", str(file), "-p", str(place.folder)], listen_port)
    return Contestant(kind, server, version())


def framed(folder: Path, http: str, modules: Sequence[Path] = ()) -> str:
    """A whole file around `http`; `modules` are loaded."""
    user = "user root;" if os.geteuid() == 0 else ""
    loaded = "".join(f"load_module {one};\n" for one in modules)
    return _FRAME.format(modules=loaded, user=user, folder=folder, http=http)


def upstreams(place: Place) -> str:
    return _UPSTREAMS.format(backend_port=place.backend_port, provider_port=place.provider_port)


def written(folder: Path, text: str) -> Path:
    file = folder / "nginx.conf"
    file.write_text(text)
    return file
