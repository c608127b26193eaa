"""What a process mounts: the servlets that it serves, and the declarations of all the others.

A worker imports the modules of what its kinds serve, and none besides: the code of all endpoints
with their handlers is an eighth of the memory of a process. Of the others it needs to know where
they live, to hand their requests on; that stands in `catalogue.json`, which `scripts/generate_docs`
writes from the declarations and a test compares with them.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from ..http.endpoint import Auth, Endpoint, Servlet, endpoints_of

_FILE = Path(__file__).with_name("catalogue.json")
_LIST = f"{__package__}.servlets"


@attrs.frozen
class Mounts:
    """`servlets` may declare endpoints that only others serve, as all of `elsewhere` are."""

    servlets: tuple[type[Servlet], ...]
    elsewhere: tuple[Endpoint, ...] = ()


def mounts_of(kinds: Collection[str] | None) -> Mounts:
    """What a worker of some kinds mounts; the master, which serves everything, passes None."""
    if kinds is None:
        return Mounts(importlib.import_module(_LIST).SERVLETS)
    servlets: list[type[Servlet]] = []
    elsewhere: list[Endpoint] = []
    for name, declared in json.loads(_FILE.read_text("utf-8")).items():
        endpoints = [_endpoint(values) for values in declared]
        if any(kind in kinds for endpoint in endpoints for kind in endpoint.served_by):
            servlets += importlib.import_module(name).SERVLETS
        else:
            elsewhere += endpoints
    return Mounts(tuple(servlets), tuple(elsewhere))


def catalogue_text(servlets: Iterable[type[Servlet]]) -> str:
    """The content of `catalogue.json`: the endpoints of each module."""
    modules: dict[str, list[dict[str, Any]]] = {}
    for servlet in servlets:
        modules.setdefault(servlet.__module__, []).extend(map(_values, endpoints_of(servlet)))
    return json.dumps(modules, indent=1, sort_keys=True) + "\n"


def _values(endpoint: Endpoint) -> dict[str, Any]:
    return {**attrs.asdict(endpoint), "auth": endpoint.auth.value}


def _endpoint(values: Mapping[str, Any]) -> Endpoint:
    sequences = {name: tuple(values[name]) for name in ("methods", "prefixes", "served_by")}
    return Endpoint(**{**values, **sequences, "auth": Auth(values["auth"])})
