"""Which resource of a listener (`client`, `federation`, …) a path belongs to."""

from __future__ import annotations

from .endpoint import Endpoint

# The longest prefix that fits decides; media have corners of the client and federation APIs.
_RESOURCES = {
    "/_matrix/client": "client",
    "/_matrix/client/v1/media": "media",
    "/.well-known/matrix": "client",
    "/_matrix/federation": "federation",
    "/_matrix/federation/v1/media": "media",
    "/_matrix/media": "media",
    "/_matrix/key": "keys",
    "/_synapse/admin": "admin",
    "/_synapse/client": "client",
    "/_synapse/replication": "replication",
    "/_synapse/metrics": "metrics",
    "/health": "health",
}

_INCLUDED = {"client": ("admin", "media"), "federation": ("keys", "media")}
"""What comes with a resource, as in configurations that name only `client` and `federation`."""


def resource_of(path: str) -> str:
    """The resource of a full path or path template. Raises ValueError when there is none."""
    fitting = [
        prefix
        for prefix in _RESOURCES
        if path == prefix or path.startswith((prefix + "/", prefix + "{"))
    ]
    if not fitting:
        raise ValueError(f"{path} belongs to no resource")
    return _RESOURCES[max(fitting, key=len)]


def with_included(names: frozenset[str]) -> frozenset[str]:
    """Resource names and those that come with them."""
    return names.union(*(_INCLUDED.get(name, ()) for name in names))


def resources_of(endpoint: Endpoint) -> frozenset[str]:
    """Every resource that serves one of the endpoint's prefixes."""
    return frozenset(resource_of(path) for path in endpoint.paths)
