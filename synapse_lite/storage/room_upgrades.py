"""Upgrades of rooms: which are under way, and who has followed into the new room."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

import attrs

from ..api.constants import EventTypes, Membership
from ..types.ids import domain_of
from ..util.json import JsonDict, decode_stored_json, encode_json_text
from ._base import MasterStore
from ._event_rows import chunks
from ._persist_batch import EventWrite, RoomWrite
from .transaction import Transaction

MAX_FOLLOWERS_READ = 10_000


def _bool(value: object) -> bool:
    return bool(value)


@attrs.frozen
class RoomUpgrade:
    """An upgrade. `tombstone` is the call that sends the event into the old room."""

    old_room_id: str
    new_room_id: str
    user_id: str
    room_version: str
    tombstone: JsonDict
    finished: bool = attrs.field(default=False, converter=_bool)


@attrs.frozen
class RoomFollower:
    """A user who has joined a room that says that it replaces another one."""

    user_id: str
    room_id: str
    predecessor: str


class RoomUpgradesStore(MasterStore):
    """What the master knows of upgrades.

    `followers_changed`, if it is set, is called after a commit that may have given work.
    """

    persist_steps: ClassVar[tuple[str, ...]] = ("_note_predecessors_txn", "_note_followers_txn")
    followers_changed: Callable[[], object] | None = None

    # Upgrades

    async def get_room_upgrade(self, old_room_id: str) -> RoomUpgrade | None:
        """The last upgrade of a room."""
        row = await self.db.read(
            "get_room_upgrade",
            lambda txn: txn.select_one(
                "room_upgrades",
                ("new_room_id", "user_id", "room_version", "tombstone", "finished"),
                old_room_id=old_room_id,
            ),
        )
        if row is None:
            return None
        new_room_id, user_id, version, tombstone, finished = row
        return RoomUpgrade(
            old_room_id, new_room_id, user_id, version, decode_stored_json(tombstone), finished
        )

    async def get_unfinished_upgrades(self) -> list[str]:
        """The old rooms of upgrades that are not done."""
        rows = await self.db.read(
            "get_unfinished_upgrades",
            lambda txn: txn.select("room_upgrades", ("old_room_id",), finished=False),
        )
        return [room_id for (room_id,) in rows]

    async def begin_room_upgrade(self, upgrade: RoomUpgrade) -> None:
        """Note an upgrade before anything of it is done."""
        values = attrs.asdict(upgrade)
        values["tombstone"] = encode_json_text(upgrade.tombstone)
        key = {"old_room_id": values.pop("old_room_id")}
        await self.db.run(
            "begin_room_upgrade", lambda txn: txn.upsert("room_upgrades", key, values)
        )

    async def finish_room_upgrade(self, upgrade: RoomUpgrade) -> None:
        """Note that an upgrade is done."""
        key = {"old_room_id": upgrade.old_room_id, "new_room_id": upgrade.new_room_id}
        await self.db.run(
            "finish_room_upgrade", lambda txn: txn.update("room_upgrades", key, {"finished": True})
        )

    async def drop_room_upgrade(self, upgrade: RoomUpgrade) -> None:
        """Forget an upgrade that comes to nothing."""
        key = {"old_room_id": upgrade.old_room_id, "new_room_id": upgrade.new_room_id}
        await self.db.run("drop_room_upgrade", lambda txn: txn.delete("room_upgrades", **key))

    # Followers

    async def get_waiting_followers(self) -> list[RoomFollower]:
        """Those whose settings have not been carried over."""
        rows = await self.db.read(
            "get_waiting_followers",
            lambda txn: txn.query(
                "SELECT user_id, room_id, predecessor FROM room_followers WHERE NOT done LIMIT ?",
                (MAX_FOLLOWERS_READ,),
            ),
        )
        return [RoomFollower(*row) for row in rows]

    async def follower_done(self, follower: RoomFollower) -> None:
        """Note that the settings of a user have been carried over."""
        key = {"user_id": follower.user_id, "room_id": follower.room_id}
        await self.db.run(
            "follower_done", lambda txn: txn.update("room_followers", key, {"done": True})
        )

    # Steps of the transaction that persists events

    def _note_predecessors_txn(self, txn: Transaction, rooms: Sequence[RoomWrite]) -> None:
        found = [
            (room.room_id, predecessor)
            for room in rooms
            for write in room.events
            if (predecessor := _predecessor_of(write)) is not None
        ]
        txn.insert_many(
            "room_predecessors", ("room_id", "predecessor"), found, ignore_conflicts=True
        )

    def _note_followers_txn(self, txn: Transaction, rooms: Sequence[RoomWrite]) -> None:
        """A commit without joins and tombstones costs nothing."""
        joins: dict[str, set[str]] = {}
        tombstones = False
        for room in rooms:
            for write in room.events:
                for change in write.state_changes:
                    tombstones = tombstones or change.type == EventTypes.TOMBSTONE
                    if (
                        change.type == EventTypes.MEMBER
                        and change.membership == Membership.JOIN
                        and domain_of(change.state_key) == self.server_name
                    ):
                        joins.setdefault(room.room_id, set()).add(change.state_key)
        followers = list(self._followers_txn(txn, joins)) if joins else []
        txn.insert_many(
            "room_followers",
            ("user_id", "room_id", "predecessor", "done"),
            followers,
            ignore_conflicts=True,
        )
        if (followers or tombstones) and self.followers_changed is not None:
            txn.call_after(self.followers_changed)

    @staticmethod
    def _followers_txn(
        txn: Transaction, joins: dict[str, set[str]]
    ) -> Iterable[tuple[str, str, str, bool]]:
        for piece in chunks(joins):
            condition, args = txn.in_clause("room_id", piece)
            rows = txn.query(
                f"SELECT room_id, predecessor FROM room_predecessors WHERE {condition}", args
            )
            for room_id, predecessor in rows:
                for user_id in sorted(joins[room_id]):
                    yield user_id, room_id, predecessor, False


def _predecessor_of(write: EventWrite) -> str | None:
    """The room that a create event names as its predecessor."""
    event = write.event
    if event.type != EventTypes.CREATE or event.state_key != "":
        return None
    if event.metadata.rejected_reason is not None:
        return None
    predecessor = event.content.get("predecessor")
    room_id = predecessor.get("room_id") if isinstance(predecessor, dict) else None
    return room_id if isinstance(room_id, str) and "\0" not in room_id else None
