"""What state resolution asks of whoever holds the events."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..event import Event


class EventLoader:
    """The events of a room, by id and along their auth events.

    `events` and `auth_chain_ids` must be given. The other two follow from them; a store that has
    an index of auth chains may answer them faster.
    """

    async def events(self, event_ids: Collection[str]) -> dict[str, Event]:
        """The events by id, rejected ones included; those that are not known are left out."""
        raise NotImplementedError

    async def auth_chain_ids(self, event_ids: Collection[str]) -> set[str]:
        """The auth events of these events, the auth events of those, and so on.

        The events asked for are included only where they are auth events of others.
        """
        raise NotImplementedError

    async def auth_difference(self, state_sets: Sequence[Collection[str]]) -> set[str]:
        """The events that are in the auth chains of some of the sets of event ids, but not all.

        A set counts as part of its own chain, so that an event that all states have is never in
        the difference. By the letter of the specification it would not count, but servers must
        agree, and this is what deployed ones do.
        """
        chains = [
            (await self.auth_chain_ids(state_set)).union(state_set) for state_set in state_sets
        ]
        return set().union(*chains).difference(set(chains[0]).intersection(*chains))

    async def conflicted_subgraph(self, conflicted: Collection[str]) -> set[str]:
        """All events on paths along auth events from one of these events to another, ends included.

        State resolution 2.1, "Conflicted state subgraph".
        """
        chain = await self.auth_chain_ids(conflicted)
        known = await self.events(chain.union(conflicted))
        return _reaching(set(conflicted), known)


def _reaching(goals: set[str], known: dict[str, Event]) -> set[str]:
    """The known events from which a goal is reached, goals included."""
    citing: dict[str, list[str]] = {}
    for event in known.values():
        for auth_id in event.auth_event_ids:
            citing.setdefault(auth_id, []).append(event.event_id)
    reached = set(goals)
    pending = list(goals)
    while pending:
        for event_id in citing.get(pending.pop(), ()):
            if event_id not in reached:
                reached.add(event_id)
                pending.append(event_id)
    return reached
