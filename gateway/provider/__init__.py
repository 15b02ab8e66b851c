"""The client of an identity provider: discovery, client authentication, introspection and token endpoints."""
