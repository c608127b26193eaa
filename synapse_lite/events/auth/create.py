"""Authorisation of m.room.create, and of an event's tie to it."""

from __future__ import annotations

from ...api.constants import EventTypes
from ...api.errors import ForbiddenError
from ...types.ids import domain_of, is_user_id
from ...util.json import JsonDict
from ..event import Event, room_id_from_create
from ..room_versions import ROOM_VERSIONS


def check_create(event: Event) -> None:
    """Raise ForbiddenError unless this event may open a room."""
    version = event.room_version
    if event.prev_event_ids:
        raise ForbiddenError("The create event must be the first event of the room")
    if version.room_id_from_create_event:
        if "room_id" in event.pdu:
            raise ForbiddenError("The create event of this room version has no room_id")
    elif domain_of(event.room_id) != domain_of(event.sender):
        raise ForbiddenError("The creator is not from the server in the room id")
    declared = event.content.get("room_version", version.identifier)
    if not isinstance(declared, str) or declared not in ROOM_VERSIONS:
        raise ForbiddenError("The room version is not known to this server")
    if not version.implicit_room_creator and "creator" not in event.content:
        raise ForbiddenError("The create event does not name the creator")
    if version.privileged_creators:
        _check_additional_creators(event.content)


def _check_additional_creators(content: JsonDict) -> None:
    creators = content.get("additional_creators", [])
    if not isinstance(creators, list) or not all(is_user_id(user) for user in creators):
        raise ForbiddenError("additional_creators is not a list of user ids")


def check_room_of_create(event: Event, create: Event | None) -> None:
    """Raise ForbiddenError unless the room id of the event is that of an accepted create event.

    The rule of room versions whose room ids come from their create events.
    """
    if create is None or create.type != EventTypes.CREATE:
        raise ForbiddenError("The create event of the room is not known")
    if create.metadata.rejected_reason is not None:
        raise ForbiddenError("The create event of the room was rejected")
    if event.room_id != room_id_from_create(create.event_id):
        raise ForbiddenError("The event belongs to another room")


def check_federation_allowed(event: Event, create: Event) -> None:
    """Raise ForbiddenError if the room is closed to other servers and the sender is from one."""
    if create.content.get("m.federate") is not False:
        return
    if domain_of(event.sender) != domain_of(create.sender):
        raise ForbiddenError("The room is closed to users of other servers")
