"""nginx with lua-resty-openidc: introspects, remembers in shared memory, asks for one scope, sends identity headers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.comparison import nginx
from benchmarks.comparison.peer import Contestant, Kind, NotInstalledError
from benchmarks.comparison.place import Place, port

_FOLDERS = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules")
_MODULES = ("ndk_http_module.so", "ngx_http_lua_module.so")

# Answers are kept until the token's own end, as the library does by itself; room is for more than are ever asked for.
_TEXT = """\
    lua_package_path "{lua}/?.lua;{lua}/?/init.lua;;";
    lua_package_cpath "{lua}/?.so;;";
    lua_shared_dict introspection 256m;
    init_by_lua_block {{ openidc = require("resty.openidc") }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            access_by_lua_block {{
                local facts, err = openidc.introspect({{
                    introspection_endpoint = "http://127.0.0.1:{provider_port}/introspect",
                    introspection_endpoint_auth_method = "client_secret_basic",
                    client_id = "gw",
                    client_secret = "secret",
                }})
                if err or not facts or not facts.active then return ngx.exit(401) end
                if not string.find(" " .. facts.scope .. " ", " read ", 1, true) then return ngx.exit(403) end
                local set = ngx.req.set_header
                set("X-User-Id", facts.sub)
                set("X-User-Name", facts.preferred_username)
                set("X-Client-Id", facts.client_id)
                set("X-Scopes", facts.scope)
                set("X-Roles", table.concat(facts.realm_access.roles, ","))
                ngx.req.clear_header("Authorization")
            }}
            proxy_pass http://backend;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Request-Id $request_id;
        }}
    }}
"""


def lua_folder() -> Path:
    """What `RESTY_OPENIDC` names: with `resty/openidc.lua` and all that this asks for below it."""
    named = os.environ.get("RESTY_OPENIDC", "")
    if not named:
        raise NotInstalledError("lua-resty-openidc (RESTY_OPENIDC=/folder with resty/openidc.lua and what it needs)")
    folder = Path(named).resolve()
    if not (folder / "resty" / "openidc.lua").exists():
        raise NotInstalledError(f"{folder} has no resty/openidc.lua")
    return folder


def program() -> tuple[str, list[Path]]:
    """OpenResty, which has Lua within it, or else nginx and the modules that it has to load."""
    if openresty := shutil.which("openresty"):
        return openresty, []
    for folder in map(Path, (os.environ.get("NGINX_MODULES", ""), *_FOLDERS)):
        if all((folder / name).exists() for name in _MODULES):
            return nginx.binary(), [folder / name for name in _MODULES]
    raise NotInstalledError("nginx's Lua module (apt-get install libnginx-mod-http-lua, or NGINX_MODULES=/its/folder)")


def version(folder: Path, binary: str) -> str:
    shown = subprocess.run([binary, "-v"], capture_output=True, text=True, check=True, timeout=20).stderr
    server = re.search(r"/([0-9.]+)", shown)
    library = re.search(r'_VERSION = "([0-9.]+)"', (folder / "resty" / "openidc.lua").read_text())
    return f"{library[1] if library else '?'} on nginx {server[1] if server else '?'}"


def text(place: Place, listen_port: int, folder: Path, modules: list[Path]) -> str:
    http = _TEXT.format(port=listen_port, lua=folder, provider_port=place.provider_port)
    return nginx.framed(place.folder, nginx.upstreams(place) + http, modules)


def auth(place: Place) -> Contestant:
    folder, (binary, modules), listen_port = lua_folder(), program(), port()
    file = nginx.written(place.folder, text(place, listen_port, folder, modules))
    server = place.proxy(Kind.RESTY.value, [binary, "-c", str(file), "-p", str(place.folder)], listen_port)
    return Contestant(Kind.RESTY, server, version(folder, binary))
