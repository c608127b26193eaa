"""The event: an immutable value whose encoded forms are computed once.

A client form is kept as bytes without its end, so that each reader's `unsigned` is joined on and
nothing is encoded twice.
"""

from __future__ import annotations

from typing import Final

from ..api.constants import EventTypes
from ..util.json import JsonDict, JsonValue, encode_canonical_json, encode_json
from .hashing import event_id_of
from .metadata import EventMetadata
from .redaction import redact_pdu
from .room_versions import EventFormat, RoomVersion

__all__ = ["Event", "EventMetadata", "StateKey", "make_event", "pruned", "room_id_from_create"]

StateKey = tuple[str, str]
"""Event type and state key."""


class Event:
    """An event of a room, in the format of its room version.

    `pdu` is the whole event as servers exchange it and, like `content`, must never be changed.
    `metadata` alone may be. Events are equal when their ids are.
    """

    __slots__ = (
        "_client_json",
        "_pdu_json",
        "auth_event_ids",
        "content",
        "depth",
        "event_id",
        "membership",
        "metadata",
        "origin_server_ts",
        "pdu",
        "prev_event_ids",
        "redacts",
        "room_id",
        "room_version",
        "sender",
        "state_key",
        "type",
    )

    def __init__(
        self,
        pdu: JsonDict,
        room_version: RoomVersion,
        event_id: str,
        metadata: EventMetadata,
        pdu_json: bytes | None = None,
    ) -> None:
        self.pdu: Final = pdu
        self.room_version: Final = room_version
        self.event_id: Final = event_id
        self.metadata: Final = metadata
        self.type: Final[str] = pdu["type"]
        self.sender: Final[str] = pdu["sender"]
        self.content: Final[JsonDict] = pdu["content"]
        self.state_key: Final[str | None] = pdu.get("state_key")
        self.origin_server_ts: Final[int] = pdu["origin_server_ts"]
        self.depth: Final[int] = pdu["depth"]
        self.room_id: Final = _room_id_of(pdu, room_version, event_id)
        self.prev_event_ids: Final = _referenced_ids(pdu["prev_events"], room_version)
        self.auth_event_ids: Final = _referenced_ids(pdu["auth_events"], room_version)
        self.membership: Final = _membership_of(self.type, self.content)
        self.redacts: Final = _redacts_of(pdu, room_version)
        self._pdu_json = pdu_json
        self._client_json: bytes | None = None

    @property
    def hashes(self) -> JsonDict:
        """`hashes` of the PDU."""
        hashes: JsonDict = self.pdu.get("hashes", {})
        return hashes

    @property
    def signatures(self) -> dict[str, dict[str, str]]:
        """`signatures` of the PDU: by server name, then by key id."""
        signatures: dict[str, dict[str, str]] = self.pdu.get("signatures", {})
        return signatures

    @property
    def unsigned(self) -> JsonDict:
        """`unsigned` of the PDU; what another server put there is not to be trusted."""
        unsigned: JsonDict = self.pdu.get("unsigned", {})
        return unsigned

    @property
    def is_state(self) -> bool:
        """Whether this is a state event."""
        return self.state_key is not None

    @property
    def state_tuple(self) -> StateKey:
        """Type and state key of a state event. Raises ValueError for another event."""
        if self.state_key is None:
            raise ValueError(f"{self.event_id} is not a state event")
        return (self.type, self.state_key)

    @property
    def pdu_json(self) -> bytes:
        """The PDU in canonical JSON, with its hashes and signatures."""
        if self._pdu_json is None:
            self._pdu_json = encode_canonical_json(self.pdu)
        return self._pdu_json

    @property
    def client_json(self) -> bytes:
        """The client form without room_id, `unsigned` and the closing brace.

        Encoded once, then kept (client-server API, "Room event format").
        """
        if self._client_json is None:
            self._client_json = encode_json(self._client_fields())[:-1]
        return self._client_json

    def client_bytes(self, unsigned: JsonDict | None, *, with_room_id: bool) -> bytes:
        """The client form as JSON; /sync leaves the room id out."""
        parts = [self.client_json]
        if with_room_id:
            parts += (b',"room_id":', encode_json(self.room_id))
        if unsigned:
            parts += (b',"unsigned":', encode_json(unsigned))
        parts.append(b"}")
        return b"".join(parts)

    def client_dict(self, unsigned: JsonDict | None, *, with_room_id: bool) -> JsonDict:
        """The client form as a dict, for the few who must look inside or alter it."""
        fields = self._client_fields()
        if with_room_id:
            fields["room_id"] = self.room_id
        if unsigned:
            fields["unsigned"] = unsigned
        return fields

    def stripped_state(self) -> JsonDict:
        """The stripped state event (client-server API, "Stripped state")."""
        return {
            "type": self.type,
            "state_key": self.state_key,
            "content": self.content,
            "sender": self.sender,
        }

    def _client_fields(self) -> JsonDict:
        fields: JsonDict = {
            "event_id": self.event_id,
            "type": self.type,
            "sender": self.sender,
            "content": self.content,
            "origin_server_ts": self.origin_server_ts,
        }
        if self.state_key is not None:
            fields["state_key"] = self.state_key
        if self.redacts is not None:
            # Clients of either kind find it: version 11 moved it, both places are served.
            fields["redacts"] = self.redacts
            fields["content"] = {**self.content, "redacts": self.redacts}
        return fields

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        return self.event_id == other.event_id

    def __hash__(self) -> int:
        return hash(self.event_id)

    def __repr__(self) -> str:
        return f"<Event {self.event_id} {self.type!r} {self.state_key!r} in {self.room_id}>"


def make_event(
    pdu: JsonDict,
    room_version: RoomVersion,
    event_id: str | None = None,
    metadata: EventMetadata | None = None,
    *,
    pdu_json: bytes | None = None,
) -> Event:
    """The event that this PDU is.

    The PDU must have passed `validation.check_pdu_format`, or come from the database. Whoever knows
    the id already passes it and saves its computation; likewise the canonical bytes.
    """
    if event_id is None:
        event_id = event_id_of(pdu, room_version)
    if metadata is None:
        metadata = EventMetadata()
    return Event(pdu, room_version, event_id, metadata, pdu_json)


def pruned(event: Event) -> Event:
    """The redacted copy of an event, under the same id and with the same metadata.

    It has no `unsigned`; `redacted_because` is up to whoever serves it.
    """
    return make_event(
        redact_pdu(event.pdu, event.room_version),
        event.room_version,
        event.event_id,
        event.metadata,
    )


def room_id_from_create(event_id: str) -> str:
    """The id of the room that this create event opens, from room version 12 on."""
    return "!" + event_id[1:]


def _room_id_of(pdu: JsonDict, room_version: RoomVersion, event_id: str) -> str:
    if room_version.room_id_from_create_event and _is_create(pdu):
        return room_id_from_create(event_id)
    room_id: str = pdu["room_id"]
    return room_id


def _is_create(pdu: JsonDict) -> bool:
    return pdu["type"] == EventTypes.CREATE and pdu.get("state_key") == ""


def _referenced_ids(references: JsonValue, room_version: RoomVersion) -> tuple[str, ...]:
    if room_version.event_format is EventFormat.V1:
        return tuple(reference[0] for reference in references)
    return tuple(references)


def _membership_of(event_type: str, content: JsonDict) -> str | None:
    return _plain_text(content.get("membership")) if event_type == EventTypes.MEMBER else None


def _redacts_of(pdu: JsonDict, room_version: RoomVersion) -> str | None:
    if pdu["type"] != EventTypes.REDACTION:
        return None
    holder = pdu["content"] if room_version.redacts_in_content else pdu
    return _plain_text(holder.get("redacts"))


def _plain_text(value: JsonValue) -> str | None:
    """A string that can be looked up; databases do not take null characters."""
    return value if isinstance(value, str) and "\0" not in value else None
