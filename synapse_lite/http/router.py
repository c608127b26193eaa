"""Finds the target of a path in a trie over its segments.

The raw path is split before anything is decoded, so that `%2F` inside a parameter stays part of
it; each parameter is then percent-decoded once. Literal segments win over parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar
from urllib.parse import unquote_to_bytes

from ..api.errors import InvalidParamError, UnrecognizedError

T = TypeVar("T")

MAX_SEGMENTS = 32
"""Longest path; the longest endpoint has less than half."""


class MethodNotAllowedError(UnrecognizedError):
    """The path exists, but not with this method. `allowed` are those that it has."""

    def __init__(self, allowed: list[str]) -> None:
        super().__init__("Unrecognized request method", status=405)
        self.allowed = allowed


class _Node(Generic[T]):
    """One segment. `routes` maps a method to parameter names and target."""

    __slots__ = ("literals", "parameter", "routes")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.parameter: _Node[T] | None = None
        self.routes: dict[str, tuple[tuple[str, ...], T]] = {}


class Router(Generic[T]):
    """Maps method and path to a target and the path's parameters."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        # Literal segments win, so a path that is a template without parameters leads there.
        self._literal: dict[tuple[str, str], T] = {}

    def add(self, method: str, template: str, target: T, *, trailing_slash: bool = False) -> None:
        """Add a route such as `/rooms/{room_id}/messages`. Raises ValueError if it is taken."""
        segments = template.split("/")[1:]
        names = tuple(segment[1:-1] for segment in segments if _is_parameter(segment))
        self._add(method, segments, names, target)
        if trailing_slash:
            self._add(method, [*segments, ""], names, target)

    def _add(self, method: str, segments: list[str], names: tuple[str, ...], target: T) -> None:
        node = self._root
        for segment in segments:
            if _is_parameter(segment):
                if node.parameter is None:
                    node.parameter = _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        if method in node.routes:
            raise ValueError(f"{method} /{'/'.join(segments)} is routed twice")
        node.routes[method] = (names, target)
        if not names:
            self._literal[method, "/" + "/".join(segments)] = target

    def match(self, method: str, path: str) -> tuple[T, Mapping[str, str]]:
        """The target and the decoded parameters. HEAD goes where GET goes.

        Raises UnrecognizedError (404), MethodNotAllowedError (405), and InvalidParamError for
        parameters that are not UTF-8 or hold NUL characters.
        """
        literal = self._literal.get((method, path))
        if literal is not None:
            return literal, {}
        segments = path.split("/")
        if len(segments) > MAX_SEGMENTS:
            raise UnrecognizedError("Unrecognized request")
        found, values = self._find(method, segments)
        names, target = found
        return target, dict(zip(names, map(decode_segment, values), strict=True))

    def _find(
        self, method: str, segments: list[str]
    ) -> tuple[tuple[tuple[str, ...], T], tuple[str, ...]]:
        allowed: set[str] = set()
        for node, values in self._nodes(segments):
            route = node.routes.get(method)
            if route is None and method == "HEAD":
                route = node.routes.get("GET")
            if route is not None:
                return route, values
            allowed.update(node.routes)
        if allowed:
            raise MethodNotAllowedError(sorted(allowed))
        raise UnrecognizedError("Unrecognized request")

    def _nodes(self, segments: list[str]) -> list[tuple[_Node[T], tuple[str, ...]]]:
        """Every node that the path leads to with its parameters, best match first.

        There are as many candidates as ways to read a segment as literal or parameter; templates
        leave two or three at most.
        """
        candidates: list[tuple[_Node[T], tuple[str, ...]]] = [(self._root, ())]
        for segment in segments[1:]:
            following = []
            for node, values in candidates:
                literal = node.literals.get(segment)
                if literal is not None:
                    following.append((literal, values))
                if segment and node.parameter is not None:
                    following.append((node.parameter, (*values, segment)))
            if not following:
                return []
            candidates = following
        return [candidate for candidate in candidates if candidate[0].routes]


def _is_parameter(segment: str) -> bool:
    return segment.startswith("{") and segment.endswith("}")


def decode_segment(segment: str) -> str:
    """Percent-decode one segment. Raises InvalidParamError for bad UTF-8 and NUL."""
    if "%" not in segment and segment.isascii():
        return segment
    try:
        # Segments come from latin-1 text, see `site`, so raw UTF-8 in a path works too.
        decoded = unquote_to_bytes(segment.encode("latin-1")).decode("utf-8")
    except UnicodeError as error:
        raise InvalidParamError("The path is not UTF-8") from error
    if "\0" in decoded:
        raise InvalidParamError("The path must not hold NUL characters")
    return decoded
