"""All that the checks of a round look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from ..client import Client, User
from .fleet import Fleet
from .load import Board, Reader, Sender, SyncingClient, Wanderer, Writer
from .record import Record
from .rows import Rows


@attrs.frozen
class Evidence:
    """`users` are the members of all `rooms`; `before` are the events that were there before the
    first sync of the syncing clients. `expected_errors` are regular expressions of lines in logs
    that belong to the fault."""

    fleet: Fleet
    rows: Rows
    record: Record
    board: Board
    doors: Mapping[str, Client]
    rooms: Sequence[str]
    users: Mapping[str, User]
    senders: Sequence[Sender]
    syncing: Sequence[SyncingClient]
    readers: Sequence[Reader]
    writers: Sequence[Writer]
    wanderers: Sequence[Wanderer]
    before: frozenset[str]
    expected_errors: Sequence[str]

    def timeline(self, room_id: str) -> list[tuple[str, str, str]]:
        """Event id, sender and type of the events of a room in the order of arrival."""
        rows = self.rows.query(
            "SELECT event_id, sender, type FROM events WHERE room_id = ? AND in_timeline"
            " ORDER BY stream_ordering",
            room_id,
        )
        return [(event_id, sender, kind) for event_id, sender, kind in rows]

    def positions(self) -> dict[str, int]:
        """Where each event stands in the order of arrival."""
        return dict(self.rows.query("SELECT event_id, stream_ordering FROM events"))
