"""Events in the form that clients get, as ready bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ..api.constants import RelationTypes
from ..events.bundle import Bundle
from ..events.event import Event
from ..server import Homeserver
from ..storage.events import EventsWorkerStore
from ..types.requester import Requester
from ..util.json import JsonDict
from .visibility import EventVisibility


class EventFormatter:
    """Joins the bytes of events, encoded once, with the `unsigned` of each reader.

    Client-server API, "Room event format" and "UnsignedData".
    """

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(EventsWorkerStore)
        self._visibility = hs.part(EventVisibility)
        self._clock = hs.clock

    async def to_client(
        self,
        events: Sequence[Event],
        requester: Requester | None,
        *,
        with_room_id: bool = True,
        memberships: Mapping[str, str] | None = None,
        with_previous: bool = True,
        bundles: Mapping[str, Bundle] | None = None,
    ) -> list[msgspec.Raw]:
        """The client form of each event, for this reader.

        `memberships` are the reader's at the events, from `EventVisibility.memberships_at`;
        `bundles` tell of relations, from `RelationBundles.of_events`. Without `with_previous` state
        events do not quote the content that they replaced, which costs another look at their
        history.
        """
        related = await self._related(events, requester, with_previous=with_previous)
        now = self._clock.time_ms()
        known = memberships or {}
        answers = []
        for event in events:
            unsigned = self._unsigned(event, related, now, with_room_id=with_room_id)
            if event.event_id in known:
                unsigned["membership"] = known[event.event_id]
            if is_echo(event, requester):
                unsigned["transaction_id"] = event.metadata.txn_id
            if bundles and event.event_id in bundles:
                unsigned["m.relations"] = _relations(
                    bundles[event.event_id], now, with_room_id=with_room_id
                )
            answers.append(msgspec.Raw(event.client_bytes(unsigned, with_room_id=with_room_id)))
        return answers

    async def to_client_one(
        self,
        event: Event,
        requester: Requester | None,
        *,
        memberships: Mapping[str, str] | None = None,
        bundles: Mapping[str, Bundle] | None = None,
    ) -> msgspec.Raw:
        """The client form of one event, with its room id."""
        shown = await self.to_client([event], requester, memberships=memberships, bundles=bundles)
        return shown[0]

    async def _related(
        self, events: Iterable[Event], requester: Requester | None, *, with_previous: bool
    ) -> Mapping[str, Event]:
        """Events that `unsigned` of these quotes.

        They are redactions, and the state that was replaced as far as the reader may see it; an
        application service (no requester) may see it all.
        """
        redactions = [event.metadata.redacted_by for event in events if event.metadata.redacted_by]
        replaced = []
        if with_previous:
            replaced = [
                event.metadata.replaces_state for event in events if event.metadata.replaces_state
            ]
        if not redactions and not replaced:
            return {}
        found = await self._store.get_events([*redactions, *replaced])
        if requester is None or not replaced:
            return found
        old = [found[event_id] for event_id in dict.fromkeys(replaced) if event_id in found]
        seen = await self._visibility.memberships_at(requester.user_id, old)
        wanted = seen.keys() | redactions
        return {event_id: event for event_id, event in found.items() if event_id in wanted}

    @staticmethod
    def _unsigned(
        event: Event, related: Mapping[str, Event], now: int, *, with_room_id: bool
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
                unsigned["redacted_because"] = redaction.client_dict(
                    None, with_room_id=with_room_id
                )
        return unsigned


def _relations(bundle: Bundle, now: int, *, with_room_id: bool) -> JsonDict:
    """`m.relations` of an event; see the modules on replacements, threads and references."""
    relations: JsonDict = {}
    if bundle.edit is not None:
        relations[RelationTypes.REPLACE] = _quote(bundle.edit, None, now, with_room_id=with_room_id)
    if bundle.references:
        relations[RelationTypes.REFERENCE] = {
            "chunk": [{"event_id": event_id} for event_id in bundle.references]
        }
    thread = bundle.thread
    if thread is not None:
        relations[RelationTypes.THREAD] = {
            "latest_event": _quote(thread.newest, thread.inner, now, with_room_id=with_room_id),
            "count": thread.events,
            "current_user_participated": thread.participates,
        }
    return relations


def _quote(event: Event, bundle: Bundle | None, now: int, *, with_room_id: bool) -> msgspec.Raw:
    """An event within a bundle."""
    unsigned: JsonDict = {"age": max(0, now - event.origin_server_ts)}
    if bundle is not None:
        unsigned["m.relations"] = _relations(bundle, now, with_room_id=with_room_id)
    return msgspec.Raw(event.client_bytes(unsigned, with_room_id=with_room_id))


def is_echo(event: Event, requester: Requester | None) -> bool:
    """Whether the reader's own device sent the event under a transaction id, which it gets back."""
    return (
        requester is not None
        and event.metadata.txn_id is not None
        and event.sender == requester.user_id
        and event.metadata.device_id == requester.device_id
    )
