"""What users do with their own account: change the password, end it."""

from __future__ import annotations

from ..server import Homeserver
from ..storage.account_tasks import TaskName
from ..storage.registration import RegistrationStore
from ..types.requester import Requester
from .account_tasks import AccountTasks
from .passwords import PasswordHandler


class AccountHandler:
    """Changes of accounts, on the master. Whether the user may, is asked before."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(RegistrationStore)
        self._passwords = hs.part(PasswordHandler)
        self._tasks = hs.part(AccountTasks)

    def check_new_password(self, password: str) -> None:
        """Raise WeakPasswordError or InvalidParamError for a password that cannot be set."""
        self._passwords.check_policy(password)

    async def change_password(
        self, requester: Requester, password: str, *, log_out_others: bool
    ) -> None:
        """Set a new password; the device that asks stays logged in, others as told."""
        self.check_new_password(password)
        await self._store.set_password_hash(
            requester.user_id,
            await self._passwords.hash(password),
            log_out_others=log_out_others,
            device_id=requester.device_id,
            token_id=requester.access_token_id,
        )

    async def deactivate(self, user_id: str, *, erase: bool) -> None:
        """End an account. Its rooms are left in the background, also over a restart."""
        await self._store.deactivate_user(user_id, erase=erase)
        self._tasks.begin(user_id, TaskName.LEAVE_ROOMS)
