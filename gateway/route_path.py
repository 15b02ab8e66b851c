"""Decides whether a matched route accepts the form of a path, and which path the backend gets.

Pure. Routes match the segments of a path without their parameters; see `gateway.http.target`.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.compiled import CompiledRoute
from gateway.config.pattern import SegmentKind
from gateway.http.refusal import Refusal
from gateway.http.target import Target
from gateway.routing import Matched, WrongMethod, rewritten


def takes(target: Target, found: Matched[CompiledRoute]) -> bool:
    """Whether the route accepts encoded slashes and path parameters, if the path has any."""
    route = found.value.config
    if target.has_encoded_slash and not route.allow_encoded_slash:
        return False
    return not target.has_parameters or (route.allow_path_parameters and not _has_captured_parameters(target, found))


def _has_captured_parameters(target: Target, found: Matched[CompiledRoute]) -> bool:
    """Whether the backend would read more in a captured segment than the policy did."""
    segments = found.value.config.match.path.segments
    return any(s.kind is SegmentKind.CAPTURE and target.has_parameters_at(index) for index, s in enumerate(segments))


def unrouted(target: Target, found: Matched[CompiledRoute] | WrongMethod | None) -> Refusal:
    # These come first: a path in such a form belongs to no route that does not accept it.
    if target.has_encoded_slash and not (isinstance(found, Matched) and found.value.config.allow_encoded_slash):
        return Refusal("invalid_target", "the path has an encoded slash")
    if target.has_parameters:
        return Refusal("invalid_target", "the path has parameters")
    if isinstance(found, WrongMethod):
        return wrong_method("the resource does not take this method", found.allowed)
    return Refusal("no_route", "there is no such resource here")


def wrong_method(detail: str, allowed: Iterable[str]) -> Refusal:
    methods = ", ".join(allowed)
    return Refusal("method_not_allowed", detail, (("Allow", methods),), reason=f"the method is not one of [{methods}]")


def moved(target: Target, matched: Matched[CompiledRoute]) -> str:
    route = matched.value
    config = route.config
    if config.rewrite is not None:
        return rewritten(config.rewrite, matched.captures, matched.rest)
    if route.stripped is not None:  # of the path without parameters, as a rewrite is
        return target.bare_path[len(route.stripped) :] or "/"
    if config.strip_prefix is not None:
        return "/" + "/".join(target.segments[len(config.strip_prefix.segments) :])
    return target.path


def stripped(target: Target, route: CompiledRoute) -> str:
    """The beginning of the path that the backend does not get: the segments that match the prefix."""
    if route.stripped is not None:
        return route.stripped
    prefix = route.config.strip_prefix
    return "" if prefix is None else "".join(f"/{segment}" for segment in target.segments[: len(prefix.segments)])
