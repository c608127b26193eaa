"""Aliases of this server, and the rooms that they lead to."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import attrs

from ..util.caches.cached import cached
from ._base import BaseStore, MasterStore
from .transaction import Transaction


@attrs.frozen
class RoomAlias:
    """An alias of this server. `servers` knew the room when the alias was made."""

    alias: str
    room_id: str
    creator: str
    servers: tuple[str, ...]


class AliasesWorkerStore(BaseStore):
    """Reads of aliases, in any process. The caches stream makes their caches stale."""

    @cached(max_entries=50_000)
    async def get_alias(self, alias: str) -> RoomAlias | None:
        """An alias with all that is known of it; None if it leads nowhere."""
        return await self.db.read("get_alias", self._get_alias_txn, alias)

    @staticmethod
    def _get_alias_txn(txn: Transaction, alias: str) -> RoomAlias | None:
        row = txn.select_one("room_aliases", ("room_id", "creator"), room_alias=alias)
        if row is None:
            return None
        servers = txn.select("room_alias_servers", ("server",), room_alias=alias)
        return RoomAlias(alias, row[0], row[1], tuple(sorted(server for (server,) in servers)))

    async def get_room_id_of_alias(self, alias: str) -> str | None:
        """The room that an alias of this server leads to; from the cache of `get_alias`."""
        found = await self.get_alias(alias)
        return None if found is None else found.room_id

    @cached(max_entries=20_000)
    async def get_aliases_for_room(self, room_id: str) -> Sequence[str]:
        """The aliases of this server that lead to a room, sorted."""
        rows = await self.db.read(
            "get_aliases_for_room",
            lambda txn: txn.select("room_aliases", ("room_alias",), room_id=room_id),
        )
        return tuple(sorted(alias for (alias,) in rows))


class AliasesStore(AliasesWorkerStore, MasterStore):
    """Writes of aliases."""

    async def create_alias(
        self, alias: str, room_id: str, servers: Collection[str], creator: str
    ) -> None:
        """Let an alias lead to a room. Raises ConflictError if it leads somewhere already."""
        await self.db.run("create_alias", self._create_txn, alias, room_id, servers, creator)

    def _create_txn(
        self, txn: Transaction, alias: str, room_id: str, servers: Collection[str], creator: str
    ) -> None:
        txn.insert(
            "room_aliases",
            room_alias=alias,
            room_id=room_id,
            creator=creator,
            created_ts=self.clock.time_ms(),
        )
        txn.insert_many(
            "room_alias_servers",
            ("room_alias", "server"),
            [(alias, server) for server in sorted(set(servers))],
        )
        self._changed_txn(txn, alias, room_id)

    async def delete_alias(self, alias: str) -> str | None:
        """Free an alias. Returns the room that it led to; None, and no change, if to none."""
        return await self.db.run("delete_alias", self._delete_txn, alias)

    def _delete_txn(self, txn: Transaction, alias: str) -> str | None:
        row = txn.select_one("room_aliases", ("room_id",), room_alias=alias)
        if row is None:
            return None
        room_id: str = row[0]
        txn.delete("room_aliases", room_alias=alias)
        txn.delete("room_alias_servers", room_alias=alias)
        self._changed_txn(txn, alias, room_id)
        return room_id

    async def move_aliases(self, old_room_id: str, new_room_id: str) -> list[str]:
        """Let all aliases of one room lead to another, as an upgrade wants it. Returns them."""
        return await self.db.run("move_aliases", self._move_txn, old_room_id, new_room_id)

    def _move_txn(self, txn: Transaction, old_room_id: str, new_room_id: str) -> list[str]:
        rows = txn.select("room_aliases", ("room_alias",), room_id=old_room_id)
        aliases = sorted(alias for (alias,) in rows)
        txn.update("room_aliases", {"room_id": old_room_id}, {"room_id": new_room_id})
        for alias in aliases:
            txn.invalidate(self.get_alias, (alias,))
        if aliases:
            txn.invalidate(self.get_aliases_for_room, (old_room_id,))
            txn.invalidate(self.get_aliases_for_room, (new_room_id,))
        return aliases

    def _changed_txn(self, txn: Transaction, alias: str, room_id: str) -> None:
        txn.invalidate(self.get_alias, (alias,))
        txn.invalidate(self.get_aliases_for_room, (room_id,))
