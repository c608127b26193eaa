"""Forgets tokens that are good for nothing any more."""

from __future__ import annotations

from ..server import Homeserver
from ..storage.registration import RegistrationStore
from ..util.clock import Repeating

EXPIRE_SECONDS = 600.0


class TokenExpiry:
    """A duty of the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(RegistrationStore)
        self._clock = hs.clock
        self._timer: Repeating | None = None

    async def start(self) -> None:
        """Begin to look every few minutes."""
        self._timer = self._clock.every(EXPIRE_SECONDS, self.forget, name="expire_tokens")

    async def stop(self) -> None:
        """Stop that."""
        if self._timer is not None:
            self._timer.stop()

    async def forget(self) -> None:
        """Delete what has expired."""
        await self._store.forget_superseded_tokens()
        await self._store.forget_expired_short_tokens()
