"""Third-party identifiers of users: which email addresses and phone numbers they have confirmed."""

from __future__ import annotations

import attrs

from ..types.threepids import Threepid
from ._base import MasterStore
from .transaction import Transaction


@attrs.frozen
class UserThreepid:
    """An identifier of a user. Times are in ms."""

    threepid: Threepid
    validated_ts: int
    added_ts: int


class ThreepidsStore(MasterStore):
    """Identifiers, on the master only: nothing that happens often looks at them."""

    async def get_threepids(self, user_id: str) -> list[UserThreepid]:
        """The identifiers of a user, the oldest first."""
        rows = await self.db.read(
            "get_threepids",
            lambda txn: txn.select(
                "user_threepids", ("medium", "address", "validated_ts", "added_ts"), user_id=user_id
            ),
        )
        found = [UserThreepid(Threepid(*row[:2]), *row[2:]) for row in rows]
        return sorted(found, key=lambda each: (each.added_ts, each.threepid.address))

    async def get_user_of_threepid(self, threepid: Threepid) -> str | None:
        """Who has the identifier."""
        row = await self.db.read(
            "get_user_of_threepid",
            lambda txn: txn.select_one("user_threepids", ("user_id",), **attrs.asdict(threepid)),
        )
        return None if row is None else row[0]

    async def add_threepid(self, user_id: str, threepid: Threepid, validated_ts: int) -> bool:
        """Note a confirmed identifier. Returns False if another account has it."""
        return await self.db.run(
            "add_threepid", self._add_threepid_txn, user_id, threepid, validated_ts
        )

    def _add_threepid_txn(
        self, txn: Transaction, user_id: str, threepid: Threepid, validated_ts: int
    ) -> bool:
        key = attrs.asdict(threepid)
        txn.insert_ignore(
            "user_threepids",
            **key,
            user_id=user_id,
            validated_ts=validated_ts,
            added_ts=self.clock.time_ms(),
        )
        return txn.update("user_threepids", {**key, "user_id": user_id}, {"user_id": user_id}) > 0

    async def delete_threepid(self, user_id: str, threepid: Threepid) -> bool:
        """Take an identifier from a user. Returns whether they had it."""
        deleted = await self.db.run(
            "delete_threepid",
            lambda txn: txn.delete("user_threepids", user_id=user_id, **attrs.asdict(threepid)),
        )
        return deleted > 0

    def _delete_threepids_of_user_txn(self, txn: Transaction, user_id: str) -> None:
        txn.delete("user_threepids", user_id=user_id)
