"""What stands behind the numbers in state groups, kept for the next time.

The tables are read from database threads as well as from the reactor: every operation on them is
one step of the interpreter, and what they hold never changes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Generic, TypeVar

import attrs

from ..types.state_map import StateKey
from ..util.caches.budget import BudgetedCache, MemoryBudget
from ._state_rows import REMOVED
from .transaction import Transaction

K = TypeVar("K")
V = TypeVar("V")

_KEYS_KEPT = 50_000
_EVENTS_KEPT = 20_000
_KEY_BYTES = 195
_EVENT_BYTES = 155
_NUMBERS_PER_STATEMENT = 10_000
_KEYS_PER_STATEMENT = 5_000


class MissingNumberError(Exception):
    """A state group names a key or an event that the database does not have."""


class RecentTable(BudgetedCache, Generic[K, V]):
    """A table of unchanging facts that forgets those which were not asked for lately.

    Two dicts: when the younger is full it becomes the elder, and the elder is dropped. What is
    found in the elder is put into the younger as well while there is room. So it is, too, when the
    memory of all caches is short.

    Database threads read it. Only the reactor puts facts in and drops them, and only then are its
    bytes counted: `entry_bytes` for each fact.
    """

    def __init__(
        self, name: str, entries: int, entry_bytes: int, budget: MemoryBudget | None = None
    ) -> None:
        super().__init__(name, budget)
        self._half = max(1, entries // 2)
        self._entry_bytes = entry_bytes
        self._younger: dict[K, V] = {}
        self._elder: dict[K, V] = {}
        # The ticks of the budget at which the dicts have begun to be what they are.
        self._younger_since = self._elder_since = 0

    def get(self, key: K) -> V | None:
        """The fact, if it is here."""
        younger = self._younger
        found = younger.get(key)
        if found is None:
            found = self._elder.get(key)
            if found is not None and len(younger) < self._half:
                younger[key] = found
        return found

    def get_many(self, keys: Iterable[K]) -> tuple[dict[K, V], list[K]]:
        """The facts that are here, and the keys of those that are not."""
        wanted = set(keys)
        younger, elder = self._younger, self._elder
        found = {key: younger[key] for key in wanted & younger.keys()}
        older = {key: elder[key] for key in wanted & elder.keys()}
        if len(younger) + len(older) <= self._half:
            younger.update(older)
        found.update(older)
        return found, [key for key in wanted if key not in found]

    def put_many(self, facts: Mapping[K, V]) -> None:
        """Note facts; of more than half a table only the first ones."""
        if not facts:
            return
        if len(self._younger) + len(facts) > self._half:
            self._grow_older()
        elif not self._younger:
            self._younger_since = self.budget.tick
        self.budget.tick += 1
        self._younger.update(islice(facts.items(), self._half))
        self._weigh()
        self.budget.shrink()

    def _grow_older(self) -> None:
        self._elder, self._younger = self._younger, {}
        self._younger_since = self._elder_since = self.budget.tick

    def _weigh(self) -> None:
        self._resize(self._entry_bytes * len(self) - self.size_bytes)

    def __len__(self) -> int:
        """How many facts it holds, those in both dicts twice."""
        return len(self._younger) + len(self._elder)

    def oldest_use(self) -> int | None:
        """The tick since which nobody has asked for what would be dropped; None when empty."""
        if self._elder:
            return self._elder_since
        return self._younger_since if self._younger else None

    def evict_oldest(self) -> None:
        """Drop the elder dict, or half of the younger one; what is left is elder from now on."""
        before = len(self)
        if not self._elder:
            self._younger = dict(islice(self._younger.items(), (before + 1) // 2, None))
        self._grow_older()
        self._weigh()
        self.evictions += before - len(self)


@attrs.frozen
class Learned:
    """What a transaction has read: keys and event ids by number."""

    keys: dict[int, StateKey] = attrs.Factory(dict)
    events: dict[int, str] = attrs.Factory(dict)


class Numbers:
    """The numbers of state keys and of events, as far as this process knows them.

    The methods `…_txn` ask the database for the rest, and note it in `learned`, which the caller
    gives to `learn` in the reactor once the transaction is committed.
    """

    def __init__(self, budget: MemoryBudget) -> None:
        self._key_of: RecentTable[int, StateKey] = RecentTable(
            "state_keys", _KEYS_KEPT, _KEY_BYTES, budget
        )
        self._number_of: RecentTable[StateKey, int] = RecentTable(
            "state_key_numbers", _KEYS_KEPT, _KEY_BYTES, budget
        )
        self._event_id_of: RecentTable[int, str] = RecentTable(
            "event_ids", _EVENTS_KEPT, _EVENT_BYTES, budget
        )

    def learn(self, learned: Learned) -> None:
        """Keep what a transaction has read or written."""
        self._key_of.put_many(learned.keys)
        self._number_of.put_many({key: number for number, key in learned.keys.items()})
        self._event_id_of.put_many(learned.events)

    def number_of(self, key: StateKey) -> int | None:
        """The number of a key, without asking the database."""
        return self._number_of.get(key)

    def keys_txn(
        self, txn: Transaction, numbers: Iterable[int], learned: Learned
    ) -> dict[int, StateKey]:
        """Keys by number. Raises MissingNumberError."""
        found, missing = self._key_of.get_many(numbers)
        types: dict[str, str] = {}  # many keys have one type: it is kept once
        for piece in _pieces(missing, _NUMBERS_PER_STATEMENT):
            condition, args = txn.in_clause("nid", piece)
            sql = f"SELECT nid, type, state_key FROM state_keys WHERE {condition}"
            for number, event_type, state_key in txn.query(sql, args):
                key = (types.setdefault(event_type, event_type), state_key)
                found[number] = learned.keys[number] = key
        return _complete(found, missing, "state keys")

    def event_ids_txn(
        self, txn: Transaction, numbers: Iterable[int], learned: Learned
    ) -> dict[int, str]:
        """Event ids by number. Raises MissingNumberError."""
        found, missing = self._event_id_of.get_many(numbers)
        for piece in _pieces(missing, _NUMBERS_PER_STATEMENT):
            condition, args = txn.in_clause("nid", piece)
            rows = txn.query(f"SELECT nid, event_id FROM events WHERE {condition}", args)
            found.update(rows)
            learned.events.update(rows)
        return _complete(found, missing, "events")

    def numbers_of_keys_txn(
        self, txn: Transaction, keys: Iterable[StateKey], learned: Learned
    ) -> dict[StateKey, int]:
        """Numbers by key. Keys that have never been in a state are left out."""
        found, missing = self._number_of.get_many(keys)
        for piece in _pieces(missing, _KEYS_PER_STATEMENT):
            rows = txn.execute_values(
                "WITH wanted (type, state_key) AS (VALUES ?)"
                " SELECT nid, type, state_key FROM state_keys JOIN wanted USING (type, state_key)",
                piece,
                fetch=True,
            )
            for number, event_type, state_key in rows:
                found[(event_type, state_key)] = number
                learned.keys[number] = (event_type, state_key)
        return found


def _complete(found: dict[int, V], missing: Collection[int], what: str) -> dict[int, V]:
    lost = [number for number in missing if number not in found]
    if lost:
        raise MissingNumberError(f"{len(lost)} {what} are not in the database, such as {lost[0]}")
    return found


def _pieces(items: list[K], size: int) -> list[list[K]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def used_numbers(deltas: Iterable[Mapping[int, int]]) -> tuple[set[int], set[int]]:
    """The numbers of keys and of events in deltas."""
    keys: set[int] = set()
    events: set[int] = set()
    for delta in deltas:
        keys.update(delta)
        events.update(delta.values())
    events.discard(REMOVED)
    return keys, events
