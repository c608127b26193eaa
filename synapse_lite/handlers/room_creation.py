"""Creating rooms."""

from __future__ import annotations

from ..api.constants import EventTypes, Membership
from ..api.errors import ForbiddenError, InvalidRoomStateError
from ..replication.send_event import EventSink
from ..server import Homeserver
from ..types.requester import Requester
from ..util.json import JsonDict
from .membership import MembershipHandler
from .new_room import NewRoom
from .room_directory import RoomDirectory
from .room_options import RoomOptions
from .room_presets import PRESETS, power_levels_of, state_of
from .suspension import check_not_suspended


class RoomCreationHandler:
    """Creates rooms, in the master (client-server API, POST /createRoom)."""

    def __init__(self, hs: Homeserver) -> None:
        self._sink = hs.part(EventSink)
        self._memberships = hs.part(MembershipHandler)
        self._directory = hs.part(RoomDirectory)
        self._clock = hs.clock
        self._server_name = hs.name
        self._signing_key = hs.signing_key
        self._last_timestamp = 0
        self._encrypted = hs.config.rooms.encryption_enabled_by_default_for_room_type
        self._power_levels = hs.config.rooms.default_power_level_content_override

    async def create_room(self, requester: Requester, options: RoomOptions) -> str:
        """Create a room, with all events that the options imply, and return its id.

        The events are stored in one commit, so nobody ever sees a part of them. Raises
        RoomInUseError for an alias that is taken, InvalidRoomStateError if the rules do not allow
        one of the events, BadJsonError, TooLargeError, LimitExceededError.
        """
        check_not_suspended(requester)
        await self._memberships.check_invites(requester, options.invite)
        if options.alias is not None:
            await self._directory.check_free(options.alias)
        try:
            room = await self._build(requester, options)
        except ForbiddenError as error:
            raise InvalidRoomStateError(error.message) from error
        self._memberships.count_invites(requester, room.room_id, options.invite)
        async with (
            self._directory.aliased(options.alias, room.room_id, requester.user_id),
            self._directory.published(options.is_public, room.room_id),
        ):
            await self._sink.persist_many(room.events, requester, ratelimit=False)
        return room.room_id

    async def _build(self, requester: Requester, options: RoomOptions) -> NewRoom:
        """The events of the room, in the order that the specification gives."""
        room = NewRoom(
            options.room_version,
            requester.user_id,
            self._create_content(requester, options),
            server_name=self._server_name,
            signing_key=self._signing_key,
            origin_server_ts=self._next_timestamp(),
        )
        room.add_creator(await self._memberships.profile_of(requester.user_id))
        room.add(EventTypes.POWER_LEVELS, self._first_power_levels(requester, options))
        if options.alias is not None:
            room.add(EventTypes.CANONICAL_ALIAS, {"alias": options.alias})
        self._add_state(room, options)
        for user_id in options.invite:
            content = await self._memberships.profile_of(user_id)
            if options.is_direct:
                content["is_direct"] = True
            room.add_member(user_id, Membership.INVITE, content)
        return room

    def _next_timestamp(self) -> int:
        """A time in ms that no room has had: where ids come from create events, it tells apart
        two rooms that a user creates in the same way in the same moment.
        """
        self._last_timestamp = max(self._clock.time_ms(), self._last_timestamp + 1)
        return self._last_timestamp

    def _add_state(self, room: NewRoom, options: RoomOptions) -> None:
        preset = PRESETS[options.preset]
        encrypted = self._encrypted == "all" or (
            self._encrypted == "invite" and preset.needs_invite
        )
        chosen = {(event.type, event.state_key) for event in options.initial_state}
        for event_type, content in state_of(preset, encrypted=encrypted):
            if (event_type, "") not in chosen:
                room.add(event_type, content)
        for event in options.initial_state:
            room.add(event.type, event.content, event.state_key)
        if options.name is not None:
            room.add(EventTypes.NAME, {"name": options.name})
        if options.topic is not None:
            room.add(EventTypes.TOPIC, _topic_content(options.topic))

    @staticmethod
    def _create_content(requester: Requester, options: RoomOptions) -> JsonDict:
        version = options.room_version
        content = {**options.creation_content, "room_version": version.identifier}
        content.pop("creator", None)
        if not version.implicit_room_creator:
            content["creator"] = requester.user_id
        equals = options.invite if PRESETS[options.preset].invitees_are_equal else ()
        additional = content.get("additional_creators", [])
        if version.privileged_creators and equals and isinstance(additional, list):
            others = [user_id for user_id in equals if user_id not in additional]
            content["additional_creators"] = [*additional, *others]
        return content

    def _first_power_levels(self, requester: Requester, options: RoomOptions) -> JsonDict:
        preset = PRESETS[options.preset]
        return {
            **power_levels_of(options.room_version, requester.user_id, preset, options.invite),
            **(self._power_levels.get(options.preset) or {}),
            **options.power_levels,
        }


def _topic_content(topic: str) -> JsonDict:
    """A topic in both its forms (m.room.topic)."""
    return {
        "topic": topic,
        "m.topic": {"m.text": [{"body": topic, "mimetype": "text/plain"}]},
    }
