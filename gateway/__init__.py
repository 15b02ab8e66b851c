"""A reverse proxy that introspects every bearer token (RFC 7662) and tells the backend who is calling."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("gateway")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
