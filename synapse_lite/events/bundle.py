"""What is told of the relations of an event with it: `m.relations` of `unsigned`."""

from __future__ import annotations

from collections.abc import Hashable

import attrs

from .event import Event


@attrs.frozen
class ThreadBundle:
    """The thread that starts from an event: its newest event, with a bundle of its own.

    `participates`: the reader has sent the root, or something into the thread.
    """

    newest: Event
    events: int
    participates: bool = False
    inner: Bundle | None = None


@attrs.frozen
class Bundle:
    """The relations of an event that a reader is told of (client-server API, "Aggregations")."""

    edit: Event | None = None
    thread: ThreadBundle | None = None
    references: tuple[str, ...] = ()

    @property
    def participates(self) -> bool:
        """Whether it has something that other readers are not told."""
        return self.thread is not None and self.thread.participates

    @property
    def for_everybody(self) -> Bundle:
        """What all are told who may see the same."""
        if self.thread is None or not self.thread.participates:
            return self
        return attrs.evolve(self, thread=attrs.evolve(self.thread, participates=False))

    @property
    def key(self) -> Hashable:
        """The same for bundles that tell everybody the same."""
        thread = self.thread
        return (
            None if self.edit is None else self.edit.event_id,
            self.references,
            None
            if thread is None
            else (
                thread.newest.event_id,
                thread.events,
                None if thread.inner is None else thread.inner.key,
            ),
        )
