"""Work for accounts that outlives its request and the process: what is still to be done."""

from __future__ import annotations

import attrs

from ._base import MasterStore
from .transaction import Transaction


class TaskName:
    """Kinds of work."""

    PROFILE = "profile"
    """Tell the user's rooms their new name or picture."""

    AUTO_JOIN = "auto_join"
    """Join the rooms that new users join."""

    LEAVE_ROOMS = "leave_rooms"
    """Leave all rooms: the account was deactivated."""


@attrs.frozen
class AccountTask:
    """One piece of work. `version` tells it from a later one of the same name and user."""

    user_id: str
    task: str
    version: int
    progress: str


class AccountTasksStore(MasterStore):
    """What is to be done, on the master only; the transaction that needs a task adds it."""

    def _add_task_txn(self, txn: Transaction, user_id: str, task: str) -> None:
        """Ask for a task; one that is under way begins again."""
        txn.execute(
            "INSERT INTO account_tasks (user_id, task, version, progress) VALUES (?, ?, 1, '')"
            " ON CONFLICT (user_id, task)"
            " DO UPDATE SET version = account_tasks.version + 1, progress = ''",
            (user_id, task),
        )

    async def get_account_task(self, user_id: str, task: str) -> AccountTask | None:
        """A task that is to be done."""
        row = await self.db.read(
            "get_account_task",
            lambda txn: txn.select_one(
                "account_tasks", ("version", "progress"), user_id=user_id, task=task
            ),
        )
        return None if row is None else AccountTask(user_id, task, *row)

    async def get_account_tasks(self) -> list[tuple[str, str]]:
        """User and name of every task that is to be done."""
        rows = await self.db.read(
            "get_account_tasks", lambda txn: txn.select("account_tasks", ("user_id", "task"))
        )
        return [(user_id, task) for user_id, task in rows]

    async def note_task_progress(self, task: AccountTask, progress: str) -> bool:
        """Note how far a task has come. Returns False if it has been asked for anew meanwhile."""
        changed = await self.db.run(
            "note_task_progress",
            lambda txn: txn.update(
                "account_tasks",
                {"user_id": task.user_id, "task": task.task, "version": task.version},
                {"progress": progress},
            ),
        )
        return changed > 0

    async def finish_task(self, task: AccountTask) -> bool:
        """Note that a task is done. Returns False if it has been asked for anew meanwhile."""
        deleted = await self.db.run(
            "finish_task",
            lambda txn: txn.delete(
                "account_tasks", user_id=task.user_id, task=task.task, version=task.version
            ),
        )
        return deleted > 0
