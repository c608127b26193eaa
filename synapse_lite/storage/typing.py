"""Who is typing: in memory everywhere, fed by the rows of the stream. There is no table.

The master's positions begin with a new epoch at each start, and nobody is known to type then.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ..server import Homeserver
from ..streams import TYPING, Stream, TypingRow
from ._base import BaseStore, MasterStore
from .database import DatabasePool

_ROOMS_KEPT = 50_000


class TypingWorkerStore(BaseStore):
    """Reads of who is typing."""

    streams: ClassVar[tuple[Stream, ...]] = (TYPING,)
    handles: ClassVar[tuple[tuple[Stream, str], ...]] = ((TYPING, "_typing_row_applied"),)
    resets: ClassVar[tuple[tuple[Stream, str], ...]] = ((TYPING, "_typing_reset"),)

    def __init__(self, hs: Homeserver, db: DatabasePool) -> None:
        super().__init__(hs, db)
        # In the order of the last change. Rooms where nobody types any more stay: a worker that
        # has missed it must be told so when it comes back.
        self._typing: dict[str, tuple[int, tuple[str, ...]]] = {}

    def _typing_row_applied(self, token: int, row: TypingRow) -> None:
        self._typing.pop(row.room_id, None)
        self._typing[row.room_id] = (token, tuple(row.user_ids))
        if len(self._typing) > _ROOMS_KEPT:
            del self._typing[next(iter(self._typing))]

    def _typing_reset(self, token: int) -> None:
        """Nothing of before is true any more.

        The change cache begins anew with it, so every room counts as changed for whoever was told
        of it before: rooms where somebody typed are then told as empty.
        """
        self._typing.clear()

    def get_typing_users(self, room_id: str) -> tuple[str, ...]:
        """Who is typing in the room now."""
        return self._typing.get(room_id, (0, ()))[1]

    def typing_rows(self, low: int, high: int) -> list[tuple[int, Any]]:
        """What rooms have changed to with low < token <= high, as rows in that order."""
        return [
            (token, TypingRow(room_id, list(users)))
            for room_id, (token, users) in self._typing.items()
            if low < token <= high
        ]


class TypingStore(TypingWorkerStore, MasterStore):
    """Changes of who is typing, on the master."""

    def __init__(self, hs: Homeserver, db: DatabasePool) -> None:
        super().__init__(hs, db)
        self.bind_live(TYPING, self.typing_rows)

    def set_typing(self, room_id: str, user_ids: tuple[str, ...]) -> None:
        """These users, and no others, are typing in the room."""
        self.publish_live(TYPING, [TypingRow(room_id, list(user_ids))])
