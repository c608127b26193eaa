"""Parts of answers as bytes, made once for all clients that are shown the same events.

A piece is found by what it shows, so whoever may see the same shares it, whatever the filter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import msgspec

from ..events.bundle import Bundle
from ..events.event import Event
from ..server import Homeserver
from ..storage.events import EventsWorkerStore
from ..streams import BACKFILL, EVENTS, Stream
from ..types.requester import Requester
from ..util.async_helpers import SharedCall
from ..util.caches.lru import LruCache
from ..util.caches.missing import Missing
from ..util.json import encode_json
from .event_form import EventForm
from .request import Formatter

_CACHE_BYTES = 48 * 1024 * 1024
_MAX_AGE_MS = 10_000
_MAX_REDACTED_ROOMS = 10_000

_Key = tuple[Any, ...]


@attrs.frozen
class Timeline:
    """What a client is shown of a room, before it is bytes.

    `state` are the state events for its start, without those that only some readers need;
    `bundles` what is told of relations of the events.
    """

    room_id: str
    events: tuple[Event, ...]
    limited: bool
    prev_batch: str
    state: tuple[Event, ...] = ()
    bundles: Mapping[str, Bundle] = attrs.field(factory=dict)


@attrs.frozen(eq=False)
class Piece:
    """Bytes of a `Timeline`. `items` are its events one by one; `state` is joined by commas."""

    timeline: msgspec.Raw
    items: tuple[msgspec.Raw, ...]
    state: bytes
    made_ms: int

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        return 500 + 2 * len(bytes(self.timeline)) + len(self.state) + 100 * len(self.items)


class Pieces:
    """Makes pieces and keeps them for a few seconds."""

    def __init__(self, hs: Homeserver, formatter: Formatter) -> None:
        self._clock = hs.clock
        self._formatter = formatter
        self._store = hs.part(EventsWorkerStore)
        self._store.follow(self._rows)
        self._kept: LruCache[_Key, Piece] = LruCache(
            "sync_pieces",
            max_bytes=_CACHE_BYTES,
            size_of=lambda piece: piece.size_bytes,
            budget=self._store.caches.budget,
        )
        self._made: deque[tuple[int, _Key]] = deque()
        self._making: SharedCall[_Key, Piece] = SharedCall()
        # What was made before a redaction is found no more.
        self._redactions: dict[str, int] = {}

    def _rows(self, stream: Stream, token: int, rows: Sequence[Any]) -> None:
        if stream is not EVENTS and stream is not BACKFILL:
            return
        for row in rows:
            if row.redacts is None:
                continue
            if len(self._redactions) >= _MAX_REDACTED_ROOMS:
                self._redactions.clear()
                self._kept.clear()
            self._redactions[row.room_id] = token

    async def get(self, shown: Timeline, form: EventForm) -> Piece:
        """The bytes of a timeline, as they are for every reader."""
        key = (
            shown.room_id,
            self._redactions.get(shown.room_id),
            tuple([event.event_id for event in shown.events]),
            tuple([event.event_id for event in shown.state]),
            shown.limited,
            shown.prev_batch,
            tuple([(event_id, bundle.key) for event_id, bundle in shown.bundles.items()]),
            form,
        )
        piece = self._kept.get(key)
        # `age` in the events counts from when they were made.
        if not isinstance(piece, Missing) and self._clock.time_ms() - piece.made_ms < _MAX_AGE_MS:
            return piece
        return await self._making.get(key, lambda: self._make(key, shown, form))

    async def _make(self, key: _Key, shown: Timeline, form: EventForm) -> Piece:
        bundles = {event_id: each.for_everybody for event_id, each in shown.bundles.items()}
        items = await self.format(shown.events, None, form, bundles)
        state = await self.format(shown.state, None, form)
        piece = Piece(
            timeline=timeline_bytes(items, shown),
            items=tuple(items),
            state=b",".join(map(bytes, state)),
            made_ms=self._clock.time_ms(),
        )
        self._drop_old(piece.made_ms)
        self._made.append((piece.made_ms, key))
        self._kept.set(key, piece)
        return piece

    def _drop_old(self, now_ms: int) -> None:
        """Keep nothing for longer than it is used: a piece is of use for seconds only."""
        while self._made and now_ms - self._made[0][0] >= _MAX_AGE_MS:
            made_ms, key = self._made.popleft()
            piece = self._kept.peek(key)
            if not isinstance(piece, Missing) and piece.made_ms <= made_ms:
                self._kept.pop(key)

    async def format(
        self,
        events: Sequence[Event],
        requester: Requester | None,
        form: EventForm,
        bundles: Mapping[str, Bundle] | None = None,
    ) -> list[msgspec.Raw]:
        """Events as bytes for one reader, or for all."""
        if not events:
            return []
        if form.federation:
            items = [msgspec.Raw(event.pdu_json) for event in events]
        else:
            items = await self._formatter.to_client(
                events, requester, with_room_id=False, bundles=bundles
            )
        return items if form.fields is None else [form.reduced(item) for item in items]

    async def timeline_for(
        self, requester: Requester, shown: Timeline, piece: Piece, form: EventForm
    ) -> msgspec.Raw:
        """The timeline of a piece, as it is for the requester.

        What the own device sent has its transaction id, and threads tell whether the user takes
        part in them.
        """
        own = [event for event in shown.events if _is_of_reader(event, shown, requester)]
        if not own or form.federation:
            return piece.timeline
        made = await self.format(own, requester, form, shown.bundles)
        by_id = dict(zip([event.event_id for event in own], made, strict=True))
        items = [
            by_id.get(event.event_id, item)
            for event, item in zip(shown.events, piece.items, strict=True)
        ]
        return timeline_bytes(items, shown)


def timeline_bytes(items: Sequence[msgspec.Raw], shown: Timeline) -> msgspec.Raw:
    """The `timeline` of a room."""
    return msgspec.Raw(
        encode_json({"events": items, "limited": shown.limited, "prev_batch": shown.prev_batch})
    )


def _is_of_reader(event: Event, shown: Timeline, requester: Requester) -> bool:
    """Whether the requester's bytes of the event are not those of everybody."""
    bundle = shown.bundles.get(event.event_id)
    return (bundle is not None and bundle.participates) or _is_echo(event, requester)


def _is_echo(event: Event, requester: Requester) -> bool:
    return (
        event.metadata.txn_id is not None
        and event.sender == requester.user_id
        and event.metadata.device_id == requester.device_id
    )
