"""How much a user has not read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import attrs

MAIN_THREAD = "main"
"""The thread id of what is in no thread (client-server API, "Threaded read receipts")."""


class Count(NamedTuple):
    """Unread notifications, and those of them that are highlighted."""

    notifications: int = 0
    highlights: int = 0


@attrs.frozen
class RoomCounts:
    """The counts of a room: of its main timeline, and of the threads that have any.

    `changed_at` is the position of events at which they last changed, as far as events did it;
    `rules_at` that of push rules.
    """

    main: Count
    threads: Mapping[str, Count]
    changed_at: int = 0
    rules_at: int = 0

    @property
    def whole(self) -> Count:
        """All together."""
        if not self.threads:
            return self.main
        counts = (self.main, *self.threads.values())
        return Count(
            sum(count.notifications for count in counts), sum(count.highlights for count in counts)
        )
