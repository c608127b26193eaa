"""The events that state resolution asks for, out of the store."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ..events.event import Event
from ..events.resolution import EventLoader
from ..storage.events import EventsWorkerStore

_FIRST_PIECE = 200
_GROWTH = 8


class StoreEventLoader(EventLoader):
    """Events and auth chains that this server has stored."""

    def __init__(self, store: EventsWorkerStore) -> None:
        self._store = store

    async def events(self, event_ids: Collection[str]) -> dict[str, Event]:
        """See the base."""
        return await self._store.get_events(event_ids, allow_rejected=True)

    async def auth_chain_ids(self, event_ids: Collection[str]) -> set[str]:
        """See the base."""
        return await self._store.get_auth_chain_ids(event_ids)

    async def auth_difference(self, state_sets: Sequence[Collection[str]]) -> set[str]:
        """See the base; the sets must be states, of state events.

        Branches of a large room have nearly all of their state in common. What is in the common
        part or its auth chain is in every chain. So the chains of what differs give the candidates,
        and the common events are looked through only until each candidate is found. Events in which
        the states differ are not looked for, and count: they are in conflict, so they are replayed
        in any case.
        """
        first, *others = [set(state_set) for state_set in state_sets]
        common = first.intersection(*others)
        differing = first.union(*others) - common
        chains = []
        for state_set in (first, *others):
            own = state_set - common
            chains.append(own | await self._store.get_state_auth_chain_ids(own))
        candidates = set().union(*chains).difference(chains[0].intersection(*chains), common)
        candidates -= differing
        for piece in _growing_pieces(common):
            if not candidates:
                break
            candidates -= await self._store.get_state_auth_chain_ids(piece)
        return candidates | differing


def _growing_pieces(event_ids: Collection[str]) -> Iterator[list[str]]:
    """The ids in pieces, each several times larger than the one before."""
    listed = list(event_ids)
    start, size = 0, _FIRST_PIECE
    while start < len(listed):
        yield listed[start : start + size]
        start, size = start + size, size * _GROWTH
