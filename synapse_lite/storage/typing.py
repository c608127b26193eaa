"""Who is typing: in memory everywhere, fed by the rows of the stream. There is no table.

The master's positions begin with a new epoch at each start, and nobody is known to type then. A
worker that has followed it all through the epoch before knows where somebody typed at its end;
only clients of these rooms must be told that nobody types any more. Of other epochs nothing is
known, and every room of a client that comes with such a position may have changed: a client must
never show somebody typing for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import attrs

from ..server import Homeserver
from ..streams import EPOCH_SHIFT, TYPING, Stream, TypingRow
from ._base import BaseStore, MasterStore
from .database import DatabasePool

_ROOMS_KEPT = 50_000


@attrs.frozen
class _EndedEpoch:
    """What is known of an epoch from the position `low` to its end, which was seen up to `high`.

    `changed` has the last change of each room; where somebody typed at the end, it is the end.
    """

    low: int
    high: int
    changed: Mapping[str, int]


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
        self._typing_begin = 0
        self._typing_floor = 0
        self._ended_epoch: _EndedEpoch | None = None

    def _typing_row_applied(self, token: int, row: TypingRow) -> None:
        self._typing.pop(row.room_id, None)
        self._typing[row.room_id] = (token, tuple(row.user_ids))
        if len(self._typing) > _ROOMS_KEPT:
            self._forget_quiet_room()

    def _forget_quiet_room(self) -> None:
        """Rooms where somebody types stay: that must end, and time-outs bound their number."""
        for room_id, (token, users) in self._typing.items():
            if not users:
                del self._typing[room_id]
                self._typing_floor = max(self._typing_floor, token)
                return

    def _typing_reset(self, token: int) -> None:
        """Nothing of before is true any more. The change cache begins anew with it."""
        self._ended_epoch = self._epoch_before(token)
        self._typing.clear()
        self._typing_begin = self._typing_floor = token

    def _epoch_before(self, token: int) -> _EndedEpoch | None:
        """What to remember when a stream goes on at a token; None if that is not everything.

        A worker that fell behind within an epoch does not know all rooms where somebody types.
        """
        begin = self._typing_begin
        if not (0 < begin < token and _begins_epoch(begin) and _begins_epoch(token)):
            return None
        high = max((last for last, _ in self._typing.values()), default=begin)
        high = max(high, self._typing_floor)
        changed = {
            room_id: high + 1 if users else last for room_id, (last, users) in self._typing.items()
        }
        return _EndedEpoch(self._typing_floor, high, changed)

    def rooms_with_typing_since(self, room_ids: Collection[str], since: int) -> set[str]:
        """Those of some rooms in which others may be typing than at a position; asks nothing."""
        changes = self.change_cache("typing_changed")
        ended = self._ended_epoch
        if ended is None or not ended.low <= since <= ended.high:
            return changes.changed_among(room_ids, since)
        changed = changes.changed_among(room_ids, self._typing_begin)
        changed.update(room_id for room_id in room_ids if ended.changed.get(room_id, 0) > since)
        return changed

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


def _begins_epoch(token: int) -> bool:
    return token >> EPOCH_SHIFT << EPOCH_SHIFT == token


class TypingStore(TypingWorkerStore, MasterStore):
    """Changes of who is typing, on the master."""

    def __init__(self, hs: Homeserver, db: DatabasePool) -> None:
        super().__init__(hs, db)
        self.bind_live(TYPING, self.typing_rows)

    def set_typing(self, room_id: str, user_ids: tuple[str, ...]) -> None:
        """These users, and no others, are typing in the room."""
        self.publish_live(TYPING, [TypingRow(room_id, list(user_ids))])
