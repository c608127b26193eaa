"""Events in the form that clients get, as ready bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ..events.event import Event
from ..server import Homeserver
from ..storage.events import EventsWorkerStore
from ..types.requester import Requester
from ..util.json import JsonDict


class EventFormatter:
    """Joins the bytes of events, encoded once, with the `unsigned` of each reader.

    Client-server API, "Room event format" and "UnsignedData".
    """

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(EventsWorkerStore)
        self._clock = hs.clock

    async def to_client(
        self, events: Sequence[Event], requester: Requester | None, *, with_room_id: bool = True
    ) -> list[msgspec.Raw]:
        """The client form of each event, for this reader."""
        related = await self._related(events)
        now = self._clock.time_ms()
        return [
            msgspec.Raw(
                event.client_bytes(
                    self._unsigned(event, related, requester, now), with_room_id=with_room_id
                )
            )
            for event in events
        ]

    async def to_client_one(self, event: Event, requester: Requester | None) -> msgspec.Raw:
        """The client form of one event, with its room id."""
        return (await self.to_client([event], requester))[0]

    async def _related(self, events: Iterable[Event]) -> Mapping[str, Event]:
        """Events that `unsigned` of these quotes: redactions, and the state they replaced."""
        wanted = set()
        for event in events:
            if event.metadata.redacted_by is not None:
                wanted.add(event.metadata.redacted_by)
            if event.metadata.replaces_state is not None:
                wanted.add(event.metadata.replaces_state)
        return await self._store.get_events(wanted) if wanted else {}

    def _unsigned(
        self, event: Event, related: Mapping[str, Event], requester: Requester | None, now: int
    ) -> JsonDict:
        metadata = event.metadata
        unsigned: JsonDict = {"age": max(0, now - event.origin_server_ts)}
        if metadata.replaces_state is not None:
            unsigned["replaces_state"] = metadata.replaces_state
            replaced = related.get(metadata.replaces_state)
            if replaced is not None:
                unsigned["prev_content"] = replaced.content
                unsigned["prev_sender"] = replaced.sender
        if metadata.redacted_by is not None:
            unsigned["redacted_by"] = metadata.redacted_by
            redaction = related.get(metadata.redacted_by)
            if redaction is not None:
                unsigned["redacted_because"] = redaction.client_dict(None, with_room_id=True)
        if is_echo(event, requester):
            unsigned["transaction_id"] = metadata.txn_id
        return unsigned


def is_echo(event: Event, requester: Requester | None) -> bool:
    """Whether the reader's own device sent the event under a transaction id, which it gets back."""
    return (
        requester is not None
        and event.metadata.txn_id is not None
        and event.sender == requester.user_id
        and event.metadata.device_id == requester.device_id
    )
