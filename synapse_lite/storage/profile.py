"""Profiles of this server's users (client-server API, "Profiles")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from ..util.caches.cached import cached
from ..util.json import JsonDict, JsonValue, decode_stored_json, encode_json, encode_json_text
from ._base import BaseStore
from .account_tasks import AccountTasksStore, TaskName
from .errors import StoreError
from .transaction import Transaction
from .user_directory_marks import UserDirectoryMarksStore

MAX_PROFILE_BYTES = 64 * 1024
"""Largest profile in JSON; it must stay below."""

_COLUMNS = {"displayname", "avatar_url"}


class ProfileTooLargeError(StoreError):
    """With the new value, the profile would be larger than allowed."""


@attrs.frozen
class Profile:
    """What a user says of themselves; `fields` are all but name and picture."""

    displayname: str | None = None
    avatar_url: str | None = None
    fields: Mapping[str, Any] = attrs.Factory(dict)

    def to_json(self) -> JsonDict:
        """The profile in the form of the client-server API: only what is set."""
        found: JsonDict = dict(self.fields)
        if self.displayname is not None:
            found["displayname"] = self.displayname
        if self.avatar_url is not None:
            found["avatar_url"] = self.avatar_url
        return found

    def replaced(self, key: str, value: JsonValue, *, present: bool) -> Profile:
        """The profile with one field set, or without it."""
        if key == "displayname":
            return attrs.evolve(self, displayname=value if present else None)
        if key == "avatar_url":
            return attrs.evolve(self, avatar_url=value if present else None)
        fields = {name: old for name, old in self.fields.items() if name != key}
        if present:
            fields[key] = value
        return attrs.evolve(self, fields=fields)


def _profile(displayname: str | None, avatar_url: str | None, fields: str) -> Profile:
    return Profile(displayname, avatar_url, decode_stored_json(fields))


class ProfileWorkerStore(BaseStore):
    """Reads of profiles, in any process."""

    @cached(max_entries=50_000)
    async def get_profile(self, user_id: str) -> Profile | None:
        """The profile of a user of this server; None if there is none."""
        return await self.db.read("get_profile", self._get_profile_txn, user_id)

    @staticmethod
    def _get_profile_txn(txn: Transaction, user_id: str) -> Profile | None:
        row = txn.select_one("profiles", ("displayname", "avatar_url", "fields"), user_id=user_id)
        return None if row is None else _profile(*row)


class ProfileStore(ProfileWorkerStore, AccountTasksStore, UserDirectoryMarksStore):
    """Writes of profiles."""

    async def set_profile_field(
        self, user_id: str, key: str, value: JsonValue, *, present: bool = True
    ) -> bool:
        """Set a field, or delete it when not `present`. Returns whether the profile changed.

        A new name or picture is noted as a task, in the same transaction, so that it reaches the
        user's rooms even if this process ends now. Raises ProfileTooLargeError.
        """
        return await self.db.run(
            "set_profile_field", self._set_profile_field_txn, user_id, key, value, present
        )

    def _set_profile_field_txn(
        self, txn: Transaction, user_id: str, key: str, value: JsonValue, present: bool
    ) -> bool:
        old = self._get_profile_txn(txn, user_id) or Profile()
        new = old.replaced(key, value, present=present)
        if new == old:
            return False
        if present and len(encode_json(new.to_json())) >= MAX_PROFILE_BYTES:
            raise ProfileTooLargeError
        self._write_profile_txn(txn, user_id, new)
        if key in _COLUMNS:
            self._add_task_txn(txn, user_id, TaskName.PROFILE)
        return True

    def _write_profile_txn(self, txn: Transaction, user_id: str, profile: Profile) -> None:
        txn.upsert(
            "profiles",
            {"user_id": user_id},
            {
                "displayname": profile.displayname,
                "avatar_url": profile.avatar_url,
                "fields": encode_json_text(dict(profile.fields)),
            },
        )
        txn.invalidate(self.get_profile, (user_id,))
        self._mark_directory_user_txn(txn, user_id)

    def _delete_profile_txn(self, txn: Transaction, user_id: str) -> None:
        txn.delete("profiles", user_id=user_id)
        txn.invalidate(self.get_profile, (user_id,))
        self._mark_directory_user_txn(txn, user_id)
