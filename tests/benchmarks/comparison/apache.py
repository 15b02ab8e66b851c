"""Apache with mod_auth_openidc as an OAuth 2.0 resource server: answers cached in shared memory, or in Redis."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.comparison.peer import Contestant, Kind, NotInstalledError
from benchmarks.comparison.place import Place, port

_FOLDERS = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/local/apache2/modules")
_MODULES = (
    "mpm_event",
    "unixd",
    "authn_core",
    "authz_core",
    "authz_user",
    "proxy",
    "proxy_http",
    "headers",
    "auth_openidc",
)

# Some are built in, which ones depends on who has built it.
_LOADED = """\
<IfModule !{name}_module>
    LoadModule {name}_module {folder}/mod_{name}.so
</IfModule>"""

# One process; more threads than the largest load has connections, as it closes idle ones when all are busy.
_TEXT = """\
ServerRoot {folder}
ServerName localhost
PidFile {folder}/apache.pid
DefaultRuntimeDir {folder}
Listen 127.0.0.1:{port}
ListenBacklog 4096
{modules}
{user}
ErrorLog {folder}/error.log
LogLevel error
StartServers 1
ServerLimit 1
ThreadLimit 512
ThreadsPerChild 512
MaxRequestWorkers 512
AsyncRequestWorkerFactor 100
MaxConnectionsPerChild 0
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 600
Timeout 600
ProxyPass / http://127.0.0.1:{backend_port}/ keepalive=On max=512 ttl=600
OIDCCryptoPassphrase only-for-this-comparison
{provider}
OIDCOAuthClientID gw
OIDCOAuthClientSecret secret
OIDCOAuthSSLValidateServer Off
OIDCOAuthRemoteUserClaim sub
OIDCAuthNHeader X-User-Id
OIDCPassClaimsAs headers
{cache}
<Location />
    AuthType oauth20
    Require claim "scope~(^| )read( |$)"
    RequestHeader unset Authorization
</Location>
"""


def binary() -> str:
    for name in ("apache2", "httpd"):
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
        if found is not None:
            return found
    raise NotInstalledError("Apache (apt-get install apache2 libapache2-mod-auth-openidc)")


def modules_folder() -> Path:
    for folder in map(Path, _FOLDERS):
        if (folder / "mod_auth_openidc.so").exists():
            return folder
    raise NotInstalledError("mod_auth_openidc (apt-get install libapache2-mod-auth-openidc)")


def version() -> str:
    shown = subprocess.run([binary(), "-v"], capture_output=True, text=True, check=True, timeout=20).stdout
    found = re.search(r"Apache/([0-9.]+)", shown)
    module = re.search(
        rb"mod_auth_openidc[-/ ]([0-9]+\.[0-9.]+[0-9])", (modules_folder() / "mod_auth_openidc.so").read_bytes()
    )
    return f"{found[1] if found else '?'}, module {module[1].decode() if module else '?'}"


def text(place: Place, listen_port: int, modules: Path) -> str:
    """With a Redis at hand each request asks it: this module has no other tier in front of it."""
    # It takes an endpoint by https alone, or else what the provider's metadata say, which it reads for each request.
    provider = f"OIDCOAuthServerMetadataURL http://127.0.0.1:{place.provider_port}/metadata"
    if place.provider_tls_port:
        provider = f"OIDCOAuthIntrospectionEndpoint https://localhost:{place.provider_tls_port}/introspect"
    # Its own 500 would be fewer than the mixed load has tokens.
    cache = "OIDCCacheType shm\nOIDCCacheShmMax 2048"
    if place.redis_port:
        cache = f"OIDCCacheType redis\nOIDCRedisCacheServer 127.0.0.1:{place.redis_port}"
    return _TEXT.format(
        folder=place.folder,
        port=listen_port,
        modules="\n".join(_LOADED.format(name=name, folder=modules) for name in _MODULES),
        user="User www-data\nGroup www-data" if os.geteuid() == 0 else "",  # it refuses to serve as root
        backend_port=place.backend_port,
        provider=provider,
        cache=cache,
    )


def auth(place: Place) -> Contestant:
    found, modules, listen_port = binary(), modules_folder(), port()
    file = place.folder / "apache.conf"
    file.write_text(text(place, listen_port, modules))
    server = place.proxy(Kind.APACHE.value, [found, "-f", str(file), "-DFOREGROUND"], listen_port)
    return Contestant(Kind.APACHE, server, version())
