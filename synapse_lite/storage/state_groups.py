"""State groups: the states that rooms have had, by number.

Groups never change, so their caches need no invalidation. The master alone makes new ones, inside
the transaction that persists the events which lead to them.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from weakref import WeakValueDictionary

import attrs

from ..server import Homeserver
from ..types.state_map import StateKey, StateMap, size_of
from ..util.caches.cached import cached, cached_list
from ._base import BaseStore, MasterStore
from ._numbers import Learned, MissingNumberError, Numbers
from ._state_reads import (
    UnknownStateGroupError,
    read_filtered_txn,
    read_paths_txn,
    read_states_txn,
)
from ._state_rows import REMOVED, GroupRow, first_row, next_row
from .database import DatabasePool
from .events import event_nids_txn
from .transaction import Transaction

__all__ = [
    "NewStateGroup",
    "StateGroupsStore",
    "StateGroupsWorkerStore",
    "UnknownStateGroupError",
]

_CHAIN_ENDS_KEPT = 5_000
_CHAIN_ENDS_BYTES = 32 * 1024 * 1024


class StateGroupsWorkerStore(BaseStore):
    """Reads of states, in any process."""

    def __init__(self, hs: Homeserver, db: DatabasePool) -> None:
        super().__init__(hs, db)
        self._numbers = Numbers(self.caches.budget)
        # Every state in memory, whoever holds it: others are built upon it.
        self._alive: WeakValueDictionary[int, StateMap] = WeakValueDictionary()

    @cached(key=("group",), max_entries=50_000, size_of=size_of)
    async def get_state_ids_for_group(self, group: int) -> StateMap:
        """The state of a group. Raises UnknownStateGroupError."""
        return (await self._read_states((group,)))[group]

    @cached_list(cached_method_name="get_state_ids_for_group", list_name="groups")
    async def get_state_ids_for_groups(self, groups: Collection[int]) -> dict[int, StateMap]:
        """The states of groups, in one transaction. Raises UnknownStateGroupError."""
        return await self._read_states(groups)

    async def _read_states(self, groups: Collection[int]) -> dict[int, StateMap]:
        found = self._in_memory(groups)
        missing = [group for group in groups if group not in found]
        if missing:
            learned = Learned()
            read = await self.db.read(
                "get_state_ids_for_groups",
                read_states_txn,
                missing,
                self._alive,
                self._numbers,
                learned,
            )
            self._numbers.learn(learned)
            self._alive.update(read)
            found.update(read)
        return found

    def _in_memory(self, groups: Collection[int]) -> dict[int, StateMap]:
        found = {group: self._alive.get(group) for group in groups}
        return {group: state for group, state in found.items() if state is not None}

    async def get_filtered_state_ids(
        self, group: int, keys: Collection[StateKey]
    ) -> dict[StateKey, str]:
        """The entries of a group with these keys. Raises UnknownStateGroupError."""
        return (await self.get_filtered_state_ids_for_groups((group,), keys))[group]

    async def get_filtered_state_ids_for_groups(
        self, groups: Collection[int], keys: Collection[StateKey]
    ) -> dict[int, dict[StateKey, str]]:
        """The entries with these keys, by group. Raises UnknownStateGroupError.

        Costs one transaction for the groups that are not in memory, and does not make whole states
        of them.
        """
        found = {group: state.filtered(keys) for group, state in self._in_memory(groups).items()}
        missing = [group for group in groups if group not in found]
        if missing:
            learned = Learned()
            read = await self.db.read(
                "get_filtered_state_ids", read_filtered_txn, missing, keys, self._numbers, learned
            )
            self._numbers.learn(learned)
            found.update(read)
        return found

    def prefill_state_group(self, group: int, state: StateMap) -> None:
        """Keep the state of a group that was just stored, or is known otherwise."""
        self._alive[group] = state
        self.get_state_ids_for_group.prefill((group,), state)


@attrs.frozen
class NewStateGroup:
    """A group to be stored: the state of `prev_group` (none: the empty state) changed by `delta`.

    `delta` has event ids by key, None where a key goes away.
    """

    id: int
    room_id: str
    prev_group: int | None
    delta: Mapping[StateKey, str | None]


class StateGroupsStore(StateGroupsWorkerStore, MasterStore):
    """Makes state groups, in the master."""

    def __init__(self, hs: Homeserver, db: DatabasePool) -> None:
        super().__init__(hs, db)
        self._next_group: int | None = None
        # Counted in database threads: a number that a failed attempt took is simply not used.
        self._key_numbers = itertools.count(1)
        self._chain_ends = _ChainEnds()

    async def load_positions(self) -> None:
        """See the base; numbers of groups and keys go on from where they ended, too."""
        await super().load_positions()
        await self.load_state_groups()

    async def load_state_groups(self) -> None:
        """Read which numbers are taken. Run once, before new groups are made."""
        group, key = await self.db.read("load_state_groups", self._load_state_groups_txn)
        self._next_group = group + 1
        self._key_numbers = itertools.count(key + 1)

    @staticmethod
    def _load_state_groups_txn(txn: Transaction) -> tuple[int, int]:
        (group,) = txn.query("SELECT COALESCE(MAX(id), 0) FROM state_groups")[0]
        (key,) = txn.query("SELECT COALESCE(MAX(nid), 0) FROM state_keys")[0]
        return group, key

    def reserve_state_groups(self, count: int) -> list[int]:
        """Numbers for new groups, rising. Those that are not used leave a harmless gap."""
        assert self._next_group is not None, "load_state_groups comes first"
        first = self._next_group
        self._next_group += count
        return list(range(first, self._next_group))

    def _insert_state_groups_txn(
        self, txn: Transaction, groups: Sequence[NewStateGroup], event_nids: Mapping[str, int]
    ) -> None:
        """Store groups, each after the one that it was changed from.

        `event_nids` has the numbers of events that this transaction inserts; others are looked up.
        At most one statement each for paths, keys, events (all three mostly known) and rows.
        Raises UnknownStateGroupError and MissingNumberError.
        """
        if not groups:
            return
        learned = Learned()
        key_numbers = self._intern_keys_txn(txn, groups, learned)
        event_numbers = self._number_events_txn(txn, groups, event_nids)
        rows = self._previous_rows_txn(txn, groups)
        values = []
        for new in groups:
            changes = {
                key_numbers[key]: REMOVED if event_id is None else event_numbers[event_id]
                for key, event_id in new.delta.items()
            }
            if new.prev_group is None:
                row = first_row(new.id, changes)
            else:
                row = next_row(new.id, rows[new.prev_group], changes)
            rows[new.id] = row
            base_group = None if row.base is None else row.base.id
            room_id = new.room_id if base_group is None else None
            values.append((new.id, room_id, new.prev_group, base_group, row.generation, row.delta))
        txn.insert_many(
            "state_groups",
            ("id", "room_id", "prev_group", "base_group", "generation", "delta"),
            values,
        )
        txn.call_after(self._groups_inserted, groups, rows, learned)

    def _groups_inserted(
        self, groups: Sequence[NewStateGroup], rows: Mapping[int, GroupRow], learned: Learned
    ) -> None:
        self._numbers.learn(learned)
        for new in groups:
            self._chain_ends.put(rows[new.id], new.prev_group)

    def _previous_rows_txn(
        self, txn: Transaction, groups: Sequence[NewStateGroup]
    ) -> dict[int, GroupRow]:
        """The stored rows that the new ones build upon."""
        new_ids = {new.id for new in groups}
        rows: dict[int, GroupRow] = {}
        missing = []
        for group in {new.prev_group for new in groups}:
            if group is None or group in new_ids:
                continue
            row = self._chain_ends.get(group)
            if row is None:
                missing.append(group)
            else:
                rows[group] = row
        rows.update(read_paths_txn(txn, missing))
        return rows

    def _intern_keys_txn(
        self, txn: Transaction, groups: Sequence[NewStateGroup], learned: Learned
    ) -> dict[StateKey, int]:
        """Numbers of all keys in the deltas, new ones for new keys."""
        found: dict[StateKey, int] = {}
        missing: dict[StateKey, int] = {}
        for key in {key for new in groups for key in new.delta}:
            number = self._numbers.number_of(key)
            if number is None:
                missing[key] = next(self._key_numbers)
            else:
                found[key] = number
        # The idle update makes the database return the numbers of keys that are there already.
        rows = txn.execute_values(
            "INSERT INTO state_keys (nid, type, state_key) VALUES ?"
            " ON CONFLICT (type, state_key) DO UPDATE SET state_key = EXCLUDED.state_key"
            " RETURNING nid, type, state_key",
            [(number, *key) for key, number in missing.items()],
            fetch=True,
        )
        for number, event_type, state_key in rows:
            key = (event_type, state_key)
            found[key] = number
            learned.keys[number] = key
        return found

    @staticmethod
    def _number_events_txn(
        txn: Transaction, groups: Sequence[NewStateGroup], event_nids: Mapping[str, int]
    ) -> Mapping[str, int]:
        """Numbers of all events in the deltas."""
        wanted = {event_id for new in groups for event_id in new.delta.values()}
        missing = {event_id for event_id in wanted if event_id and event_id not in event_nids}
        if not missing:
            return event_nids
        looked_up = event_nids_txn(txn, missing)
        lost = missing.difference(looked_up)
        if lost:
            raise MissingNumberError(f"A state names events that are not stored: {lost.pop()}")
        return {**event_nids, **looked_up}


class _ChainEnds:
    """The newest rows of chains, with all that they build upon: the next ones are made from them.

    Read in database threads, changed in the reactor only.
    """

    def __init__(self) -> None:
        self._rows: dict[int, GroupRow] = {}
        self._bytes = 0

    def get(self, group: int) -> GroupRow | None:
        """The row of a group."""
        return self._rows.get(group)

    def put(self, row: GroupRow, prev_group: int | None) -> None:
        """Note the new end of a chain; the end so far is rarely asked for again."""
        if prev_group is not None:
            self._drop(prev_group)
        self._rows[row.id] = row
        self._bytes += row.path_bytes
        while len(self._rows) > _CHAIN_ENDS_KEPT or self._bytes > _CHAIN_ENDS_BYTES:
            self._drop(next(iter(self._rows)))

    def _drop(self, group: int) -> None:
        row = self._rows.pop(group, None)
        if row is not None:
            self._bytes -= row.path_bytes
