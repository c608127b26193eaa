"""Reads states out of the rows of state groups, with as few rows and look-ups as possible."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

import attrs

from ..types.state_map import StateKey, StateMap
from ._numbers import Learned, Numbers, used_numbers
from ._state_rows import REMOVED, GroupRow, decode_delta
from .transaction import Transaction


class UnknownStateGroupError(LookupError):
    """There is no state group of that number."""

    def __init__(self, group: int) -> None:
        super().__init__(f"There is no state group {group}")


class AliveStates(Protocol):
    """States that are in memory, by group."""

    def get(self, group: int, /) -> StateMap | None:
        """The state, if it is in memory."""


@attrs.frozen
class _StoredRow:
    id: int
    prev_group: int | None
    base_group: int | None
    generation: int
    delta: bytes


_COLUMNS = "id, prev_group, base_group, generation, delta"


def read_states_txn(
    txn: Transaction,
    groups: Collection[int],
    alive: AliveStates,
    numbers: Numbers,
    learned: Learned,
) -> dict[int, StateMap]:
    """The states of groups. Raises UnknownStateGroupError.

    A state is built upon one in memory if that is where it was changed from or stands on its path:
    then only the numbers in a few rows are looked up. Earlier wanted groups count as in memory.
    """
    rows = _rows_of_txn(txn, groups)
    near = _in_memory(rows, alive)
    far = [
        row.base_group
        for row in rows.values()
        if row.base_group is not None and row.prev_group not in near and row.base_group not in near
    ]
    rows.update(_paths_txn(txn, far))
    near.update(_in_memory(rows, alive))
    known = set(near)
    plans = {}
    for group in sorted(set(groups)):
        plans[group] = _plan(rows[group], rows, known)
        known.add(group)
    keys, events = used_numbers(delta for _, delta in plans.values())
    key_of = numbers.keys_txn(txn, keys, learned)
    event_id_of = numbers.event_ids_txn(txn, events, learned)
    built = dict(near)
    for group, (start, delta) in plans.items():
        changes = {
            key_of[key]: None if event == REMOVED else event_id_of[event]
            for key, event in delta.items()
        }
        built[group] = _changed(None if start is None else built[start], changes)
    return {group: built[group] for group in plans}


def _changed(origin: StateMap | None, changes: Mapping[StateKey, str | None]) -> StateMap:
    if origin is not None:
        return origin.with_changes(changes)
    return StateMap((key, event_id) for key, event_id in changes.items() if event_id is not None)


def _plan(
    row: _StoredRow, rows: Mapping[int, _StoredRow], known: Collection[int]
) -> tuple[int | None, dict[int, int]]:
    """The known state to start from (none: the empty one), and what changes it into the wanted one.

    A delta covers every change since its base, so it may as well be applied to a later state of
    the same chain, such as the one before it. Not so a row without base: it does not say which
    keys went away.
    """
    deltas = []
    start: int | None = None
    while True:
        deltas.append(row.delta)
        if row.base_group is None:
            break
        if row.prev_group in known or row.base_group in known:
            start = row.prev_group if row.prev_group in known else row.base_group
            break
        row = rows[row.base_group]
    changes: dict[int, int] = {}
    for delta in reversed(deltas):
        changes.update(decode_delta(delta))
    return start, changes


def _in_memory(rows: Mapping[int, _StoredRow], alive: AliveStates) -> dict[int, StateMap]:
    """States in memory that rows may be applied to."""
    candidates = {group for row in rows.values() for group in (row.prev_group, row.base_group)}
    found = {group: alive.get(group) for group in candidates if group is not None}
    return {group: state for group, state in found.items() if state is not None}


def read_paths_txn(txn: Transaction, groups: Collection[int]) -> dict[int, GroupRow]:
    """The rows of groups, each with all that it builds upon. Raises UnknownStateGroupError."""
    stored = _paths_txn(txn, groups)
    linked: dict[int, GroupRow] = {}
    for group in sorted(stored, key=lambda id: stored[id].generation):
        row = stored[group]
        base = None if row.base_group is None else linked[row.base_group]
        linked[group] = GroupRow(group, row.generation, base, row.delta)
    for group in groups:
        if group not in linked:
            raise UnknownStateGroupError(group)
    return {group: linked[group] for group in groups}


def read_filtered_txn(
    txn: Transaction,
    groups: Collection[int],
    keys: Collection[StateKey],
    numbers: Numbers,
    learned: Learned,
) -> dict[int, dict[StateKey, str]]:
    """The entries with these keys, by group, looking up no other event.

    Raises UnknownStateGroupError.
    """
    wanted = {
        number: key for key, number in numbers.numbers_of_keys_txn(txn, keys, learned).items()
    }
    found = {group: _pick(row, wanted.keys()) for group, row in read_paths_txn(txn, groups).items()}
    events = {event for picked in found.values() for event in picked.values()}
    event_id_of = numbers.event_ids_txn(txn, events, learned)
    return {
        group: {wanted[key]: event_id_of[event] for key, event in picked.items()}
        for group, picked in found.items()
    }


def _pick(row: GroupRow, wanted: Collection[int]) -> dict[int, int]:
    """The event numbers of some keys: the newest row that has a key decides."""
    picked: dict[int, int] = {}
    missing = set(wanted)
    for step in row.path():
        if not missing:
            break
        delta = decode_delta(step.delta)
        for key in missing.intersection(delta):
            picked[key] = delta[key]
            missing.discard(key)
    return {key: event for key, event in picked.items() if event != REMOVED}


def _rows_of_txn(txn: Transaction, groups: Collection[int]) -> dict[int, _StoredRow]:
    condition, args = txn.in_clause("id", groups)
    rows = txn.query(f"SELECT {_COLUMNS} FROM state_groups WHERE {condition}", args)
    found = {row[0]: _StoredRow(*row) for row in rows}
    for group in groups:
        if group not in found:
            raise UnknownStateGroupError(group)
    return found


def _paths_txn(txn: Transaction, groups: Collection[int]) -> dict[int, _StoredRow]:
    """The rows of groups and of all that they build upon, in one statement."""
    if not groups:
        return {}
    condition, args = txn.in_clause("id", groups)
    rows = txn.query(
        "WITH RECURSIVE path (group_id, base_id) AS ("
        f" SELECT id, base_group FROM state_groups WHERE {condition}"
        " UNION SELECT id, base_group FROM path JOIN state_groups ON id = base_id)"
        f" SELECT {_COLUMNS} FROM path JOIN state_groups ON id = group_id",
        args,
    )
    return {row[0]: _StoredRow(*row) for row in rows}
