"""Who is online: in memory everywhere, fed by the rows of the stream; the table is a copy.

The master writes the table behind, and reads it when it starts. A worker never needs it to show
who is online: it gets the rows of everybody who is known when it connects. When the stream starts
again, everybody stays as they were until the first rows of the new master have come, which tell
of all who are not offline.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar

import attrs

from ..api.constants import PresenceState
from ..server import Homeserver
from ..streams import PRESENCE, PresenceRow, Stream
from ..util.json import JsonDict
from ._base import BaseStore, MasterStore
from ._presence_epoch import EndedEpoch
from .database import DatabasePool
from .transaction import Transaction

_OFFLINE_KEPT = 50_000
"""So many users who went offline are remembered: workers and clients may have to be told."""

_TOLD_MS = 3_600_000
"""Users who went offline this long before the master started are told of again."""

CURRENTLY_ACTIVE_MS = 60 * 1000
"""So long after the last activity a user counts as active now."""

_ROWS_PER_TOKEN = 4_000
"""Rows of one token become visible at once. More than this would fill the queue of a connection."""

_COLUMNS = (
    "user_id",
    "state",
    "last_active_ts",
    "last_federation_update_ts",
    "last_user_sync_ts",
    "status_msg",
    "currently_active",
)

_Known = tuple[int, PresenceRow]
"""What is known of a user, and since which position."""


def offline(user_id: str) -> PresenceRow:
    """What is known of a user of whom nothing is known."""
    return PresenceRow(user_id, PresenceState.OFFLINE, 0, 0, 0, None, False)


class PresenceWorkerStore(BaseStore):
    """Reads of presence."""

    streams: ClassVar[tuple[Stream, ...]] = (PRESENCE,)
    handles: ClassVar[tuple[tuple[Stream, str], ...]] = ((PRESENCE, "_presence_row_applied"),)
    resets: ClassVar[tuple[tuple[Stream, str], ...]] = ((PRESENCE, "_presence_reset"),)

    def __init__(self, hs: Homeserver, db: DatabasePool) -> None:
        super().__init__(hs, db)
        # Both in the order of the last change. A user is in one of them.
        self._here: dict[str, _Known] = {}
        self._gone: dict[str, _Known] = {}
        self._presence_begin = 0
        self._presence_floor = 0
        self._pending_reset: int | None = None
        self._ended_presence: EndedEpoch | None = None

    def _presence_row_applied(self, token: int, row: PresenceRow) -> None:
        self._end_epoch()
        if self._ended_presence is not None:
            self._ended_presence.note(row)
        self._here.pop(row.user_id, None)
        self._gone.pop(row.user_id, None)
        if row.state != PresenceState.OFFLINE:
            self._here[row.user_id] = (token, row)
            return
        self._gone[row.user_id] = (token, row)
        if len(self._gone) > _OFFLINE_KEPT:
            oldest = next(iter(self._gone))
            self._presence_floor = self._gone.pop(oldest)[0]

    def _presence_reset(self, token: int) -> None:
        self._end_epoch()
        self._pending_reset = token

    def _end_epoch(self) -> None:
        """After a reset: whoever is not told of any more is offline."""
        token, self._pending_reset = self._pending_reset, None
        if token is None:
            return
        self._ended_presence = EndedEpoch(
            max(self._presence_begin, self._presence_floor),
            {user_id: at for user_id, (at, _) in (*self._gone.items(), *self._here.items())},
            {user_id: row for user_id, (_, row) in self._here.items()},
        )
        for user_id, (_, row) in self._here.items():
            self._gone[user_id] = (token, as_offline(row))
        self._here.clear()
        self._presence_begin = self._presence_floor = token

    def _end_epoch_if_over(self) -> None:
        """A master that tells of nobody moves the position all the same."""
        pending = self._pending_reset
        if pending is not None and self.current_token(PRESENCE) > pending:
            self._end_epoch()

    def presence_position(self) -> int:
        """Up to where presence can be read: in the ended epoch until the new one has begun."""
        self._end_epoch_if_over()
        if self._pending_reset is None:
            return self.current_token(PRESENCE)
        known = (*self._gone.values(), *self._here.values())
        return max((at for at, _ in known), default=self._presence_begin)

    def present_users(self) -> AbstractSet[str]:
        """All who are not offline: a live view, to be copied before awaiting anything."""
        self._end_epoch_if_over()
        return self._here.keys()

    def known_presence(self, user_id: str) -> PresenceRow | None:
        """The presence of a user as it was told last; asks nothing."""
        self._end_epoch_if_over()
        known = self._here.get(user_id) or self._gone.get(user_id)
        return None if known is None else known[1]

    async def get_presence(self, user_id: str) -> PresenceRow:
        """The presence of a user, from the table if they have been offline for long."""
        known = self.known_presence(user_id)
        if known is not None:
            return known
        stored = await self.db.read(
            "get_presence",
            lambda txn: txn.select_one("presence", _COLUMNS, user_id=user_id),
        )
        # Who is not offline in the table only, was so when the master was killed.
        return offline(user_id) if stored is None else as_offline(_row(stored))

    def presence_changed_since(self, token: int) -> Collection[str]:
        """Users who may have another presence than at a position, latest last."""
        self._end_epoch_if_over()
        if self._pending_reset is not None:
            return [
                user for user, (at, _) in (*self._gone.items(), *self._here.items()) if at > token
            ]
        changes = self.change_cache("presence_changed")
        changed = changes.all_changed_since(token)
        if changed is not None:
            return changed
        ended = self._ended_presence
        new = changes.all_changed_since(self._presence_begin)
        if ended is None or new is None or not ended.knows(token):
            return [*self._gone, *self._here]
        return ended.changed_since(token, new)

    def presence_rows(self, low: int, high: int) -> list[tuple[int, Any]]:
        """What users have changed to with low < token <= high, as rows in that order."""
        known = (*self._gone.values(), *self._here.values())
        return sorted(
            (entry for entry in known if low < entry[0] <= high), key=lambda entry: entry[0]
        )


class PresenceStore(PresenceWorkerStore, MasterStore):
    """Changes of presence, on the master."""

    def __init__(self, hs: Homeserver, db: DatabasePool) -> None:
        super().__init__(hs, db)
        self._tracks_presence = hs.config.presence.enabled
        self.bind_live(PRESENCE, self.presence_rows)

    async def load_positions(self) -> None:
        """See the base; the users who were online are so again, until their time is up."""
        await super().load_positions()
        if self._tracks_presence:
            rows = await self.db.read("load_presence", self._load_presence_txn)
            # At least one token, also for nobody: workers must know that this is all.
            for start in range(0, max(len(rows), 1), _ROWS_PER_TOKEN):
                self.tell_presence(rows[start : start + _ROWS_PER_TOKEN])

    def _load_presence_txn(self, txn: Transaction) -> list[PresenceRow]:
        since = self.clock.time_ms() - _TOLD_MS
        rows = txn.query(
            f"SELECT {', '.join(_COLUMNS)} FROM presence"
            " WHERE state IN (?, ?) OR (state = ? AND last_user_sync_ts > ?)",
            (PresenceState.ONLINE, PresenceState.UNAVAILABLE, PresenceState.OFFLINE, since),
        )
        return [_row(row) for row in rows]

    def tell_presence(self, rows: Sequence[PresenceRow]) -> None:
        """This is the presence of these users from now on. Costs no query."""
        self.publish_live(PRESENCE, rows)

    async def write_presence(self, rows: Iterable[PresenceRow]) -> None:
        """Copy the presence of users into the table, in one transaction."""
        await self.db.run_relaxed("write_presence", self._write_presence_txn, list(rows))

    @staticmethod
    def _write_presence_txn(txn: Transaction, rows: Sequence[PresenceRow]) -> None:
        values = [tuple(getattr(row, column) for column in _COLUMNS) for row in rows]
        txn.upsert_many("presence", _COLUMNS[:1], _COLUMNS[1:], values)


def presence_content(row: PresenceRow, now_ms: int) -> JsonDict:
    """The content of m.presence at a time. `last_active_ago` is left out if it is not known."""
    content: JsonDict = {"presence": row.state}
    if row.last_active_ts:
        ago_ms = max(0, now_ms - row.last_active_ts)
        # What "currently active" says, although the activity itself is not told each time.
        content["last_active_ago"] = (
            min(ago_ms, CURRENTLY_ACTIVE_MS) if row.currently_active else ago_ms
        )
    if row.status_msg is not None:
        content["status_msg"] = row.status_msg
    if row.state == PresenceState.ONLINE:
        content["currently_active"] = row.currently_active
    return content


def _row(columns: Sequence[Any]) -> PresenceRow:
    values = dict(zip(_COLUMNS, columns, strict=True))
    return PresenceRow(**{**values, "currently_active": bool(values["currently_active"])})


def as_offline(row: PresenceRow) -> PresenceRow:
    """The same user, gone: a status message goes with its user."""
    return with_changes(row, state=PresenceState.OFFLINE, status_msg=None, currently_active=False)


def with_changes(row: PresenceRow, **changes: Any) -> PresenceRow:
    """The row with some fields changed."""
    changed: PresenceRow = attrs.evolve(row, **changes)  # type: ignore[misc]  # `@row` is attrs
    return changed
