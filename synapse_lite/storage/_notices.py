"""What an event is to those who have no push rules of their own, as it is stored and streamed."""

from __future__ import annotations

from typing import Any

import attrs

from ..types.unread import MAIN_THREAD

EVERYBODY = ""
"""Stands for all users of a room among those whom an event highlights."""


@attrs.frozen
class Notice:
    """Whom an event notifies.

    `thread_id` is "main" or the root of its thread. `notifies`: everybody, by the rules that
    everybody has. `highlights`: users of this server whose attention it asks for, or EVERYBODY.
    `joined`: users of this server who come into the room by it. `is_read`: its sender has read
    what was in its thread before.
    """

    thread_id: str = MAIN_THREAD
    notifies: bool = False
    highlights: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    is_read: bool = False


NO_NOTICE = Notice()


@attrs.frozen
class Totals:
    """Events of a room that notify everybody: in the main timeline, and in threads."""

    main: int = 0
    threads: int = 0

    def after(self, notice: Notice) -> Totals:
        """The totals with one more event."""
        if not notice.notifies:
            return self
        if notice.thread_id == MAIN_THREAD:
            return Totals(self.main + 1, self.threads)
        return Totals(self.main, self.threads + 1)


def notice_to_row(sender: str, notice: Notice, redacts: bool) -> list[Any]:
    """A notice as rows of the stream of events carry it."""
    return [
        sender,
        notice.thread_id,
        notice.notifies,
        list(notice.highlights),
        redacts,
        notice.is_read,
    ]
