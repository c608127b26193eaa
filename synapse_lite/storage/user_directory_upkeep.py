"""Keeping the user directory: what is stale is made anew from the tables that know.

An entry depends on nothing but the accounts, profiles and states that are stored, so it does not
matter in which order changes are heard of, or how often: the directory ends the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import attrs

from ..api.constants import EventTypes, HistoryVisibility, JoinRules
from ..events.visibility import visibility_in
from ..streams import CURRENT_STATE_DELTAS
from ..types.ids import domain_of, localpart_of
from ..util.folding import fold, grams
from ..util.json import JsonDict, decode_stored_json
from ._event_rows import chunks
from ._gram_index import Indexed, beginning_labels
from .background_updates import BatchResult, queue_update
from .transaction import Transaction
from .user_directory import USERS, UserDirectoryWorkerStore
from .user_directory_marks import UserDirectoryMarksStore

REBUILD_UPDATE = "user_directory"
"""The background update that makes all entries anew."""

POSITIONS_PER_BATCH = 100
"""Changes of state that one transaction takes note of."""

USERS_PER_BATCH = 100
"""Entries that one transaction makes anew."""

_ROOMS_PER_BATCH = 20
_MAX_NAME = 256
_MAX_URL = 1000
_SUPPORT = "support"


@attrs.frozen
class _Entry:
    """What the directory says of a user."""

    user_id: str
    display_name: str | None
    avatar_url: str | None
    is_local: bool
    in_open_room: bool

    def to_row(self, key: int) -> tuple[Indexed, tuple[Any, ...]]:
        """The entry as the index takes it."""
        texts = (localpart_of(self.user_id), self.display_name or "", domain_of(self.user_id))
        text = " ".join(folded for folded in map(fold, texts) if folded)
        return _indexed(key, text), attrs.astuple(self)


def _indexed(key: int, text: str) -> Indexed:
    return Indexed(key, text, tuple(sorted(beginning_labels(text) - grams(text))))


class UserDirectoryStore(UserDirectoryWorkerStore, UserDirectoryMarksStore):
    """Writes of the user directory."""

    async def begin_user_directory(self) -> None:
        """Take note of where to go on from; without a position, of all that is to be built."""
        position = self.current_token(CURRENT_STATE_DELTAS)
        await self.db.run("begin_user_directory", self._begin_directory_txn, position)

    @staticmethod
    def _begin_directory_txn(txn: Transaction, position: int) -> None:
        if txn.query_one("SELECT position FROM user_directory_position") is None:
            txn.insert("user_directory_position", position=position)
            txn.delete("user_directory_rooms")
            queue_update(txn, REBUILD_UPDATE)

    # Following the state of rooms

    async def note_state_changes(self) -> bool:
        """Note whose entries the next changes of state make stale. False if there are none."""
        return await self.db.run_relaxed("note_state_changes", self._note_changes_txn)

    def _note_changes_txn(self, txn: Transaction) -> bool:
        row = txn.query_one("SELECT position FROM user_directory_position")
        if row is None:
            return False
        (low,) = row
        rows = txn.query(
            "SELECT DISTINCT stream_id FROM current_state_delta_stream WHERE stream_id > ?"
            " ORDER BY stream_id LIMIT ?",
            (low, POSITIONS_PER_BATCH),
        )
        if not rows:
            return False
        high = rows[-1][0]
        kinds, args = txn.in_clause("type", [EventTypes.MEMBER, *_ROOM_TYPES])
        rooms = txn.query(
            "SELECT DISTINCT room_id FROM current_state_delta_stream"
            f" WHERE stream_id > ? AND stream_id <= ? AND {kinds}",
            [low, high, *args],
        )
        self._update_rooms_txn(txn, [room_id for (room_id,) in rooms])
        self._mark_directory_users_txn(
            txn,
            "SELECT DISTINCT state_key AS user_id FROM current_state_delta_stream"
            " WHERE stream_id > ? AND stream_id <= ? AND type = ?"
            " AND (membership = 'join' OR prev_event_id IS NOT NULL)",
            [low, high, EventTypes.MEMBER],
        )
        txn.update("user_directory_position", {}, {"position": high})
        return True

    def _update_rooms_txn(self, txn: Transaction, room_ids: Collection[str]) -> None:
        """Make the list of open rooms say what is so; members of those that changed are stale."""
        changed: list[str] = []
        for piece in chunks(room_ids):
            condition, args = txn.in_clause("room_id", piece)
            rows = txn.query(f"SELECT room_id FROM user_directory_rooms WHERE {condition}", args)
            before = {room_id for (room_id,) in rows}
            after = _open_rooms_txn(txn, piece)
            txn.executemany(
                "DELETE FROM user_directory_rooms WHERE room_id = ?",
                [(room_id,) for room_id in before - after],
            )
            txn.insert_many(
                "user_directory_rooms", ("room_id",), [(room_id,) for room_id in after - before]
            )
            changed += before ^ after
        self._mark_members_txn(txn, changed)

    def _mark_members_txn(self, txn: Transaction, room_ids: Collection[str]) -> None:
        for piece in chunks(room_ids):
            condition, args = txn.in_clause("room_id", piece)
            self._mark_directory_users_txn(
                txn,
                "SELECT DISTINCT state_key AS user_id FROM current_state_events"
                f" WHERE {condition} AND membership = 'join'",
                args,
            )

    # Making entries

    async def refresh_users(self) -> bool:
        """Make some stale entries anew. Returns False if there are none."""
        return await self.db.run_relaxed("refresh_users", self._refresh_txn)

    def _refresh_txn(self, txn: Transaction) -> bool:
        rows = txn.query(
            "SELECT user_id FROM user_directory_stale ORDER BY user_id LIMIT ?",
            (USERS_PER_BATCH,),
        )
        user_ids = [user_id for (user_id,) in rows]
        if not user_ids:
            return False
        entries = self._entries_txn(txn, user_ids)
        present = _present_txn(txn, user_ids)
        gone = [row for row, entry in present.values() if entries.get(entry.user_id) != entry]
        (newest,) = txn.query_one("SELECT COALESCE(MAX(id), 0) FROM user_directory") or (0,)
        added = []
        for user_id, entry in entries.items():
            row, old = present.get(user_id, (None, None))
            if old != entry:
                newest += row is None
                added.append(entry.to_row(newest if row is None else row.key))
        USERS.delete_txn(txn, gone)
        USERS.insert_txn(txn, added)
        condition, args = txn.in_clause("user_id", user_ids)
        txn.execute(f"DELETE FROM user_directory_stale WHERE {condition}", args)
        return True

    def _entries_txn(self, txn: Transaction, user_ids: Collection[str]) -> dict[str, _Entry]:
        """The entries that these users have by rights; some have none."""
        local = [user_id for user_id in user_ids if domain_of(user_id) == self.server_name]
        remote = [user_id for user_id in user_ids if domain_of(user_id) != self.server_name]
        names = {**_local_names_txn(txn, local), **_remote_names_txn(txn, remote)}
        condition, args = txn.in_clause("c.state_key", user_ids)
        rows = txn.query(
            "SELECT DISTINCT c.state_key FROM current_state_events c"
            " JOIN user_directory_rooms o ON o.room_id = c.room_id"
            f" WHERE {condition} AND c.membership = 'join'",
            args,
        )
        in_open_room = {user_id for (user_id,) in rows}
        return {
            user_id: _Entry(
                user_id,
                *names[user_id],
                domain_of(user_id) == self.server_name,
                user_id in in_open_room,
            )
            for user_id in user_ids
            if user_id in names
        }

    # Building all of it

    def rebuild_txn(self, txn: Transaction, progress: JsonDict, size: int) -> BatchResult:
        """A batch of the background update: rooms, then accounts, then the entries there are."""
        step, after = progress.get("step", 0), progress.get("after", "")
        table, column = _STEPS[step]
        limit = min(size, _ROOMS_PER_BATCH) if step == 0 else size
        rows = txn.query(
            f"SELECT {column} FROM {table} WHERE {column} > ? ORDER BY {column} LIMIT ?",
            (after, limit),
        )
        found = [row[0] for row in rows]
        if step == 0:
            self._update_rooms_txn(txn, found)
            self._mark_members_txn(txn, found)
        elif found:
            self._mark_directory_users_txn(
                txn,
                f"SELECT {column} FROM {table} WHERE {column} > ? AND {column} <= ?",
                [after, found[-1]],
            )
        if len(found) == limit:
            return BatchResult(len(found), {"step": step, "after": found[-1]})
        following = step + 1
        return BatchResult(len(found), {"step": following} if following < len(_STEPS) else None)


_STEPS = (("rooms", "room_id"), ("users", "user_id"), ("user_directory", "user_id"))
_ROOM_TYPES = (EventTypes.JOIN_RULES, EventTypes.HISTORY_VISIBILITY)

_Names = dict[str, tuple[str | None, str | None]]
"""Display name and avatar by user id."""


def _open_rooms_txn(txn: Transaction, room_ids: Collection[str]) -> set[str]:
    """Those of the rooms that everybody may join or read, and that a user of ours is in."""
    condition, args = txn.in_clause("c.room_id", room_ids)
    kinds, kind_args = txn.in_clause("c.type", _ROOM_TYPES)
    rows = txn.query(
        "SELECT c.room_id, c.type, e.json FROM current_state_events c"
        " JOIN events e ON e.event_id = c.event_id"
        f" WHERE {condition} AND {kinds} AND c.state_key = '' AND EXISTS ("
        "SELECT 1 FROM local_current_membership l"
        " WHERE l.room_id = c.room_id AND l.membership = 'join')",
        [*args, *kind_args],
    )
    return {room_id for room_id, kind, json in rows if _is_open(kind, json)}


def _is_open(event_type: str, json: str) -> bool:
    content = decode_stored_json(json)["content"]
    if event_type == EventTypes.JOIN_RULES:
        return bool(content.get("join_rule") == JoinRules.PUBLIC)
    return visibility_in(content) == HistoryVisibility.WORLD_READABLE


def _present_txn(txn: Transaction, user_ids: Collection[str]) -> dict[str, tuple[Indexed, _Entry]]:
    condition, args = txn.in_clause("user_id", user_ids)
    rows = txn.query(
        "SELECT id, text, user_id, display_name, avatar_url, is_local, in_open_room"
        " FROM user_directory"
        f" WHERE {condition}",
        args,
    )
    return {
        user_id: (
            _indexed(key, text),
            _Entry(user_id, name, url, bool(is_local), bool(in_open_room)),
        )
        for key, text, user_id, name, url, is_local, in_open_room in rows
    }


def _local_names_txn(txn: Transaction, user_ids: Collection[str]) -> _Names:
    """Users of this server who can be found; what they say of themselves."""
    condition, args = txn.in_clause("u.user_id", user_ids)
    rows = txn.query(
        "SELECT u.user_id, p.displayname, p.avatar_url FROM users u"
        " LEFT JOIN profiles p ON p.user_id = u.user_id"
        f" WHERE {condition} AND NOT u.is_deactivated AND NOT u.is_guest"
        " AND (u.user_type IS NULL OR u.user_type <> ?)",
        [*args, _SUPPORT],
    )
    return {user_id: (_name(name), _url(url)) for user_id, name, url in rows}


def _remote_names_txn(txn: Transaction, user_ids: Collection[str]) -> _Names:
    """Users of other servers who are in a room; what their newest membership says.

    That in an open room goes first: a name that somebody has in a private room may be for it alone.
    """
    condition, args = txn.in_clause("c.state_key", user_ids)
    rows = txn.query(
        "SELECT newest.state_key, json FROM ("
        " SELECT c.state_key, c.event_id, ROW_NUMBER() OVER (PARTITION BY c.state_key"
        " ORDER BY CASE WHEN o.room_id IS NULL THEN 1 ELSE 0 END, e.stream_ordering DESC) AS place"
        " FROM current_state_events c JOIN events e ON e.event_id = c.event_id"
        " LEFT JOIN user_directory_rooms o ON o.room_id = c.room_id"
        f" WHERE {condition} AND c.membership = 'join'"
        ") AS newest JOIN events USING (event_id) WHERE place = 1",
        args,
    )
    contents: Mapping[str, JsonDict] = {
        user_id: decode_stored_json(json)["content"] for user_id, json in rows
    }
    return {
        user_id: (_name(content.get("displayname")), _url(content.get("avatar_url")))
        for user_id, content in contents.items()
    }


def _name(value: object) -> str | None:
    """A name that can be stored and shown."""
    if isinstance(value, str) and value and "\0" not in value:
        return value[:_MAX_NAME]
    return None


def _url(value: object) -> str | None:
    if isinstance(value, str) and value.startswith("mxc://") and "\0" not in value:
        return value if len(value) <= _MAX_URL else None
    return None
