"""These tests run a gateway between a recording backend and a scripted provider; see `support.serving`."""

from support.serving import backend, lane, provider, pytest_generate_tests, serve

__all__ = ["backend", "lane", "provider", "pytest_generate_tests", "serve"]
