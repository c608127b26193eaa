"""Filters of clients, checked and compiled (client-server API, "Filtering").

/sync takes a whole `Filter`; /messages and /context take the `EventFilter` of one part.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import attrs

from ..api.errors import BadJsonError, InvalidParamError
from ..events.event import Event
from ..storage.timeline import EventTypeFilter
from ..types.ids import InvalidIdError, check_room_id, is_user_id
from ..util.json import JsonDict, JsonValue, encode_canonical_json
from .event_form import WHOLE, EventForm, property_paths

MAX_ITEMS = 1000
"""Most entries of one list in a filter."""

MAX_FILTER_BYTES = 64 * 1024
"""Largest filter, in canonical JSON."""

_MAX_TYPE_LENGTH = 255
_MAX_LIMIT = 1_000_000


class TypePatterns:
    """Event types, in which `*` stands for any characters. Matches in linear time."""

    __slots__ = ("_exact", "_globs", "patterns")

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        self._exact = frozenset(pattern for pattern in self.patterns if "*" not in pattern)
        self._globs = tuple(pattern.split("*") for pattern in self.patterns if "*" in pattern)

    def match(self, event_type: str) -> bool:
        """Whether one of the patterns stands for the type."""
        return event_type in self._exact or any(_glob(parts, event_type) for parts in self._globs)


def _glob(parts: list[str], text: str) -> bool:
    """Whether the text is the parts in their order with anything between them."""
    first, *middle, last = parts
    if not text.startswith(first):
        return False
    start, end = len(first), len(text) - len(last)
    if end < start or not text.endswith(last):
        return False
    for part in middle:
        found = text.find(part, start, end)
        if found < 0:
            return False
        start = found + len(part)
    return True


@attrs.frozen(eq=False)
class EventFilter:
    """Which events of one part of an answer the client wants; None where it does not care.

    `key` is the same for filters that say the same. `limit` is what the client asked for. What an
    event is related to by others is asked for where history is read, not where events are new.
    """

    key: bytes = b"{}"
    limit: int | None = None
    types: TypePatterns | None = None
    not_types: TypePatterns | None = None
    senders: frozenset[str] | None = None
    not_senders: frozenset[str] = frozenset()
    rooms: frozenset[str] | None = None
    not_rooms: frozenset[str] = frozenset()
    contains_url: bool | None = None
    lazy_load_members: bool = False
    include_redundant_members: bool = False
    related_by_senders: frozenset[str] | None = None
    related_by_rel_types: frozenset[str] | None = None
    unread_thread_notifications: bool = False
    is_selective: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        chooses = (
            self.types is not None
            or self.not_types is not None
            or self.senders is not None
            or bool(self.not_senders)
            or self.contains_url is not None
        )
        # Whether any event may be left out because of what it is.
        object.__setattr__(self, "is_selective", chooses)

    def wants_room(self, room_id: str) -> bool:
        """Whether the client wants anything of the room in this part."""
        if room_id in self.not_rooms:
            return False
        return self.rooms is None or room_id in self.rooms

    def wants(self, event_type: str, sender: str | None = None) -> bool:
        """Whether the client wants something of this type, from this sender if it has one."""
        if self.types is not None and not self.types.match(event_type):
            return False
        if self.not_types is not None and self.not_types.match(event_type):
            return False
        if sender is None:
            return True
        if sender in self.not_senders:
            return False
        return self.senders is None or sender in self.senders

    def wants_event(self, event: Event) -> bool:
        """Whether the client wants an event of a room that it wants."""
        if not self.is_selective:
            return True
        if not self.wants(event.type, event.sender):
            return False
        if self.contains_url is None:
            return True
        return isinstance(event.content.get("url"), str) == self.contains_url

    def select(self, events: Iterable[Event]) -> list[Event]:
        """Those of some events that the client wants, in their order."""
        if not self.is_selective:
            return list(events)
        return [event for event in events if self.wants_event(event)]

    def to_storage(self) -> EventTypeFilter:
        """The same conditions for queries."""
        return EventTypeFilter(
            types=None if self.types is None else self.types.patterns,
            not_types=() if self.not_types is None else self.not_types.patterns,
            senders=self.senders,
            not_senders=self.not_senders,
            contains_url=self.contains_url,
            related_by_senders=self.related_by_senders,
            related_by_rel_types=self.related_by_rel_types,
        )


EVERYTHING = EventFilter()
"""The filter of a client that has none."""


@attrs.frozen(eq=False)
class Filter:
    """A filter for /sync.

    `key` is the same for filters that say the same; `form` is how events are to be shown.
    """

    key: bytes = b"{}"
    rooms: EventFilter = EVERYTHING
    include_leave: bool = False
    timeline: EventFilter = EVERYTHING
    state: EventFilter = EVERYTHING
    ephemeral: EventFilter = EVERYTHING
    room_account_data: EventFilter = EVERYTHING
    account_data: EventFilter = EVERYTHING
    presence: EventFilter = EVERYTHING
    form: EventForm = WHOLE

    @property
    def lazy_load_members(self) -> bool:
        """Whether only those members are wanted who are needed to show the timeline."""
        return self.state.lazy_load_members

    def wants_room(self, room_id: str) -> bool:
        """Whether the client wants anything of a room."""
        return self.rooms.wants_room(room_id)


DEFAULT_FILTER = Filter()
"""The filter of a client that names none."""


def compile_filter(definition: JsonValue) -> Filter:
    """The filter that a definition describes.

    Raises BadJsonError where its form is wrong, InvalidParamError where a value is not allowed.
    """
    body = _object(definition, "filter")
    key = encode_canonical_json(body)
    if len(key) > MAX_FILTER_BYTES:
        raise InvalidParamError(f"A filter must not be larger than {MAX_FILTER_BYTES} bytes")
    room = _object(body.get("room"), "room")
    event_format = body.get("event_format") or "client"
    if event_format not in ("client", "federation"):
        raise InvalidParamError("event_format must be client or federation")
    fields = _strings(body, "event_fields", lambda value: True, "event field")
    return Filter(
        key=key,
        rooms=EventFilter(
            rooms=_set(room, "rooms", _is_room_id, "room id"),
            not_rooms=_set(room, "not_rooms", _is_room_id, "room id") or frozenset(),
        ),
        include_leave=_flag(room, "include_leave"),
        timeline=compile_event_filter(room.get("timeline"), "timeline"),
        state=compile_event_filter(room.get("state"), "state"),
        ephemeral=compile_event_filter(room.get("ephemeral"), "ephemeral"),
        room_account_data=compile_event_filter(room.get("account_data"), "account_data"),
        account_data=compile_event_filter(body.get("account_data"), "account_data"),
        presence=compile_event_filter(body.get("presence"), "presence"),
        form=EventForm(
            federation=event_format == "federation",
            fields=None if fields is None else property_paths(fields),
        ),
    )


def compile_event_filter(definition: JsonValue, name: str = "filter") -> EventFilter:
    """The filter that one part of a definition, or the parameter of /messages, describes.

    None means everything. Raises as `compile_filter`.
    """
    body = _object(definition, name)
    if not body:
        return EVERYTHING
    types = _strings(body, "types", _is_type, "event type")
    not_types = _strings(body, "not_types", _is_type, "event type")
    contains_url = body.get("contains_url")
    if contains_url is not None and not isinstance(contains_url, bool):
        raise BadJsonError("contains_url must be true or false")
    return EventFilter(
        key=encode_canonical_json(body),
        limit=_limit(body),
        types=None if types is None else TypePatterns(types),
        not_types=TypePatterns(not_types) if not_types else None,
        senders=_set(body, "senders", is_user_id, "user id"),
        not_senders=_set(body, "not_senders", is_user_id, "user id") or frozenset(),
        rooms=_set(body, "rooms", _is_room_id, "room id"),
        not_rooms=_set(body, "not_rooms", _is_room_id, "room id") or frozenset(),
        contains_url=contains_url,
        lazy_load_members=_flag(body, "lazy_load_members"),
        include_redundant_members=_flag(body, "include_redundant_members"),
        related_by_senders=_set(body, "related_by_senders", is_user_id, "user id"),
        related_by_rel_types=_set(body, "related_by_rel_types", _is_type, "relation type"),
        unread_thread_notifications=_flag(body, "unread_thread_notifications"),
    )


def _object(value: JsonValue, name: str) -> JsonDict:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadJsonError(f"{name} must be an object")
    return value


def _flag(body: JsonDict, name: str) -> bool:
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise BadJsonError(f"{name} must be true or false")
    return value


def _limit(body: JsonDict) -> int | None:
    """The limit. 0 is taken although the specification asks for more: clients send it."""
    value = body.get("limit")
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadJsonError("limit must be an integer")
    if value < 0:
        raise InvalidParamError("limit must not be negative")
    return min(value, _MAX_LIMIT)


def _strings(
    body: JsonDict, name: str, is_valid: Callable[[str], bool], kind: str
) -> Collection[str] | None:
    values = body.get(name)
    if values is None:
        return None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise BadJsonError(f"{name} must be a list of strings")
    if len(values) > MAX_ITEMS:
        raise InvalidParamError(f"{name} must not have more than {MAX_ITEMS} items")
    for value in values:
        if not is_valid(value):
            raise InvalidParamError(f"{name} holds something that is no {kind}")
    return values


def _set(
    body: JsonDict, name: str, is_valid: Callable[[str], bool], kind: str
) -> frozenset[str] | None:
    values = _strings(body, name, is_valid, kind)
    return None if values is None else frozenset(values)


def _is_type(value: str) -> bool:
    return len(value) <= _MAX_TYPE_LENGTH and "\0" not in value


def _is_room_id(value: str) -> bool:
    try:
        check_room_id(value)
    except InvalidIdError:
        return False
    return True
