"""A room in the making: its first events, built one upon the other before anything is stored."""

from __future__ import annotations

from ..api.constants import EventTypes, Membership
from ..crypto.keys import SigningKey
from ..events.auth import (
    auth_types_for_event,
    check_state_dependent_auth,
    check_state_independent_auth,
)
from ..events.builder import build_event
from ..events.context import EventContext
from ..events.event import Event, StateKey
from ..events.room_versions import RoomVersion
from ..events.validation import check_client_event, check_event_size
from ..replication.send_event import NewEvent
from ..util.json import JsonDict
from ..util.random import random_string_secure

_ROOM_ID_LETTERS = 18


def new_room_id(server_name: str) -> str:
    """An id for a new room, in versions where it does not come from the create event."""
    return f"!{random_string_secure(_ROOM_ID_LETTERS)}:{server_name}"


class NewRoom:
    """The events of a room that one user creates; all are checked as they are added."""

    def __init__(
        self,
        room_version: RoomVersion,
        creator: str,
        create_content: JsonDict,
        *,
        server_name: str,
        signing_key: SigningKey,
        origin_server_ts: int,
        room_id: str | None = None,
    ) -> None:
        """Begin with m.room.create; `room_id` may be chosen where the version draws it.

        Raises BadJsonError, TooLargeError, ForbiddenError.
        """
        self._version = room_version
        self._creator = creator
        self._server_name = server_name
        self._signing_key = signing_key
        self._timestamp = origin_server_ts
        self._room_id: str | None = None
        if not room_version.room_id_from_create_event:
            self._room_id = room_id or new_room_id(server_name)
        self._events: list[Event] = []
        self._state: dict[StateKey, Event] = {}
        self._create = self.add(EventTypes.CREATE, create_content)
        self._room_id = self._create.room_id

    @property
    def room_id(self) -> str:
        """The id of the room."""
        return self._create.room_id

    @property
    def events(self) -> list[NewEvent]:
        """All events in order. The state before each is what those before it make."""
        return [(event, EventContext()) for event in self._events]

    def add(self, event_type: str, content: JsonDict, state_key: str = "") -> Event:
        """Add a state event of the creator.

        Raises BadJsonError and TooLargeError for its form, ForbiddenError if the rules, with what
        was added before, do not allow it.
        """
        version = self._version
        check_client_event(event_type, state_key, content, version)
        keys = auth_types_for_event(version, event_type, self._creator, state_key, content)
        auth_events = [self._state[key] for key in sorted(keys) if key in self._state]
        event = build_event(
            room_version=version,
            room_id=self._room_id,
            sender=self._creator,
            type=event_type,
            content=content,
            state_key=state_key,
            prev_events=self._events[-1:],
            auth_events=auth_events,
            depth=len(self._events) + 1,
            origin_server_ts=self._timestamp,
            server_name=self._server_name,
            signing_key=self._signing_key,
            event_id_localpart=random_string_secure(_ROOM_ID_LETTERS),
        )
        check_event_size(event)
        create = self._create if self._events and version.room_id_from_create_event else None
        check_state_independent_auth(event, auth_events, create_event=create)
        check_state_dependent_auth(event, self._state)
        self._events.append(event)
        self._state[event.state_tuple] = event
        return event

    def add_member(self, user_id: str, membership: str, content: JsonDict) -> Event:
        """Add a membership. Raises as `add`."""
        return self.add(EventTypes.MEMBER, {**content, "membership": membership}, user_id)

    def add_creator(self, content: JsonDict) -> Event:
        """Let the creator join. Raises as `add`."""
        return self.add_member(self._creator, Membership.JOIN, content)
