"""Summaries of rooms: what may be shown of a room to people who are not in it.

A summary is made anew only when the current state of its room has changed, so that looking at
rooms over and over costs no query.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import attrs

from ..api.constants import EventTypes, HistoryVisibility, JoinRules, Membership
from ..events.event import Event, StateKey
from ..events.room_versions import RoomVersion
from ..events.visibility import visibility_in
from ..server import Homeserver
from ..storage.current_state import CurrentStateWorkerStore
from ..storage.memberships import MembershipsWorkerStore, RoomOfUser
from ..streams import CURRENT_STATE_DELTAS
from ..util.caches.lru import LruCache
from ..util.caches.missing import Missing
from ..util.json import JsonDict
from .restricted_joins import allowed_rooms

KEYS: tuple[StateKey, ...] = tuple(
    (event_type, "")
    for event_type in (
        EventTypes.CREATE,
        EventTypes.NAME,
        EventTypes.TOPIC,
        EventTypes.AVATAR,
        EventTypes.CANONICAL_ALIAS,
        EventTypes.JOIN_RULES,
        EventTypes.HISTORY_VISIBILITY,
        EventTypes.GUEST_ACCESS,
        EventTypes.ENCRYPTION,
    )
)
"""The parts of the state that a summary is made of."""

SPACE = "m.space"

MAX_CHILDREN = 2_000
"""So many children of a space are looked at."""

_MAX_ORDER = 50
_SUMMARIES_KEPT = 20_000


def public_chunk(room_id: str, joined: int, state: Mapping[StateKey, Event]) -> JsonDict:
    """What lists of rooms tell of a room (PublishedRoomsChunk); `state` has the `KEYS`."""

    def text(event_type: str, field: str) -> str | None:
        event = state.get((event_type, ""))
        value = None if event is None else event.content.get(field)
        return value if isinstance(value, str) and value else None

    setting = state.get((EventTypes.HISTORY_VISIBILITY, ""))
    visibility = visibility_in(None if setting is None else setting.content)
    shown = {
        "name": text(EventTypes.NAME, "name"),
        "topic": plain_topic(state.get((EventTypes.TOPIC, ""))),
        "canonical_alias": text(EventTypes.CANONICAL_ALIAS, "alias"),
        "avatar_url": text(EventTypes.AVATAR, "url"),
        "room_type": text(EventTypes.CREATE, "type"),
    }
    return {
        "room_id": room_id,
        "num_joined_members": joined,
        "world_readable": visibility == HistoryVisibility.WORLD_READABLE,
        "guest_can_join": text(EventTypes.GUEST_ACCESS, "guest_access") == "can_join",
        "join_rule": text(EventTypes.JOIN_RULES, "join_rule") or JoinRules.INVITE,
        **{name: value for name, value in shown.items() if value is not None},
    }


def plain_topic(event: Event | None) -> str | None:
    """The topic in plain text, from whichever place has it (m.room.topic)."""
    if event is None:
        return None
    rich = event.content.get("m.topic")
    texts = rich.get("m.text") if isinstance(rich, dict) else None
    for candidate in texts if isinstance(texts, list) else ():
        if isinstance(candidate, dict) and candidate.get("mimetype", "text/plain") == "text/plain":
            body = candidate.get("body")
            if isinstance(body, str) and body:
                return body
    topic = event.content.get("topic")
    return topic if isinstance(topic, str) and topic else None


@attrs.frozen
class RoomSummary:
    """A summary. `content` is shared by all answers; `children` are those of a space, in order."""

    room_version: RoomVersion
    content: JsonDict
    allowed: tuple[str, ...]
    children: tuple[Event, ...]

    @property
    def is_open(self) -> bool:
        """Whether everybody may see that there is such a room."""
        rule = self.content["join_rule"]
        return (
            rule == JoinRules.PUBLIC
            or (rule == JoinRules.KNOCK and self.room_version.knock)
            or (rule == JoinRules.KNOCK_RESTRICTED and self.room_version.knock_restricted)
            or bool(self.content["world_readable"])
        )

    def is_shown_to(self, rooms: Mapping[str, RoomOfUser], *, knocked: bool = False) -> bool:
        """Whether a user may see it who is in these rooms; also for a knock, if `knocked`."""
        enough = [Membership.JOIN, Membership.INVITE, *([Membership.KNOCK] if knocked else ())]
        room = rooms.get(self.content["room_id"])
        if self.is_open or (room is not None and room.membership in enough):
            return True
        return any(
            allowed in rooms and rooms[allowed].membership == Membership.JOIN
            for allowed in self.allowed
        )


class RoomSummaries:
    """Makes summaries, in any process that knows the current state."""

    def __init__(self, hs: Homeserver) -> None:
        self._state = hs.part(CurrentStateWorkerStore)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._kept: LruCache[str, tuple[int, RoomSummary]] = LruCache(
            "room_summaries",
            max_entries=_SUMMARIES_KEPT,
            size_of=_weight,
            budget=self._state.caches.budget,
        )

    async def of_rooms(self, room_ids: Collection[str]) -> dict[str, RoomSummary]:
        """Summaries of rooms, a few statements for all of them; unknown rooms are left out."""
        position = self._state.current_token(CURRENT_STATE_DELTAS)
        changes = self._state.change_cache("current_state_changed")
        found: dict[str, RoomSummary] = {}
        stale = []
        for room_id in room_ids:
            kept = self._kept.get(room_id)
            if isinstance(kept, Missing) or changes.has_changed(room_id, kept[0]):
                stale.append(room_id)
            else:
                found[room_id] = kept[1]
        if stale:
            made = await self._make(stale)
            for room_id, summary in made.items():
                self._kept.set(room_id, (position, summary))
            found.update(made)
        return found

    async def _make(self, room_ids: Sequence[str]) -> dict[str, RoomSummary]:
        states = await self._state.get_current_state_for_rooms(room_ids, KEYS)
        known = {room_id: state for room_id, state in states.items() if KEYS[0] in state}
        counts = await self._memberships.get_joined_counts_for_rooms(known)
        spaces = [
            room_id
            for room_id, state in known.items()
            if state[KEYS[0]].content.get("type") == SPACE
        ]
        children = await self._state.get_current_state_of_type_for_rooms(
            spaces, EventTypes.SPACE_CHILD, MAX_CHILDREN
        )
        return {
            room_id: _summary(room_id, counts[room_id], state, children.get(room_id, ()))
            for room_id, state in known.items()
        }


def _summary(
    room_id: str, joined: int, state: Mapping[StateKey, Event], children: Collection[Event]
) -> RoomSummary:
    version = state[KEYS[0]].room_version
    content = public_chunk(room_id, joined, state)
    content["room_version"] = version.identifier
    encryption = state.get((EventTypes.ENCRYPTION, ""))
    algorithm = None if encryption is None else encryption.content.get("algorithm")
    if isinstance(algorithm, str):
        content["encryption"] = algorithm
    rule = content["join_rule"]
    allowed: tuple[str, ...] = ()
    if (rule == JoinRules.RESTRICTED and version.restricted_join) or (
        rule == JoinRules.KNOCK_RESTRICTED and version.knock_restricted
    ):
        allowed = tuple(allowed_rooms(state))
        content["allowed_room_ids"] = list(allowed)
    return RoomSummary(version, content, allowed, ordered_children(children))


def ordered_children(events: Collection[Event]) -> tuple[Event, ...]:
    """The children of a space that are in force, in order ("Ordering of children ...")."""
    linked = [event for event in events if isinstance(event.content.get("via"), list)]
    return tuple(sorted(linked, key=_child_order))


def _child_order(event: Event) -> tuple[bool, str, int, str]:
    order = event.content.get("order")
    if (
        not isinstance(order, str)
        or len(order) > _MAX_ORDER
        or not all("\x20" <= character <= "\x7e" for character in order)
    ):
        return True, "", event.origin_server_ts, event.state_key or ""
    return False, order, event.origin_server_ts, event.state_key or ""


def _weight(kept: tuple[int, RoomSummary]) -> int:
    return 1_500 + 1_000 * len(kept[1].children)
