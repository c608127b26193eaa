"""A homeserver process: a name, a configuration, a clock, and parts that are built on demand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from twisted.internet.interfaces import IReactorTime

from .config import Config
from .crypto.signing import SigningKey
from .types.ids import domain_of
from .util.clock import Clock

T = TypeVar("T")


class WiringError(Exception):
    """A part cannot be built in this process; the message says which and why."""


class Homeserver:
    """What every part can ask for.

    `bindings` say which class stands in for an interface in this kind of process. A part is a
    class with one argument, the Homeserver; it takes what it needs in its constructor, starts
    nothing there, and does not keep the Homeserver.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock,
        reactor: IReactorTime,
        *,
        signing_key: SigningKey,
        process_name: str,
        instance_name: str,
        bindings: Mapping[type, type] | None = None,
    ) -> None:
        self.config = config
        self.name: str = config.server.server_name
        self.clock = clock
        self.reactor = reactor
        self.signing_key = signing_key
        self.process_name = process_name
        self.instance_name = instance_name
        self._bindings = dict(bindings or {})
        self._parts: dict[type, Any] = {}
        self._building: list[type] = []

    def part(self, cls: type[T]) -> T:
        """The one instance of `cls` (or of the class bound to it), built on first use.

        Raises WiringError for a circle, and for a store that this process does not have.
        """
        found = self._parts.get(cls)
        if found is not None:
            built: T = found
            return built
        bound: type[T] = self._bindings.get(cls, cls)
        if bound is not cls:
            instance = self.part(bound)
        else:
            instance = self._build(cls)
        self._parts[cls] = instance
        return instance

    def _build(self, cls: type[T]) -> T:
        if cls in self._building:
            path = " -> ".join(part.__name__ for part in (*self._building, cls))
            raise WiringError(f"Parts ask for each other in a circle: {path}")
        if getattr(cls, "is_store", False):
            raise WiringError(f"{self.process_name} has no {cls.__name__}")
        self._building.append(cls)
        try:
            return cls(self)  # type: ignore[call-arg]  # a part is a class with one argument
        finally:
            self._building.pop()

    def provide(self, cls: type[T], instance: T) -> None:
        """Register a ready instance, as app and tests do."""
        self._parts[cls] = instance

    def provide_store(self, store: object) -> None:
        """Register the composed store under every store class that it is made of."""
        for cls in type(store).__mro__:
            if getattr(cls, "is_store", False):
                self._parts[cls] = store

    def parts_built(self) -> list[object]:
        """Every part, in the order in which they were built, each once."""
        return list({id(part): part for part in self._parts.values()}.values())

    def is_mine(self, matrix_id: str) -> bool:
        """Whether a user id, alias or other identifier belongs to this server."""
        return domain_of(matrix_id) == self.name
