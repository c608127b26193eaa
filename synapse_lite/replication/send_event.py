"""How events reach the master, the only writer: both ends of the internal call.

Handlers ask for an `EventSink`. In the master it is the local one of the handlers; in a worker it
is `MasterEventSink`, which posts to `SendEventServlet`. The call may be repeated: the master knows
an event by its id, and a client's retry by the transaction id.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ..api.errors import BadJsonError, MatrixError, UnsupportedRoomVersionError
from ..api.urls import REPLICATION
from ..events.context import EventContext
from ..events.event import Event, EventMetadata, make_event
from ..events.room_versions import ROOM_VERSIONS
from ..http.client import InternalClient, UnreachableError
from ..http.endpoint import Auth, Request, Servlet, endpoint
from ..http.parameters import (
    optional_str,
    require_bool,
    require_dict,
    require_int,
    require_list,
    require_str,
)
from ..server import Homeserver
from ..types.requester import Requester
from ..util.json import JsonDict

PATH = "/send_event"

MAX_EVENTS = 200
"""Events of one call: a new room with its initial state."""

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Room for that many events of the largest size, with their contexts."""

MAX_EVENT_ID_BYTES = 255

NewEvent = tuple[Event, EventContext]
"""An event of ours, with the state before it."""


@attrs.frozen
class PersistedEvent:
    """What the master stored.

    The id is that of an earlier event if the same transaction id had already brought one. Once the
    store has reached `stream_ordering`, the event can be read.
    """

    event_id: str
    stream_ordering: int

    def to_json(self) -> JsonDict:
        """The form in the answer."""
        return {"event_id": self.event_id, "stream_ordering": self.stream_ordering}

    @staticmethod
    def from_json(body: object) -> PersistedEvent:
        """Read the answer of the master. Raises BadJsonError."""
        if not isinstance(body, dict):
            raise BadJsonError("A persisted event must be an object")
        return PersistedEvent(
            require_str(body, "event_id"), require_int(body, "stream_ordering", minimum=-(2**63))
        )


class SameEventError(MatrixError):
    """The event is there already, made by another request; it must be made anew.

    Two processes that build the same content for one user on the same events in one millisecond
    build one event: its id is its hash. Only event creation sees this error, never a client.
    """

    STATUS = 409
    ERRCODE = "SYNAPSE_LITE_SAME_EVENT"

    def __init__(self, stream_ordering: int) -> None:
        super().__init__(
            "Another request has made the same event", extra={"stream_ordering": stream_ordering}
        )

    @property
    def stream_ordering(self) -> int:
        """Where the event is that was made first."""
        return require_int(self.extra, "stream_ordering", minimum=-(2**63))


class EventSink:
    """Takes events that this server has created, and has them persisted by the master."""

    async def persist(
        self,
        event: Event,
        context: EventContext,
        requester: Requester,
        *,
        ratelimit: bool = True,
        txn_id: str | None = None,
    ) -> PersistedEvent:
        """Check and persist one event; returns after the commit.

        `txn_id` is the client's transaction id of this request: a second event under it is not
        stored, and the first one's id comes back. Raises MatrixError as the checks say, and
        SameEventError if a request under another transaction id has made the very same event.
        """
        raise NotImplementedError

    async def persist_many(
        self, events: Sequence[NewEvent], requester: Requester, *, ratelimit: bool = True
    ) -> list[PersistedEvent]:
        """Persist events of one room, in their order and in one commit: all of them or none."""
        raise NotImplementedError


@attrs.frozen
class SendEventPayload:
    """The body of the call. `txn_id` goes with a single event only."""

    events: tuple[NewEvent, ...]
    requester: Requester
    ratelimit: bool
    txn_id: str | None
    is_batch: bool

    def to_json(self) -> JsonDict:
        """The body to post."""
        return {
            "events": [_event_to_json(event, context) for event, context in self.events],
            "requester": attrs.asdict(self.requester),
            "ratelimit": self.ratelimit,
            "txn_id": self.txn_id,
            "is_batch": self.is_batch,
        }

    @staticmethod
    def from_json(body: JsonDict) -> SendEventPayload:
        """Read the body that a worker posted.

        Raises BadJsonError and its kin, and UnsupportedRoomVersionError when the worker is newer
        than this master.
        """
        events = tuple(_event_from_json(each) for each in require_list(body, "events", MAX_EVENTS))
        payload = SendEventPayload(
            events=events,
            requester=_requester_from_json(require_dict(body, "requester")),
            ratelimit=require_bool(body, "ratelimit"),
            txn_id=optional_str(body, "txn_id"),
            is_batch=require_bool(body, "is_batch"),
        )
        if not events or (len(events) > 1 and not payload.is_batch):
            raise BadJsonError("A single event is needed, or a batch")
        if len({event.room_id for event, _ in events}) > 1:
            raise BadJsonError("The events of a batch must be of one room")
        return payload


def _event_to_json(event: Event, context: EventContext) -> JsonDict:
    return {
        "event": event.pdu,
        "event_id": event.event_id,
        "room_version": event.room_version.identifier,
        "internal_metadata": event.metadata.to_json(),
        "context": context.to_json(),
    }


def _event_from_json(body: object) -> NewEvent:
    if not isinstance(body, dict):
        raise BadJsonError("An event of the call must be an object")
    version = ROOM_VERSIONS.get(require_str(body, "room_version"))
    if version is None:
        raise UnsupportedRoomVersionError("The master does not know this room version")
    pdu = require_dict(body, "event")
    event_id = require_str(body, "event_id", MAX_EVENT_ID_BYTES)
    metadata = require_dict(body, "internal_metadata")
    context = require_dict(body, "context")
    try:
        # The worker has hashed the event; whoever knows the secret need not be checked.
        event = make_event(pdu, version, event_id, EventMetadata.from_json(metadata))
        return event, EventContext.from_json(context)
    except (KeyError, TypeError, ValueError) as error:
        raise BadJsonError(f"Not an event with its context: {error!r}") from error


def _requester_from_json(body: JsonDict) -> Requester:
    """Fields that a newer worker may have added are passed over."""
    known = {field.name for field in attrs.fields(Requester)}
    require_str(body, "user_id")
    return Requester(**{key: value for key, value in body.items() if key in known})


class MasterEventSink(EventSink):
    """The worker's side: one HTTP call to the master.

    While the master restarts, the call is repeated for as long as the client allows; then
    UnreachableError is raised, and it is not known whether the events were stored. A repetition
    by the user under the same transaction id is safe.
    """

    def __init__(self, hs: Homeserver) -> None:
        self._client = hs.part(InternalClient)
        self._uri = f"{hs.config.worker.replication_http_uri}{REPLICATION[0]}{PATH}"

    async def persist(
        self,
        event: Event,
        context: EventContext,
        requester: Requester,
        *,
        ratelimit: bool = True,
        txn_id: str | None = None,
    ) -> PersistedEvent:
        persisted = await self._post(
            SendEventPayload(((event, context),), requester, ratelimit, txn_id, is_batch=False)
        )
        return persisted[0]

    async def persist_many(
        self, events: Sequence[NewEvent], requester: Requester, *, ratelimit: bool = True
    ) -> list[PersistedEvent]:
        return await self._post(
            SendEventPayload(tuple(events), requester, ratelimit, None, is_batch=True)
        )

    async def _post(self, payload: SendEventPayload) -> list[PersistedEvent]:
        answer = await self._client.post(self._uri, payload.to_json(), idempotent=True)
        try:
            persisted = [PersistedEvent.from_json(each) for each in answer["events"]]
        except (BadJsonError, KeyError, TypeError) as error:
            raise UnreachableError("The master's answer cannot be understood") from error
        if len(persisted) != len(payload.events):
            raise UnreachableError("The master's answer is not about these events")
        return persisted


@endpoint(
    "POST",
    REPLICATION,
    PATH,
    auth=Auth.REPLICATION,
    max_body_bytes=MAX_BODY_BYTES,
)
class SendEventServlet(Servlet):
    """The master's side: hands the events of a worker to the local sink."""

    def __init__(self, hs: Homeserver) -> None:
        self._sink = hs.part(EventSink)

    async def answer(self, request: Request) -> JsonDict:
        payload = SendEventPayload.from_json(request.json())
        if payload.is_batch:
            persisted = await self._sink.persist_many(
                payload.events, payload.requester, ratelimit=payload.ratelimit
            )
        else:
            event, context = payload.events[0]
            persisted = [
                await self._sink.persist(
                    event,
                    context,
                    payload.requester,
                    ratelimit=payload.ratelimit,
                    txn_id=payload.txn_id,
                )
            ]
        return {"events": [each.to_json() for each in persisted]}


SERVLETS: tuple[type[Servlet], ...] = (SendEventServlet,)
