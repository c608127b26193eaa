"""What a reverse proxy must know: which process answers which path, from the declarations.

A path goes to a worker if its endpoint may be served by the worker's kind; everything else goes to
the master, which serves all.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence

import attrs

from ..config import Config
from ..config.listeners import Listener
from ..http.endpoint import Endpoint, Servlet, endpoints_of
from ..http.resources import resource_of, with_included
from ._process import Process

MASTER_NAME = "master"

_PARAMETER = re.compile(r"\{\w+\}")

# Answered between the processes of a server, and by each process about itself.
_INTERNAL = frozenset({"replication", "metrics", "health"})


class ProxyError(Exception):
    """No configuration can be made for these processes; the message says why."""


@attrs.frozen
class Backend:
    """A process as a proxy sees it: `address` is host and port, `resources` what is there."""

    name: str
    kinds: frozenset[str]
    address: str
    resources: frozenset[str]


@attrs.frozen
class Location:
    """Some paths, and the kind of process that answers each method; other methods: the master.

    `template` is without its prefix.
    """

    template: str
    prefixes: tuple[str, ...]
    kinds: Mapping[str, str]
    trailing_slash: bool

    @property
    def regex(self) -> str:
        """An anchored regular expression for the path."""
        return Endpoint(
            methods=(),
            prefixes=self.prefixes,
            template=self.template,
            label="",
            trailing_slash=self.trailing_slash,
        ).regex

    @property
    def only_kind(self) -> str | None:
        """The kind, if it is the same for every method that is declared."""
        kinds = set(self.kinds.values())
        return kinds.pop() if len(kinds) == 1 else None


def backend_of(process: Process, config: Config) -> Backend | None:
    """The process as a backend; None for a worker that a proxy has no business with.

    Raises ProxyError when the master cannot be reached.
    """
    is_master = process.is_master
    listeners = config.server.listeners if is_master else config.worker.listeners
    usable = [
        listener
        for listener in listeners
        if listener.type == "http" and listener.resource_names - _INTERNAL
    ]
    plain = [listener for listener in usable if not listener.tls]
    if usable and not plain:
        raise ProxyError(
            f"{config.worker.name or MASTER_NAME}: a proxy needs a listener without tls"
        )
    if not plain:
        if is_master:
            raise ProxyError("The master has no http listener for clients")
        return None
    listener = max(plain, key=lambda item: len(item.resource_names))
    return Backend(
        name=MASTER_NAME if is_master else config.worker.name or process.name,
        kinds=frozenset() if is_master else frozenset(process.kinds),
        address=_address(listener),
        resources=with_included(listener.resource_names),
    )


def _address(listener: Listener) -> str:
    """Where a proxy on the same machine reaches a listener; IPv4 where there is a choice."""
    addresses = sorted(
        (ipaddress.ip_address(address) for address in listener.bind_addresses),
        key=lambda address: address.version,
    )
    address = addresses[0]
    if address.is_unspecified:
        return f"127.0.0.1:{listener.port}" if address.version == 4 else f"[::1]:{listener.port}"
    return f"{address}:{listener.port}" if address.version == 4 else f"[{address}]:{listener.port}"


def locations(servlets: Iterable[type[Servlet]], workers: Sequence[Backend]) -> list[Location]:
    """The paths that do not simply go to the master; of several that fit, the first counts.

    Paths that only the master serves are named where the path of a worker would fit them too.
    """
    served: dict[str, dict[str, str]] = {}
    slashes: dict[str, bool] = {}
    templates: dict[str, tuple[str, str]] = {}
    for declared in (item for servlet in servlets for item in endpoints_of(servlet)):
        for prefix, path in zip(declared.prefixes, declared.paths, strict=True):
            if resource_of(path) in _INTERNAL:
                continue
            key = _PARAMETER.sub("{x}", path)
            templates[key] = (prefix, _PARAMETER.sub("{x}", declared.template))
            slashes[key] = slashes.get(key, False) or declared.trailing_slash
            kind = kind_for(declared, path, workers)
            for method in declared.methods:
                served.setdefault(key, {})[method] = kind
    groups: dict[tuple[str, bool, tuple[tuple[str, str], ...]], list[str]] = {}
    for key, kinds in served.items():
        prefix, template = templates[key]
        group = (template, slashes[key], tuple(sorted(kinds.items())))
        groups.setdefault(group, []).append(prefix)
    every = [
        Location(template, tuple(prefixes), dict(kinds), slash)
        for (template, slash, kinds), prefixes in groups.items()
    ]
    of_workers = [one for one in every if one.only_kind != MASTER_NAME]
    wanted = [
        one for one in every if one in of_workers or any(_fits(one, other) for other in of_workers)
    ]
    return sorted(wanted, key=_specificity)


def kind_for(declared: Endpoint, path: str, workers: Sequence[Backend]) -> str:
    """The kind of worker that a path goes to: the first that may serve it and is there."""
    resource = resource_of(path)
    for kind in declared.served_by:
        of_kind = [worker for worker in workers if kind in worker.kinds]
        if of_kind and all(resource in worker.resources for worker in of_kind):
            return kind
    return MASTER_NAME


def _fits(location: Location, other: Location) -> bool:
    """Whether the other's regular expression would take paths of the location."""
    pattern = re.compile(other.regex)
    sample = location.template.replace("{x}", "x")
    return any(pattern.match(prefix + sample) for prefix in location.prefixes)


def _specificity(location: Location) -> tuple[tuple[bool, str], ...]:
    """Literal segments before parameters, as the router of a process does it."""
    path = location.prefixes[0].split("/") + location.template.split("/")[1:]
    return tuple(("{" in segment, segment) for segment in path)
