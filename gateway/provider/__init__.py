"""The identity provider as a client sees it: discovery, client authentication, introspection and token endpoints."""
