"""A reverse proxy that introspects every bearer token (RFC 7662) and tells the backend who is calling."""

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "introspection-gateway"

try:
    __version__ = version(DISTRIBUTION)
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
