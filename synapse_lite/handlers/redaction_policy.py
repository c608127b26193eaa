"""Which redactions users of this server may send.

From room version 3 on the authorisation rules let every redaction pass between users of one
server; it is for that server to say who may redact whom.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..api.constants import EventTypes
from ..api.errors import ForbiddenError, NotFoundError
from ..events.auth import PowerLevels
from ..events.event import Event, StateKey
from ..server import Homeserver
from ..storage.events import EventsWorkerStore


class RedactionPolicy:
    """Checks redactions before they are sent."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(EventsWorkerStore)

    async def redacted_event(self, room_id: str, event_id: str) -> Event:
        """The event that is to be redacted. Raises NotFoundError unless it is in the room."""
        event = await self._store.get_event(event_id, allow_none=True)
        if event is None or event.room_id != room_id:
            raise NotFoundError("The room has no such event")
        return event

    async def check(self, redaction: Event, state: Mapping[StateKey, Event]) -> None:
        """Raise ForbiddenError unless the sender may redact the event that is named.

        `state` is the state before the redaction.
        """
        if redaction.redacts is None:
            return
        target = await self.redacted_event(redaction.room_id, redaction.redacts)
        if target.type == EventTypes.CREATE:
            raise ForbiddenError("The create event of a room cannot be redacted")
        if target.sender == redaction.sender:
            return
        levels = PowerLevels.of_state(state, redaction.room_version)
        if levels.of_user(redaction.sender) < levels.named("redact"):
            raise ForbiddenError("Redacting events of others takes a higher power level")
