"""Users of this server: who has an account, and what kind."""

from __future__ import annotations

import attrs

from ..util.caches.cached import cached
from ._base import BaseStore
from .account_tasks import TaskName
from .devices import DevicesStore, NewLogin
from .errors import StoreError
from .profile import Profile, ProfileStore
from .registration_tokens import RegistrationTokensStore
from .short_tokens import OpenIdTokensStore
from .threepids import ThreepidsStore
from .transaction import Transaction

_COLUMNS = (
    "user_id",
    "created_ts",
    "is_admin",
    "is_guest",
    "user_type",
    "app_service_id",
    "is_deactivated",
    "is_locked",
    "is_suspended",
)


class UserExistsError(StoreError):
    """There is, or was, an account of that name."""


def _bool(value: object) -> bool:
    return bool(value)


@attrs.frozen
class User:
    """An account. `created_ts` is in ms."""

    user_id: str
    created_ts: int
    is_admin: bool = attrs.field(default=False, converter=_bool)
    is_guest: bool = attrs.field(default=False, converter=_bool)
    user_type: str | None = None
    app_service_id: str | None = None
    is_deactivated: bool = attrs.field(default=False, converter=_bool)
    is_locked: bool = attrs.field(default=False, converter=_bool)
    is_suspended: bool = attrs.field(default=False, converter=_bool)


@attrs.frozen
class NewUser:
    """An account to be made.

    `registration_token` is used up by it; `auto_join` asks for the rooms that new users join.
    """

    user_id: str
    password_hash: str | None = attrs.field(repr=False)
    displayname: str | None
    is_admin: bool = False
    is_guest: bool = False
    user_type: str | None = None
    registration_token: str | None = attrs.field(default=None, repr=False)
    auto_join: bool = False


class RegistrationWorkerStore(BaseStore):
    """Reads of accounts, in any process."""

    @cached(max_entries=50_000)
    async def get_user(self, user_id: str) -> User | None:
        """The account, also if it is deactivated."""
        row = await self.db.read(
            "get_user", lambda txn: txn.select_one("users", _COLUMNS, user_id=user_id)
        )
        return None if row is None else User(*row)

    async def get_password_hash(self, user_id: str) -> str | None:
        """The hash of the user's password; None without password or account. Never kept."""
        row = await self.db.read(
            "get_password_hash",
            lambda txn: txn.select_one(
                "users", ("password_hash",), user_id=user_id, is_deactivated=False
            ),
        )
        return None if row is None else row[0]


class RegistrationStore(
    RegistrationWorkerStore,
    RegistrationTokensStore,
    DevicesStore,
    ThreepidsStore,
    OpenIdTokensStore,
    ProfileStore,
):
    """Writes of accounts."""

    async def register_user(self, new: NewUser, login: NewLogin | None) -> None:
        """Make an account with its profile and first device: all of it, or nothing.

        Raises UserExistsError, and UnusableTokenError for a registration token.
        """
        await self.db.run("register_user", self._register_user_txn, new, login)

    def _register_user_txn(self, txn: Transaction, new: NewUser, login: NewLogin | None) -> None:
        is_new = txn.insert_ignore(
            "users",
            user_id=new.user_id,
            password_hash=new.password_hash,
            created_ts=self.clock.time_ms(),
            is_admin=new.is_admin,
            is_guest=new.is_guest,
            user_type=new.user_type,
            app_service_id=None,
            is_deactivated=False,
            is_erased=False,
            is_locked=False,
        )
        if not is_new:
            raise UserExistsError(new.user_id)
        self._write_profile_txn(txn, new.user_id, Profile(new.displayname))
        self._complete_registration_txn(txn, new, login)

    async def upgrade_guest(self, new: NewUser, login: NewLogin | None) -> None:
        """Make a guest a user: all of it, or nothing. What the guest was logged in with ends.

        Raises UserExistsError if this is no guest (any more), and UnusableTokenError.
        """
        await self.db.run("upgrade_guest", self._upgrade_guest_txn, new, login)

    def _upgrade_guest_txn(self, txn: Transaction, new: NewUser, login: NewLogin | None) -> None:
        changed = txn.update(
            "users",
            {"user_id": new.user_id, "is_guest": True, "is_deactivated": False},
            {"is_guest": False, "password_hash": new.password_hash},
        )
        if not changed:
            raise UserExistsError(new.user_id)
        self._log_out_txn(txn, new.user_id, None, None)
        self._complete_registration_txn(txn, new, login)

    def _complete_registration_txn(
        self, txn: Transaction, new: NewUser, login: NewLogin | None
    ) -> None:
        if new.registration_token is not None:
            self._use_registration_token_txn(txn, new.registration_token)
        txn.invalidate(self.get_user, (new.user_id,))
        if new.auto_join:
            self._add_task_txn(txn, new.user_id, TaskName.AUTO_JOIN)
        if login is not None:
            self._log_in_device_txn(txn, new.user_id, login)

    async def set_password_hash(
        self,
        user_id: str,
        password_hash: str,
        *,
        log_out_others: bool,
        device_id: str | None,
        token_id: int | None,
    ) -> None:
        """Change the password; with `log_out_others` only the device and token named stay."""
        await self.db.run(
            "set_password_hash",
            self._set_password_hash_txn,
            user_id,
            password_hash,
            log_out_others,
            device_id,
            token_id,
        )

    def _set_password_hash_txn(
        self,
        txn: Transaction,
        user_id: str,
        password_hash: str,
        log_out_others: bool,
        device_id: str | None,
        token_id: int | None,
    ) -> None:
        txn.update(
            "users",
            {"user_id": user_id, "is_deactivated": False},
            {"password_hash": password_hash},
        )
        if log_out_others:
            self._log_out_txn(txn, user_id, device_id, token_id)

    async def set_locked(self, user_id: str, locked: bool) -> bool:
        """Lock or unlock an account. Returns whether there is one."""
        return await self._set_flag("set_locked", user_id, "is_locked", locked)

    async def set_suspended(self, user_id: str, suspended: bool) -> bool:
        """Suspend an account, or lift that. As `set_locked`."""
        return await self._set_flag("set_suspended", user_id, "is_suspended", suspended)

    async def set_admin(self, user_id: str, admin: bool) -> bool:
        """Make somebody an administrator of this server, or no longer. As `set_locked`."""
        return await self._set_flag("set_admin", user_id, "is_admin", admin)

    async def _set_flag(self, name: str, user_id: str, column: str, value: bool) -> bool:
        def set_flag_txn(txn: Transaction) -> bool:
            changed = txn.update("users", {"user_id": user_id}, {column: value})
            txn.invalidate(self.get_user, (user_id,))
            return changed > 0

        return await self.db.run(name, set_flag_txn)

    async def deactivate_user(self, user_id: str, *, erase: bool) -> None:
        """End an account: no password, device or token remains, and its rooms are to be left."""
        await self.db.run("deactivate_user", self._deactivate_user_txn, user_id, erase)

    def _deactivate_user_txn(self, txn: Transaction, user_id: str, erase: bool) -> None:
        changes = {"is_deactivated": True, "password_hash": None, "is_admin": False}
        if erase:
            changes["is_erased"] = True
            self._delete_profile_txn(txn, user_id)
        txn.update("users", {"user_id": user_id}, changes)
        txn.invalidate(self.get_user, (user_id,))
        self._log_out_txn(txn, user_id, None, None)
        self._delete_threepids_of_user_txn(txn, user_id)
        self._delete_openid_tokens_of_user_txn(txn, user_id)
        txn.delete("user_ips", user_id=user_id)
        txn.delete("account_tasks", user_id=user_id)
        self._add_task_txn(txn, user_id, TaskName.LEAVE_ROOMS)
        self._mark_directory_user_txn(txn, user_id)
