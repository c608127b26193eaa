"""Relations between events."""

from __future__ import annotations

from collections.abc import Sequence

from ._base import BaseStore

_MAX_ANNOTATIONS = 200
"""A user hardly gives one event more reactions; more are not compared."""


class RelationsWorkerStore(BaseStore):
    """Reads of relations, in any process."""

    async def get_annotations_of_user(
        self, event_id: str, event_type: str, user_id: str
    ) -> Sequence[str]:
        """The ids of the annotations of one type that a user has given an event.

        Redacted ones are left out.
        """
        rows = await self.db.read(
            "get_annotations_of_user",
            lambda txn: txn.query(
                "SELECT event_id FROM events WHERE relates_to = ? AND rel_type = ? AND type = ?"
                " AND sender = ? AND redacted_by IS NULL AND in_timeline"
                " ORDER BY stream_ordering LIMIT ?",
                (event_id, "m.annotation", event_type, user_id, _MAX_ANNOTATIONS),
            ),
        )
        return [row[0] for row in rows]
