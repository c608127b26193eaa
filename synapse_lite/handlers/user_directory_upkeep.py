"""Keeps the user directory up to date. A duty of the master, which alone writes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ..server import Homeserver
from ..storage.background_updates import BackgroundUpdater
from ..storage.user_directory_upkeep import REBUILD_UPDATE, UserDirectoryStore
from ..streams import CURRENT_STATE_DELTAS, Stream
from ..util.clock import Repeating

logger = logging.getLogger(__name__)

UPKEEP_SECONDS = 1.0
"""How long a change waits at most before it is in the directory."""

_MINIMUM_REBUILD_BATCH = 20


class UserDirectoryUpkeep:
    """Follows changes of state, profiles and accounts, from the stored position at each start."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(UserDirectoryStore)
        self._updates = hs.part(BackgroundUpdater)
        self._enabled = hs.config.user_directory.enabled
        self._given_away = not hs.config.duties.update_user_directory
        self._clock = hs.clock
        self._is_behind = True
        self._timer: Repeating | None = None

    async def start(self) -> None:
        """Begin to follow, from where it was left."""
        self._updates.register(
            REBUILD_UPDATE, self._store.rebuild_txn, minimum=_MINIMUM_REBUILD_BATCH
        )
        if not self._enabled:
            return
        if self._given_away:
            logger.warning(
                "update_user_directory is false, but only the master writes here: it keeps the"
                " user directory up to date all the same. Workers of the kind user_dir serve it"
            )
        await self._store.begin_user_directory()
        self._store.follow(self._stream_moved)
        self._store.follow_directory_marks(self._note)
        self._updates.start()
        self._timer = self._clock.every(UPKEEP_SECONDS, self.catch_up, name="update_user_directory")

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _stream_moved(self, stream: Stream, token: int, rows: Sequence[Any]) -> None:
        if stream is CURRENT_STATE_DELTAS and rows:
            self._is_behind = True

    def _note(self) -> None:
        self._is_behind = True

    async def catch_up(self) -> None:
        """Bring the directory up to date. Costs nothing if nothing has changed."""
        if not self._is_behind:
            return
        self._is_behind = False
        try:
            while self._timer is not None and await self._store.note_state_changes():
                pass
            while self._timer is not None and await self._store.refresh_users():
                pass
        except BaseException:
            self._is_behind = True
            raise
