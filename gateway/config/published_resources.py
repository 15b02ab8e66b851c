"""The documents about protected resources that a configuration has the gateway publish (RFC 9728)."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.config.model import Config
from gateway.config.realms import by_realm, names_by_realm
from gateway.config.route_model import Route
from gateway.config.token_place import IN_AUTHORIZATION, IN_STANDARD_QUERY, TokenPlace
from gateway.http.protected_resource import metadata_document, metadata_location
from gateway.http.public_document import PublicDocument, resource_metadata


def compile_resources(config: Config) -> dict[tuple[str, str], PublicDocument]:
    """What is published of the routes' resources, by host and path. Routes with one identifier join what they say."""
    groups: dict[str, list[Route]] = {}
    for route in config.routes:
        if route.resource is not None:
            groups.setdefault(route.resource.identifier, []).append(route)
    published = {}
    for identifier, routes in groups.items():
        resources = [route.resource for route in routes if route.resource is not None]
        providers = [name for route in routes for name in route.auth.provider or tuple(config.providers)]
        settings = by_realm(config.providers)
        names = names_by_realm(providers, config.providers)
        issuers = [issuer for name in names if (issuer := settings[name].issuer) is not None]
        scopes = [scope for resource in resources for scope in resource.scopes]
        name = next((resource.name for resource in resources if resource.name is not None), None)
        methods = bearer_methods(place for route in routes for place in route.auth.token_from)
        location = metadata_location(identifier)
        document = metadata_document(identifier, issuers, scopes, methods, name)
        published[location.host, location.path] = resource_metadata(document)
    return published


def bearer_methods(places: Iterable[TokenPlace]) -> list[str]:
    """What RFC 9728 §2 calls these places: the methods of RFC 6750 §2.1 and §2.3, whose parameter has one name.

    A header of another name, a cookie and another parameter are no methods of that RFC.
    """
    found = list(places)
    of_places = {"header": IN_AUTHORIZATION, "query": IN_STANDARD_QUERY}
    return [method for method, place in of_places.items() if place in found]
