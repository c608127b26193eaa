"""The user_dir: finds users by name. What it finds, the master keeps up to date."""

from __future__ import annotations

from ...storage._base import FollowerStore
from ...storage.accounts import AccountsWorkerStore
from ...storage.user_directory import UserDirectoryWorkerStore
from .._process import Process
from ._worker import BINDINGS, RESOURCES


class UserDirStore(UserDirectoryWorkerStore, AccountsWorkerStore, FollowerStore):
    """What the user_dir reads."""


USER_DIR = Process(
    name="user_dir",
    purpose="Finds users by name.",
    store=UserDirStore,
    resources=RESOURCES,
    bindings=BINDINGS,
)
