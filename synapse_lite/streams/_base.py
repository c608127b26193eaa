"""What a stream is: the one declaration from which replication, caches and wake-ups are derived.

A stream tells the workers what the master has changed. Every change is a row with a token, the
position in the stream. Tokens on the wire are plain rising integers; a counter that counts down in
the database (backfill) is negated in `storage._positions` and nowhere else.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, Union, dataclass_transform, get_args, get_origin, get_type_hints

import attrs

from ..util.json import JsonValue

T = TypeVar("T")

EPOCH_SHIFT = 32
"""Counters held in memory start at `epoch << EPOCH_SHIFT`, so that they never go back."""


class RowError(ValueError):
    """A row on the wire does not fit the type of its stream; nothing of it was applied."""


@dataclass_transform(frozen_default=True)
def row(cls: type[T]) -> type[T]:
    """Declare a row type: a frozen value whose field order is the wire order.

    Fields are only ever appended, and appended ones have a default: rows of an older peer are
    shorter, rows of a newer peer have columns that are ignored.
    """
    return attrs.frozen(cls)


@attrs.frozen
class Counter:
    """Where the positions of one or more streams come from.

    `table` and `column` hold the positions in the database; `also` names more columns that took
    positions of this counter. `step` is -1 where stored numbers count down. A counter without
    table lives in the memory of the master.
    """

    name: str
    table: str | None = None
    column: str = "stream_id"
    also: tuple[tuple[str, str], ...] = ()
    step: int = 1

    @property
    def in_memory(self) -> bool:
        """Whether positions carry the epoch of the master instead of being stored."""
        return self.table is None


@attrs.frozen
class Table:
    """Rows of the stream are the columns of a table, named as the fields of the row type.

    `json` names the columns that hold JSON text; `booleans` those that hold truth values.
    """

    name: str
    json: tuple[str, ...] = ()
    booleans: tuple[str, ...] = ()


@attrs.frozen
class Query:
    """Rows come from a method of the store: `async (low, high, limit) -> [(token, row)]`.

    The answer holds rows with low < token <= high in rising order, at most `limit` of them.
    """

    method: str


@attrs.frozen
class Live:
    """Rows are in the memory of a part of the master, which the process table binds."""


LIVE = Live()


@attrs.frozen
class Wakes:
    """Whose /sync must look again: members of rooms, users, and all who share a room with a user.

    What wakes by `sharing` can wait a little: see `notifier`.
    """

    rooms: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    sharing: tuple[str, ...] = ()


def wakes_room(field: str) -> Callable[[Any], Wakes]:
    """A row wakes the members of the room that its field names."""
    return lambda row: Wakes(rooms=(getattr(row, field),))


def wakes_user(field: str) -> Callable[[Any], Wakes]:
    """A row wakes the user that its field names."""
    return lambda row: Wakes(users=(getattr(row, field),))


def wakes_nobody(row: object) -> Wakes:
    """A row that no /sync shows."""
    return Wakes()


def _checker(annotation: Any) -> Callable[[JsonValue], bool]:
    """A predicate for a JSON value of the annotated type."""
    if annotation is Any:
        return lambda value: True
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        options = [_checker(option) for option in get_args(annotation)]
        return lambda value: any(option(value) for option in options)
    if origin is list or annotation is list:
        arguments = get_args(annotation)
        item = _checker(arguments[0]) if arguments else lambda value: True
        return lambda value: isinstance(value, list) and all(item(element) for element in value)
    if origin is dict or annotation is dict:
        return lambda value: isinstance(value, dict)
    if annotation in (type(None), None):
        return lambda value: value is None
    if annotation is int:
        return lambda value: isinstance(value, int) and not isinstance(value, bool)
    if annotation in (str, bool):
        return lambda value: isinstance(value, annotation)
    raise TypeError(f"{annotation!r} is not a plain JSON type")


class Stream:
    """One stream.

    `stale` maps the name of a cached read to the fields of the row that form its key; `changed`
    maps the name of a change cache to the field that names the entity that has changed. Effects
    that depend on the row are methods of stores (`BaseStore.handles`).
    """

    def __init__(
        self,
        *,
        name: str,
        says: str,
        row: type[Any],
        counter: Counter,
        rows: Table | Query | Live,
        stale: Mapping[str, tuple[str, ...]] | None = None,
        changed: Mapping[str, str] | None = None,
        wakes: Callable[[Any], Wakes] = wakes_nobody,
    ) -> None:
        self.name = name
        self.says = says
        self.row = row
        self.counter = counter
        self.rows = rows
        self.stale = dict(stale or {})
        self.changed = dict(changed or {})
        self.wakes = wakes
        hints = get_type_hints(row)
        self.fields: tuple[str, ...] = tuple(field.name for field in attrs.fields(row))
        self._checks = tuple(_checker(hints[name]) for name in self.fields)
        self._required = sum(1 for field in attrs.fields(row) if field.default is attrs.NOTHING)
        self._check_fields()

    def _check_fields(self) -> None:
        used = [field for fields in self.stale.values() for field in fields]
        for field in (*used, *self.changed.values()):
            if field not in self.fields:
                raise ValueError(f"Stream {self.name}: its row has no field {field}")

    def to_wire(self, row: Any) -> list[JsonValue]:
        """The row as a JSON array in wire order."""
        return [getattr(row, field) for field in self.fields]

    def from_wire(self, columns: object) -> Any:
        """The row of a JSON array. Raises RowError if it does not fit the row type."""
        if not isinstance(columns, list) or len(columns) < self._required:
            raise RowError(f"{self.name}: a row needs at least {self._required} columns")
        for name, check, value in zip(self.fields, self._checks, columns, strict=False):
            if not check(value):
                raise RowError(f"{self.name}: column {name} has a value of the wrong type")
        return self.row(*columns[: len(self.fields)])

    def __repr__(self) -> str:
        return f"<Stream {self.name}>"


def streams_of(counter: Counter, streams: Iterable[Stream]) -> tuple[Stream, ...]:
    """The streams that share a counter."""
    return tuple(stream for stream in streams if stream.counter is counter)
