"""Building, hashing and signing new events."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import attrs

from ..crypto.base64 import encode_base64
from ..crypto.keys import SigningKey
from ..util.json import JsonDict, JsonValue
from .event import Event, make_event
from .hashing import add_hashes_and_signatures, event_id_from_hash, reference_hash
from .metadata import EventMetadata
from .room_versions import EventFormat, RoomVersion


@attrs.frozen
class EventReference:
    """Another event by its id.

    Versions 1 and 2 also need its reference hash as `{"sha256": <unpadded base64>}`.
    """

    event_id: str
    hashes: dict[str, str] = attrs.field(factory=dict)


def build_event(
    *,
    room_version: RoomVersion,
    room_id: str | None,
    sender: str,
    type: str,
    content: JsonDict,
    prev_events: Sequence[Event | EventReference],
    auth_events: Sequence[Event | EventReference],
    depth: int,
    origin_server_ts: int,
    server_name: str,
    signing_key: SigningKey,
    state_key: str | None = None,
    redacts: str | None = None,
    event_id_localpart: str = "",
    metadata: EventMetadata | None = None,
    unsigned: JsonDict | None = None,
) -> Event:
    """A hashed and signed event of ours.

    `room_id` is None for the create event of a version whose room id comes from it, and nowhere
    else. `depth` beyond the version's limit is set to the limit. `origin_server_ts` is in ms.
    `redacts` is put where the version wants it. `event_id_localpart` makes the event id in versions
    1 and 2. `unsigned` goes into the PDU.
    """
    pdu: JsonDict = {
        "type": type,
        "sender": sender,
        "content": content,
        "depth": min(depth, room_version.max_depth),
        "origin_server_ts": origin_server_ts,
        "prev_events": _references(prev_events, room_version),
        "auth_events": _references(auth_events, room_version),
    }
    if room_id is not None:
        pdu["room_id"] = room_id
    if state_key is not None:
        pdu["state_key"] = state_key
    if redacts is not None and room_version.redacts_in_content:
        pdu["content"] = {**content, "redacts": redacts}
    elif redacts is not None:
        pdu["redacts"] = redacts
    if unsigned:
        pdu["unsigned"] = unsigned
    if not room_version.event_id_is_hash:
        pdu["event_id"] = f"${event_id_localpart}:{server_name}"
    signed = add_hashes_and_signatures(pdu, room_version, server_name, signing_key)
    event_id = pdu.get("event_id") or event_id_from_hash(
        hashlib.sha256(signed).digest(), room_version.event_format
    )
    return make_event(pdu, room_version, event_id, metadata)


def _references(
    events: Sequence[Event | EventReference], room_version: RoomVersion
) -> list[JsonValue]:
    if room_version.event_format is not EventFormat.V1:
        return [event.event_id for event in events]
    return [[event.event_id, _reference_hashes(event)] for event in events]


def _reference_hashes(event: Event | EventReference) -> dict[str, str]:
    if isinstance(event, EventReference):
        return event.hashes
    return {"sha256": encode_base64(reference_hash(event.pdu, event.room_version))}


def reference_to(event: Event) -> EventReference:
    """The reference with which later events can name this one in any room version."""
    return EventReference(event.event_id, _reference_hashes(event))
