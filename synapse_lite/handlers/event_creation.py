"""Events of this server's users: built, checked and signed here, persisted by the master."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import attrs

from ..api.constants import EventTypes
from ..api.errors import (
    BadJsonError,
    DuplicateAnnotationError,
    ForbiddenError,
    LimitExceededError,
    NotFoundError,
)
from ..events.auth import (
    auth_types_for_event,
    check_state_dependent_auth,
    check_state_independent_auth,
)
from ..events.builder import build_event
from ..events.context import EventContext
from ..events.event import Event, EventMetadata, StateKey
from ..events.room_versions import RoomVersion
from ..events.validation import check_client_event, check_event_size
from ..replication.send_event import EventSink, NewEvent, SameEventError
from ..server import Homeserver
from ..storage.events import EventsWorkerStore
from ..storage.rooms import RoomsWorkerStore
from ..types.requester import Requester
from ..util.async_helpers import Linearizer
from ..util.caches.expiring import ExpiringCache
from ..util.caches.missing import Missing
from ..util.caches.response import ResponseCache
from ..util.json import JsonDict, encode_canonical_json
from ..util.random import random_string_secure
from .canonical_alias import CanonicalAliasPolicy
from .event_basis import EventBasis, EventBasisReader
from .redaction_policy import RedactionPolicy
from .relation_policy import RelationPolicy
from .store_progress import EventsProgress
from .suspension import check_event_of_suspended

MAX_AT_ONCE = 5
"""Events of one room that a process makes at a time: each of them forks the room."""

MAX_ATTEMPTS = 5
"""So often an event is made anew because another process has made the same one."""

_RETRY_AFTER_MS = 1_000

_RESPONSES_KEPT_MS = 2 * 60 * 1000
"""As long as clients go on asking again; later the database knows."""

_RESPONSES_KEPT = 10_000

_TIMESTAMPS_KEPT_MS = 10_000
_TIMESTAMPS_KEPT = 10_000

_CREATE: StateKey = (EventTypes.CREATE, "")


@attrs.frozen
class _Draft:
    """What somebody wants to send."""

    requester: Requester
    room_id: str
    room_version: RoomVersion
    type: str
    content: JsonDict
    state_key: str | None
    redacts: str | None
    txn_id: str | None
    origin_server_ts: int | None

    @property
    def txn_key(self) -> str | None:
        """The transaction id within the room: that of a redaction is of another endpoint."""
        if self.txn_id is None or self.redacts is None:
            return self.txn_id
        return f"redact/{self.txn_id}"

    @property
    def auth_keys(self) -> set[StateKey]:
        """Keys of the events that authorise it."""
        return auth_types_for_event(
            self.room_version, self.type, self.requester.user_id, self.state_key, self.content
        )

    @property
    def state_keys(self) -> Collection[StateKey]:
        """Keys of all that is needed of the state before it."""
        keys = {*self.auth_keys, _CREATE}
        if self.state_key is not None:
            keys.add((self.type, self.state_key))
        elif self.type == EventTypes.REDACTION:
            keys.add((EventTypes.POWER_LEVELS, ""))
        return keys


class EventCreationHandler:
    """Creates events in rooms that exist, in any process that has an EventSink."""

    def __init__(self, hs: Homeserver) -> None:
        self._sink = hs.part(EventSink)
        self._store = hs.part(EventsWorkerStore)
        self._rooms = hs.part(RoomsWorkerStore)
        self._bases = hs.part(EventBasisReader)
        self._aliases = hs.part(CanonicalAliasPolicy)
        self._relations = hs.part(RelationPolicy)
        self._redactions = hs.part(RedactionPolicy)
        self._progress = hs.part(EventsProgress)
        self._clock = hs.clock
        self._server_name = hs.name
        self._signing_key = hs.signing_key
        self._last_timestamps: ExpiringCache[tuple[str, str], int] = ExpiringCache(
            hs.clock,
            "event_timestamps",
            _TIMESTAMPS_KEPT_MS,
            _TIMESTAMPS_KEPT,
            budget=self._store.caches.budget,
        )
        self._being_made = Linearizer("event_creation", MAX_AT_ONCE, hs.clock)
        self._responses: ResponseCache[tuple[str | None, ...], str] = ResponseCache(
            hs.clock,
            "event_transactions",
            _RESPONSES_KEPT_MS,
            max_entries=_RESPONSES_KEPT,
            budget=self._store.caches.budget,
        )

    async def create_and_send(
        self,
        requester: Requester,
        room_id: str,
        event_type: str,
        content: JsonDict,
        *,
        state_key: str | None = None,
        redacts: str | None = None,
        txn_id: str | None = None,
        ratelimit: bool = True,
        origin_server_ts: int | None = None,
    ) -> str:
        """Send an event, and return its id once it is stored.

        A repetition under the same `txn_id` returns the id of the first event, from whichever
        process; so does state that is set to what the same user has set it to already.
        `origin_server_ts` is in ms, now unless given.

        Raises ForbiddenError, BadJsonError, TooLargeError, LimitExceededError; BadAliasError and
        InvalidParamError for aliases; NotFoundError for a redaction of nothing;
        DuplicateAnnotationError; UnknownError for a thread within a thread.
        """
        draft = await self._draft(
            requester,
            room_id,
            event_type,
            content,
            state_key=state_key,
            redacts=redacts,
            txn_id=txn_id,
            origin_server_ts=origin_server_ts,
        )
        if draft.txn_key is None:
            return await self._send(draft, ratelimit=ratelimit)
        key = (requester.user_id, requester.device_id, room_id, draft.txn_key)
        return await self._responses.get(key, lambda: self._send(draft, ratelimit=ratelimit))

    async def create_event(
        self,
        requester: Requester,
        room_id: str,
        event_type: str,
        content: JsonDict,
        *,
        state_key: str | None = None,
        redacts: str | None = None,
        txn_id: str | None = None,
        origin_server_ts: int | None = None,
    ) -> tuple[Event, EventContext]:
        """An event that may be sent now, and the state before it. Raises as `create_and_send`."""
        draft = await self._draft(
            requester,
            room_id,
            event_type,
            content,
            state_key=state_key,
            redacts=redacts,
            txn_id=txn_id,
            origin_server_ts=origin_server_ts,
        )
        basis = await self._basis_of(draft)
        return await self._create(draft, basis), basis.context

    async def room_version(self, room_id: str) -> RoomVersion:
        """The version of a room. Raises ForbiddenError for one that is not known here."""
        try:
            return await self._rooms.get_room_version(room_id)
        except NotFoundError:
            raise ForbiddenError("You are not in this room") from None

    async def _draft(
        self, requester: Requester, room_id: str, event_type: str, content: JsonDict, **more: Any
    ) -> _Draft:
        check_event_of_suspended(requester, event_type, more["state_key"], content)
        version = await self.room_version(room_id)
        return _Draft(requester, room_id, version, event_type, content, **more)

    # Sending

    async def _send(self, draft: _Draft, *, ratelimit: bool) -> str:
        async with self._being_made.queue(draft.room_id):
            try:
                return await self._send_distinct(draft, ratelimit=ratelimit)
            except (ForbiddenError, DuplicateAnnotationError):
                # Perhaps a retry, and the sender has lost the right to it meanwhile.
                first = await self._first_event_id(draft)
                if first is None:
                    raise
                return first

    async def _send_distinct(self, draft: _Draft, *, ratelimit: bool) -> str:
        """Send; if another process makes the same event at the same time, make another one.

        That one is later, or follows the first, so its id is another.
        """
        for _ in range(MAX_ATTEMPTS):
            try:
                return await self._send_now(draft, ratelimit=ratelimit)
            except SameEventError as error:
                ratelimit = False  # it has been counted
                await self._progress.reached(error.stream_ordering)
        raise LimitExceededError(
            "Too many equal events are sent at once", retry_after_ms=_RETRY_AFTER_MS
        )

    async def _send_now(self, draft: _Draft, *, ratelimit: bool) -> str:
        made = await self._make_surely(draft)
        if isinstance(made, str):
            return made
        event, context = made
        persisted = await self._sink.persist(
            event, context, draft.requester, ratelimit=ratelimit, txn_id=draft.txn_key
        )
        await self._progress.reached(persisted.stream_ordering)
        return persisted.event_id

    async def _make_surely(self, draft: _Draft) -> NewEvent | str:
        """`_make`, but a process that is behind neither changes state nor refuses anything.

        What was done just before may have gone through another process. A change of state built
        beside it might lose against it, and a message be refused to somebody who has joined.
        """
        if draft.state_key is not None:
            await self._progress.catch_up()
            return await self._make(draft)
        try:
            return await self._make(draft)
        except (ForbiddenError, DuplicateAnnotationError):
            if not await self._progress.catch_up():
                raise
        return await self._make(draft)

    async def _make(self, draft: _Draft) -> NewEvent | str:
        """The event with the state before it, or the id of one that says the same already."""
        basis = await self._basis_of(draft)
        unchanged = _unchanged_state(draft, basis)
        if unchanged is not None:
            return unchanged
        return await self._create(draft, basis), basis.context

    async def _first_event_id(self, draft: _Draft) -> str | None:
        if draft.txn_key is None:
            return None
        requester = draft.requester
        return await self._store.get_event_id_for_txn(
            requester.user_id, requester.device_id, draft.room_id, draft.txn_key
        )

    # Building

    async def _basis_of(self, draft: _Draft) -> EventBasis:
        """Check the form of the draft, and find what it is built upon."""
        sets_alias = draft.type == EventTypes.CANONICAL_ALIAS and draft.state_key == ""
        if sets_alias:
            self._aliases.check_syntax(draft.content)
        if draft.type == EventTypes.REDACTION and draft.state_key is not None:
            raise BadJsonError("A redaction is not a state event")
        check_client_event(draft.type, draft.state_key, draft.content, draft.room_version)
        basis = await self._bases.basis_of(draft.room_id, draft.room_version, draft.state_keys)
        if sets_alias:
            previous = basis.state.get((EventTypes.CANONICAL_ALIAS, ""))
            await self._aliases.check(draft.room_id, draft.content, previous)
        if draft.state_key is None:
            await self._relations.check(
                draft.requester.user_id, draft.room_id, draft.type, draft.content
            )
        return basis

    async def _create(self, draft: _Draft, basis: EventBasis) -> Event:
        """The signed event. Raises ForbiddenError if the rules do not allow it."""
        state = basis.state
        auth_events = [state[key] for key in sorted(draft.auth_keys) if key in state]
        event = build_event(
            room_version=draft.room_version,
            room_id=draft.room_id,
            sender=draft.requester.user_id,
            type=draft.type,
            content=draft.content,
            state_key=draft.state_key,
            redacts=draft.redacts,
            prev_events=basis.prev_events,
            auth_events=auth_events,
            depth=basis.depth,
            origin_server_ts=self._timestamp_of(draft),
            server_name=self._server_name,
            signing_key=self._signing_key,
            event_id_localpart="" if draft.room_version.event_id_is_hash else new_event_localpart(),
            metadata=EventMetadata(txn_id=draft.txn_id, device_id=draft.requester.device_id),
        )
        check_event_size(event)
        create_event = state.get(_CREATE) if draft.room_version.room_id_from_create_event else None
        check_state_independent_auth(event, auth_events, create_event=create_event)
        check_state_dependent_auth(event, state)
        await self._redactions.check(event, state)
        return event

    def _timestamp_of(self, draft: _Draft) -> int:
        """When the event is made, in ms; later than the sender's last event in the room.

        Ids are hashes, so the same words, sent twice in one moment, would be one event.
        """
        if draft.origin_server_ts is not None:
            return draft.origin_server_ts
        key = (draft.room_id, draft.requester.user_id)
        last = self._last_timestamps.get(key)
        timestamp = self._clock.time_ms()
        if not isinstance(last, Missing):
            timestamp = max(timestamp, last + 1)
        self._last_timestamps.set(key, timestamp)
        return timestamp


def new_event_localpart() -> str:
    """The part of an event id before the server's name, in room versions 1 and 2."""
    return random_string_secure(18)


def _unchanged_state(draft: _Draft, basis: EventBasis) -> str | None:
    """The state event that says the same already, if the sender is the same."""
    if draft.state_key is None:
        return None
    current = basis.state.get((draft.type, draft.state_key))
    if current is None or current.sender != draft.requester.user_id:
        return None
    # As JSON: in Python, true equals 1.
    same = encode_canonical_json(current.content) == encode_canonical_json(draft.content)
    return current.event_id if same else None
