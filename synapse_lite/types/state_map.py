"""The state of a room as an immutable mapping that is cheap to change by copy.

Successive states of a room differ in one entry, and a process keeps many of them. So a map is a
base, shared by all that were derived from it, and a small overlay of its own. The base is kept by
event type: the members of a room are at hand without a scan, and no pair is kept for each entry.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping
from math import isqrt
from types import MappingProxyType

StateKey = tuple[str, str]
"""Event type and state key."""

_ENTRY_BYTES = 300
"""What an entry of a base costs: a place in a dict, a state key and an event id."""

_OVERLAY_ENTRY_BYTES = 360
"""What an entry of an overlay costs: as above, and the pair that is its key."""

_MAP_BYTES = 400
"""What a map costs without its entries."""

_SMALLEST_BOUND = 16

_Base = dict[str, dict[str, str]]
_NOTHING: Mapping[str, str] = MappingProxyType({})


class StateMap(Mapping[StateKey, str]):
    """Event ids by (event type, state key). Equal to any mapping with the same entries."""

    __slots__ = (
        "__weakref__",
        "_base",
        "_base_entries",
        "_entries",
        "_overlay",
        "_sharers",
        "_turn",
    )

    def __init__(
        self, entries: Mapping[StateKey, str] | Iterable[tuple[StateKey, str]] = ()
    ) -> None:
        base: _Base = {}
        pairs = entries.items() if isinstance(entries, Mapping) else entries
        for (event_type, state_key), event_id in pairs:
            base.setdefault(event_type, {})[state_key] = event_id
        self._set_base(base)

    def _set_base(self, base: _Base) -> None:
        self._base = base
        self._overlay: dict[StateKey, str | None] = {}
        self._base_entries = self._entries = sum(map(len, base.values()))
        # The count of maps with this base, as a list because they share it.
        self._sharers = [1]
        self._turn = 1

    def with_changes(self, delta: Mapping[StateKey, str | None]) -> StateMap:
        """The map in which the entries of `delta` are set, or gone where it has None.

        Takes time in proportion to the overlay, which stays near the square root of the base:
        copying overlays and making a new base now and then cost about the same in the long run.
        """
        growth = 0
        effective: dict[StateKey, str | None] = {}
        for key, event_id in delta.items():
            before = self.get(key)
            if event_id != before:
                effective[key] = event_id
                growth += (event_id is not None) - (before is not None)
        if not effective:
            return self
        changed = StateMap.__new__(StateMap)
        changed._base = self._base
        changed._base_entries = self._base_entries
        changed._overlay = {**self._overlay, **effective}
        changed._entries = self._entries + growth
        if len(changed._overlay) > _bound(self._base_entries):
            changed._set_base(_merged(changed._base, changed._overlay))
        else:
            changed._sharers = self._sharers
            changed._sharers[0] += 1
            changed._turn = changed._sharers[0]
        return changed

    def changes_since(self, older: StateMap) -> dict[StateKey, str | None]:
        """What `older.with_changes` needs to become this map; None for what went away.

        Quick for maps with a common base, whose overlays alone are compared.
        """
        keys: set[StateKey] = set(self._overlay).union(older._overlay)
        for event_type in self._base.keys() | older._base.keys():
            mine = self._base.get(event_type, _NOTHING)
            theirs = older._base.get(event_type, _NOTHING)
            if mine is not theirs:
                differing = dict(mine.items() ^ theirs.items())
                keys.update((event_type, state_key) for state_key in differing)
        return {key: self.get(key) for key in keys if self.get(key) != older.get(key)}

    def filtered(self, keys: Iterable[StateKey]) -> dict[StateKey, str]:
        """The entries with these keys, as far as there are any."""
        found = {key: self.get(key) for key in keys}
        return {key: event_id for key, event_id in found.items() if event_id is not None}

    def of_type(self, event_type: str) -> Mapping[str, str]:
        """Event ids by state key of one event type: shared, so not to be changed."""
        base = self._base.get(event_type, _NOTHING)
        own = {key[1]: value for key, value in self._overlay.items() if key[0] == event_type}
        if not own:
            return base
        return {key: value for key, value in {**base, **own}.items() if value is not None}

    @property
    def size_bytes(self) -> int:
        """An estimate of the memory that this map keeps.

        Maps with a common base pay for it in turns: the first all, the second a half, the third a
        third, so it stays counted when those before have been dropped.
        """
        base = self._base_entries * _ENTRY_BYTES // self._turn
        return _MAP_BYTES + base + len(self._overlay) * _OVERLAY_ENTRY_BYTES

    def __getitem__(self, key: StateKey) -> str:
        event_id = self.get(key)
        if event_id is None:
            raise KeyError(key)
        return event_id

    def get(self, key: StateKey, default: str | None = None) -> str | None:  # type: ignore[override]  # values are never None
        """The event id with this key, or `default`."""
        if key in self._overlay:
            event_id = self._overlay[key]
        else:
            of_type = self._base.get(key[0])
            event_id = None if of_type is None else of_type.get(key[1])
        return default if event_id is None else event_id

    def __contains__(self, key: object) -> bool:
        return isinstance(key, tuple) and len(key) == 2 and self.get(key) is not None

    def __iter__(self) -> Iterator[StateKey]:
        for key, _ in self._pairs():
            yield key

    def _pairs(self) -> Iterator[tuple[StateKey, str]]:
        overlay = self._overlay
        for event_type, of_type in self._base.items():
            for state_key, event_id in of_type.items():
                key = (event_type, state_key)
                if key not in overlay:
                    yield key, event_id
        for key, changed in overlay.items():
            if changed is not None:
                yield key, changed

    def items(self) -> ItemsView[StateKey, str]:
        """Pairs of key and event id, without a look-up for each."""
        return _Items(self)

    def __len__(self) -> int:
        return self._entries

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, StateMap):
            return len(self) == len(other) and not self.changes_since(other)
        if isinstance(other, Mapping):
            return len(self) == len(other) and all(
                other.get(key) == event_id for key, event_id in self._pairs()
            )
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # equal to dicts, which have no hash either

    def __repr__(self) -> str:
        return f"StateMap({dict(self._pairs())!r})"


class _Items(ItemsView[StateKey, str]):
    _mapping: StateMap

    def __iter__(self) -> Iterator[tuple[StateKey, str]]:
        return self._mapping._pairs()


def _bound(base_entries: int) -> int:
    """How large an overlay may be on a base of this size."""
    return max(_SMALLEST_BOUND, isqrt(base_entries))


def _merged(base: _Base, overlay: Mapping[StateKey, str | None]) -> _Base:
    """A new base; event types that the overlay does not touch are shared with the old one."""
    merged = dict(base)
    for event_type in {key[0] for key in overlay}:
        merged[event_type] = dict(base.get(event_type, _NOTHING))
    for (event_type, state_key), event_id in overlay.items():
        if event_id is None:
            merged[event_type].pop(state_key, None)
        else:
            merged[event_type][state_key] = event_id
    return {event_type: of_type for event_type, of_type in merged.items() if of_type}


def size_of(state: StateMap) -> int:
    """`size_bytes` as a function, for caches."""
    return state.size_bytes


EMPTY_STATE = StateMap()
"""The state before the first event of a room."""
