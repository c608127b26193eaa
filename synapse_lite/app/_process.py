"""What a kind of process is: the values that the process table is made of.

A process is a store to read, some endpoints, some duties. What follows from these is derived:
the streams that it follows from its store, the servlets that it mounts from the endpoints'
`served_by`, its proxy rules and its documentation from both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs

from ..server import Homeserver
from ..storage._base import BaseStore


class DutyPart(Protocol):
    """What does the work of a duty; built by `hs.part`, started once the process is up."""

    async def start(self) -> None:
        """Begin the work, from where it was left."""

    async def stop(self) -> None:
        """End it; what is unfinished is taken up at the next start."""


@attrs.frozen
class Duty:
    """Work that exactly one process does."""

    name: str
    purpose: str
    part: Callable[[Homeserver], DutyPart]


@attrs.frozen
class Process:
    """One kind of process.

    `resources` are what its listeners may name. `bindings` say which class stands for an
    interface here. `many` tells whether several of the kind may run; with `sticky`, all requests of
    one log-in should go to the same one of them. `prepare` binds what is
    neither part nor interface, such as sources of live streams; it runs before listening.
    """

    name: str
    purpose: str
    store: type[BaseStore]
    resources: tuple[str, ...]
    duties: tuple[Duty, ...] = ()
    bindings: Mapping[type, type] = {}
    many: bool = True
    sticky: bool = False
    is_master: bool = False
    roles: tuple[str, ...] = ()
    prepare: Callable[[Homeserver], None] = lambda hs: None

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of worker that this process is, as endpoints name them."""
        return self.roles or (self.name,)

    @property
    def app(self) -> str:
        """The module that starts the process."""
        return f"synapse_lite.app.{'homeserver' if self.is_master else self.name}"


def combine(name: str, purpose: str, roles: tuple[Process, ...]) -> Process:
    """A process that is several kinds of worker at once.

    Raises ValueError when two roles bind different classes to one interface.
    """
    bindings: dict[type, type] = {}
    for role in roles:
        for interface, bound in role.bindings.items():
            if bindings.setdefault(interface, bound) is not bound:
                raise ValueError(f"The roles disagree on what stands for {interface.__name__}")
    return Process(
        name=name,
        purpose=purpose,
        store=_combined_store(name, tuple(role.store for role in roles)),
        resources=_union(role.resources for role in roles),
        duties=_union(role.duties for role in roles),
        bindings=bindings,
        many=all(role.many for role in roles),
        roles=tuple(role.name for role in roles),
    )


def _combined_store(name: str, stores: tuple[type[BaseStore], ...]) -> type[BaseStore]:
    """A store with the areas of all: their direct bases once each, the common base last."""
    bases = list(dict.fromkeys(base for store in stores for base in store.__bases__))
    general = [base for base in bases if any(base in other.__mro__[1:] for other in bases)]
    ordered = [base for base in bases if base not in general]
    # What ends every store (its position-following base) must come after all areas.
    ordered.sort(key=lambda base: base.__name__ == "FollowerStore")
    return type(f"{name.title().replace('_', '')}Store", tuple(ordered), {"__doc__": name})


def _union(groups: Any) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(item for group in groups for item in group))
