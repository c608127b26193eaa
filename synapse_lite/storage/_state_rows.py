"""Rows of state groups: what a delta looks like, and which earlier group it starts from.

The groups of a room form chains, a branch wherever two events follow the same state. Along a chain,
generation `g` stores its difference from generation `g & (g - 1)`, as in a binary indexed tree: a
state is read with one row for each bit that is set in its generation, and a change is copied into
about half as many rows as the longest such path has.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from itertools import accumulate, islice
from typing import Final

import msgspec

REMOVED: Final = 0
"""Stands for an event number where a delta takes a key away. No event has it."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[int])


def encode_delta(delta: Mapping[int, int]) -> bytes:
    """Event numbers by key number (or REMOVED) as bytes.

    A MessagePack array: first the key numbers in rising order, then the event numbers, of both
    the differences from one to the next. Members who joined one after the other take four bytes.
    """
    keys = sorted(delta)
    events = [delta[key] for key in keys]
    return _encoder.encode([*_differences(keys), *_differences(events)])


def decode_delta(encoded: bytes) -> dict[int, int]:
    """The opposite of `encode_delta`."""
    numbers = _decoder.decode(encoded)
    half = len(numbers) // 2
    return dict(
        zip(
            accumulate(islice(numbers, half)),
            accumulate(islice(numbers, half, None)),
            strict=True,
        )
    )


def _differences(numbers: list[int]) -> Iterator[int]:
    """The first number, then what is added from each to the next."""
    yield from numbers[:1]
    yield from map(operator.sub, islice(numbers, 1, None), numbers)


class GroupRow:
    """A row of `state_groups` together with those that it builds upon. Immutable."""

    __slots__ = ("base", "delta", "entries", "generation", "id", "path_bytes")

    def __init__(
        self,
        id: int,
        generation: int,
        base: GroupRow | None,
        delta: bytes,
        entries: int | None = None,
    ) -> None:
        self.id: Final = id
        self.generation: Final = generation
        self.base: Final = base
        self.delta: Final = delta
        self.entries: Final = len(decode_delta(delta)) if entries is None else entries
        """How many keys the delta has."""
        self.path_bytes: Final[int] = len(delta) + (0 if base is None else base.path_bytes)
        """The bytes of all deltas that make up this state."""

    def path(self) -> Iterator[GroupRow]:
        """This row, the one that it builds upon, and so on."""
        row: GroupRow | None = self
        while row is not None:
            yield row
            row = row.base

    def numbers(self) -> dict[int, int]:
        """The state: event numbers by key number."""
        state: dict[int, int] = {}
        for row in reversed(tuple(self.path())):
            state.update(decode_delta(row.delta))
        return _present(state)


def first_row(id: int, state: Mapping[int, int]) -> GroupRow:
    """The row of a state that builds upon no other."""
    present = _present(state)
    return GroupRow(id, 0, None, encode_delta(present), len(present))


def next_row(id: int, prev: GroupRow, changes: Mapping[int, int]) -> GroupRow:
    """The row of the state that follows `prev` by these changes.

    A delta as large as the whole state is worth nothing: then the whole state is stored, and a
    new chain begins.
    """
    generation = prev.generation + 1
    base = prev
    skipped = []
    while base.generation > generation & (generation - 1):
        skipped.append(base)
        assert base.base is not None, "only generation 0 has no base"
        base = base.base
    delta: dict[int, int] = {}
    for row in reversed(skipped):
        delta.update(decode_delta(row.delta))
    delta.update(changes)
    if 2 * len(delta) >= max(row.entries for row in base.path()):
        # Only now it is worth the time to look at the whole state.
        state = _present({**base.numbers(), **delta})
        if len(delta) >= len(state):
            return first_row(id, state)
    return GroupRow(id, generation, base, encode_delta(delta), len(delta))


def _present(state: Mapping[int, int]) -> dict[int, int]:
    return {key: event for key, event in state.items() if event != REMOVED}
