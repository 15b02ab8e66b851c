"""nginx before the demo's backend, which asks the demo's gateway about each request: `gateway demo --beside nginx`.

One process in the foreground, with all of its files in one folder. `deploy/beside/nginx` has what a user would write.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from string import Template

from gateway.demo.places import HOST, Places

_STARTED_WITHIN_S = 10.0
_CONFIGURATION = Template("""\
daemon off;
master_process off; # as the user who runs the demo
pid $folder/nginx.pid;
error_log stderr error;
events {}
http {
    access_log off;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    upstream decisions {
        server unix:$folder/decisions.sock;
        keepalive 8;
    }
    map $$decision $$challenge_of_403 {
        default "";
        403 $$challenge;
    }
    server {
        listen $host:$port;
        auth_request /.decision;
        auth_request_set $$decision $$upstream_status;
        auth_request_set $$challenge $$upstream_http_www_authenticate;
        auth_request_set $$authorization $$upstream_http_authorization;
        add_header WWW-Authenticate $$challenge_of_403 always;
$taken
        location / {
            proxy_pass $backend;
            proxy_set_header Authorization $$authorization;
$sent
        }
        location = /.decision {
            internal;
            auth_request off;
            proxy_pass http://decisions/;
            proxy_http_version 1.1;
            proxy_pass_request_body off;
            proxy_set_header Connection "";
            proxy_set_header Content-Length "";
            proxy_set_header X-Original-Method $$request_method;
            proxy_set_header X-Original-URL $$scheme://$$host:$$server_port$$request_uri;
            proxy_set_header X-Forwarded-For $$remote_addr;
            proxy_set_header X-Forwarded-Proto "";
            proxy_set_header X-Forwarded-Method "";
            proxy_set_header X-Forwarded-Uri "";
            proxy_set_header X-Forwarded-Host "";
        }
    }
}
""")


def nginx_configuration(places: Places, folder: Path, identity_names: tuple[str, ...]) -> str:
    """The text of nginx.conf. The gateway's decisions listener is a socket in `folder`."""
    variables = {name: name.lower().replace("-", "_") for name in identity_names}
    return _CONFIGURATION.substitute(
        folder=folder,
        host=HOST,
        port=places.gateway,
        backend=places.backend_url,
        taken="\n".join(f"        auth_request_set ${one} $upstream_http_{one};" for one in variables.values()),
        sent="\n".join(f"            proxy_set_header {name} ${one};" for name, one in variables.items()),
    )


class DemoNginx:
    """Runs nginx as a process of its own. `start` raises `OSError` where there is none, or where it does not serve."""

    def __init__(self, places: Places, folder: Path, identity_names: tuple[str, ...]) -> None:
        self._places = places
        self._folder = folder
        self._text = nginx_configuration(places, folder, identity_names)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise FileNotFoundError("there is no nginx on this machine; install it, or leave --beside out")
        file = self._folder / "nginx.conf"
        await asyncio.to_thread(file.write_text, self._text)
        self._process = await asyncio.create_subprocess_exec(
            program, "-p", str(self._folder), "-e", "stderr", "-c", str(file)
        )
        try:
            async with asyncio.timeout(_STARTED_WITHIN_S):
                while not await self._serves():
                    if self._process.returncode is not None:
                        raise OSError("nginx did not start; it says why above")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            at = f"{HOST}:{self._places.gateway}"
            raise OSError(f"nginx does not listen on {at} after {_STARTED_WITHIN_S:.0f} s") from None

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    async def _serves(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, self._places.gateway)
        except OSError:
            return False
        writer.close()
        return True
