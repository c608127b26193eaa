"""The form of events: from other servers (`check_pdu_format`) and from clients.

Nothing here looks at the room; what passes may still be forbidden.
"""

from __future__ import annotations

from collections.abc import Callable

from ..api.constants import MAX_ID_LENGTH, MAX_PDU_SIZE, EventTypes
from ..api.errors import BadJsonError, TooLargeError
from ..types.ids import InvalidIdError, check_room_id, parse_user_id
from ..util.json import (
    JsonDict,
    JsonError,
    JsonValue,
    check_canonical_numbers,
    encode_canonical_json,
)
from .content import check_known_content
from .event import Event
from .room_versions import EventFormat, RoomVersion

MAX_PREV_EVENTS = 20
MAX_AUTH_EVENTS = 10

_MAX_TIMESTAMP = 2**63 - 1


def check_pdu_format(pdu: JsonValue, room_version: RoomVersion) -> bytes:
    """Check an event from another server against the event format of its room version.

    Answers its canonical JSON, so that `make_event` need not encode it again. Raises BadJsonError
    or TooLargeError, upon which the event is dropped.
    """
    if not isinstance(pdu, dict):
        raise BadJsonError("An event must be an object")
    if room_version.strict_canonical_json:
        _check_numbers(pdu)
    encoded = _encode(pdu)
    if len(encoded) > MAX_PDU_SIZE:
        raise TooLargeError(f"The event is larger than {MAX_PDU_SIZE} bytes")
    _check_text(pdu, "type")
    _check_text(pdu, "sender")
    _check_user_id(pdu["sender"])
    if "state_key" in pdu:
        _check_text(pdu, "state_key")
    _check_room_id(pdu, room_version)
    _check_integer(pdu, "depth", 0, room_version.max_depth)
    _check_integer(pdu, "origin_server_ts", -_MAX_TIMESTAMP, _MAX_TIMESTAMP)
    for key in ("content", "hashes"):
        if not isinstance(pdu.get(key), dict):
            raise BadJsonError(f"{key!r} must be an object")
    if not isinstance(pdu.get("unsigned", {}), dict):
        raise BadJsonError("'unsigned' must be an object")
    _check_signatures(pdu.get("signatures"))
    _check_references(pdu, "prev_events", MAX_PREV_EVENTS, room_version)
    _check_references(pdu, "auth_events", MAX_AUTH_EVENTS, room_version)
    if room_version.event_format is EventFormat.V1:
        _check_event_id(pdu)
    return encoded


def check_client_event(
    event_type: str, state_key: str | None, content: JsonValue, room_version: RoomVersion
) -> None:
    """Check what a local client wants to send, before the event is built.

    Stricter than for events of other servers: numbers must fit canonical JSON in every room
    version, and the content of the types that the server knows must have the right types. Raises
    BadJsonError or TooLargeError.
    """
    if not isinstance(content, dict):
        raise BadJsonError("The content of an event must be an object")
    fields = {"type": event_type}
    if state_key is not None:
        fields["state_key"] = state_key
    for key in fields:
        _check_text(fields, key)
    if not event_type:
        raise BadJsonError("The event type is empty")
    _check_numbers(content)
    if len(_encode(content)) > MAX_PDU_SIZE:
        raise TooLargeError(f"The event is larger than {MAX_PDU_SIZE} bytes")
    check_known_content(event_type, content, room_version)


def check_event_size(event: Event) -> None:
    """Raise TooLargeError if a finished event is over the size limit."""
    if len(event.pdu_json) > MAX_PDU_SIZE:
        raise TooLargeError(f"The event is larger than {MAX_PDU_SIZE} bytes")


def _encode(value: JsonDict) -> bytes:
    try:
        return encode_canonical_json(value)
    except (UnicodeEncodeError, RecursionError) as error:
        raise BadJsonError(f"The event cannot be put into canonical JSON: {error}") from error


def _check_numbers(value: JsonDict) -> None:
    try:
        check_canonical_numbers(value)
    except JsonError as error:
        raise BadJsonError(str(error)) from error


def _check_text(fields: JsonDict, key: str) -> None:
    """A string within the limit, and without null characters, which databases do not store."""
    value = fields.get(key)
    if not isinstance(value, str):
        raise BadJsonError(f"{key!r} must be a string")
    if len(value.encode("utf-8", "replace")) > MAX_ID_LENGTH:
        raise TooLargeError(f"{key!r} is longer than {MAX_ID_LENGTH} bytes")
    if "\0" in value:
        raise BadJsonError(f"{key!r} contains a null character")


def _check_identifier(check: Callable[[str], object], value: str) -> None:
    try:
        check(value)
    except InvalidIdError as error:
        raise BadJsonError(str(error)) from error


def _check_user_id(value: str) -> None:
    _check_identifier(parse_user_id, value)


def _check_room_id(pdu: JsonDict, room_version: RoomVersion) -> None:
    is_create = pdu["type"] == EventTypes.CREATE and pdu.get("state_key") == ""
    if is_create and room_version.room_id_from_create_event:
        if "room_id" in pdu:
            raise BadJsonError("The create event of this room version has no room_id")
        return
    _check_text(pdu, "room_id")
    _check_identifier(check_room_id, pdu["room_id"])


def _check_event_id(pdu: JsonDict) -> None:
    _check_text(pdu, "event_id")
    if not pdu["event_id"].startswith("$") or ":" not in pdu["event_id"]:
        raise BadJsonError("'event_id' must begin with '$' and name a server")


def _check_integer(pdu: JsonDict, key: str, lowest: int, highest: int) -> None:
    value = pdu.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadJsonError(f"{key!r} must be an integer")
    if not lowest <= value <= highest:
        raise BadJsonError(f"{key!r} is out of range")


def _check_signatures(signatures: JsonValue) -> None:
    valid = isinstance(signatures, dict) and all(
        isinstance(by_key, dict) and all(isinstance(value, str) for value in by_key.values())
        for by_key in signatures.values()
    )
    if not valid:
        raise BadJsonError("'signatures' must hold strings by server and key")


def _check_references(pdu: JsonDict, key: str, limit: int, room_version: RoomVersion) -> None:
    references = pdu.get(key)
    if not isinstance(references, list):
        raise BadJsonError(f"{key!r} must be a list")
    if len(references) > limit:
        raise BadJsonError(f"{key!r} has more than {limit} entries")
    is_valid = _is_pair if room_version.event_format is EventFormat.V1 else _is_event_id
    if not all(is_valid(reference) for reference in references):
        raise BadJsonError(f"{key!r} has an entry that does not name an event")


def _is_event_id(reference: JsonValue) -> bool:
    return (
        isinstance(reference, str)
        and reference.startswith("$")
        and len(reference.encode("utf-8", "replace")) <= MAX_ID_LENGTH
        and "\0" not in reference
    )


def _is_pair(reference: JsonValue) -> bool:
    return (
        isinstance(reference, list)
        and len(reference) == 2
        and _is_event_id(reference[0])
        and isinstance(reference[1], dict)
    )
