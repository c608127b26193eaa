"""Which relations of an event concern a reader: pure functions, before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from ..api.constants import RelationTypes
from ..events.bundle import Bundle, ThreadBundle
from ..events.event import Event
from ..storage.relations import EVERYBODY, Relations, ThreadActivity

__all__ = ["Choice", "choose", "choose_among"]


@attrs.frozen
class Choice:
    """What a reader is told of an event's relations, by id. `newest` is that of the thread."""

    edit: str | None = None
    references: tuple[str, ...] = ()
    newest: str | None = None
    events: int = 0
    participates: bool = False

    @property
    def quoted(self) -> tuple[str, ...]:
        """The events that are quoted whole."""
        return tuple(event_id for event_id in (self.edit, self.newest) if event_id is not None)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not (self.references or self.quoted)

    def to_bundle(self, quoted: Mapping[str, Event]) -> Bundle:
        """The bundle with the quoted events, as far as they are here."""
        newest = None if self.newest is None else quoted.get(self.newest)
        return Bundle(
            edit=None if self.edit is None else quoted.get(self.edit),
            thread=None if newest is None else ThreadBundle(newest, self.events, self.participates),
            references=self.references,
        )


def choose(
    parent: Event, relations: Relations, user_id: str | None, ignored: frozenset[str]
) -> Choice:
    """What concerns a reader who sees the room as it is. Ignored users do not count."""
    choice = Choice(
        edit=relations.edit if _may_be_edited(parent, ignored) else None,
        references=tuple(
            event_id for event_id, sender in relations.references if sender not in ignored
        ),
    )
    whole = _without(relations.thread, ignored)
    if whole is None or not whole.events:
        return choice
    own = None if user_id is None else relations.thread.get(user_id)
    return attrs.evolve(
        choice,
        newest=whole.event_id,
        events=whole.events,
        participates=parent.sender == user_id or (own is not None and own.events > 0),
    )


def choose_among(
    parent: Event,
    children: Mapping[str, Sequence[Event]],
    ignored: frozenset[str],
    *,
    participates: bool,
) -> Choice:
    """What concerns a reader who may see these relations, by kind and oldest first."""
    of_thread = children.get(RelationTypes.THREAD, ())
    edits = children.get(RelationTypes.REPLACE, ()) if _may_be_edited(parent, ignored) else ()
    return Choice(
        edit=max(edits, key=_age).event_id if edits else None,
        references=tuple(event.event_id for event in children.get(RelationTypes.REFERENCE, ())),
        newest=of_thread[-1].event_id if of_thread else None,
        events=len(of_thread),
        participates=participates,
    )


def _may_be_edited(parent: Event, ignored: frozenset[str]) -> bool:
    """The edits of a redacted event stay, but are told no more. Only its sender edits an event."""
    return parent.metadata.redacted_by is None and parent.sender not in ignored


def _age(edit: Event) -> tuple[int, str]:
    return edit.origin_server_ts, edit.event_id


def _without(
    thread: Mapping[str, ThreadActivity], ignored: frozenset[str]
) -> ThreadActivity | None:
    """What has happened in a thread but for what ignored users did."""
    whole = thread.get(EVERYBODY)
    if whole is None or ignored.isdisjoint(thread):
        return whole
    others = [
        activity
        for sender, activity in thread.items()
        if sender != EVERYBODY and sender not in ignored and activity.events
    ]
    if not others:
        return None
    newest = max(others, key=lambda each: (each.depth or 0, each.stream_ordering or 0))
    return attrs.evolve(newest, events=sum(activity.events for activity in others))
