"""Events on their way from a worker to the master: through real HTTP, over a network in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.api.errors import (
    BadJsonError,
    ForbiddenError,
    LimitExceededError,
    MatrixError,
    UnsupportedRoomVersionError,
)
from synapse_lite.events.context import EventContext
from synapse_lite.events.event import Event
from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.http.client import UnreachableError
from synapse_lite.http.site import Site, build_site
from synapse_lite.replication.send_event import (
    SERVLETS,
    EventSink,
    MasterEventSink,
    NewEvent,
    PersistedEvent,
    SendEventPayload,
)
from synapse_lite.server import Homeserver
from synapse_lite.types.requester import Requester
from synapse_lite.util.json import decode_json, encode_json
from tests.events.support import ALICE, Room
from tests.harness.http import make_request
from tests.http.network import Dropping, Network
from tests.http.support import make_hs
from tests.replication.support import LISTENER

PATH = "/_synapse/replication/send_event"
CONTEXT = EventContext(state_group_before=17)
ALICE_ON_HER_PHONE = Requester(ALICE, "PHONE", 5, False, False, "bridge")


class RecordingSink(EventSink):
    """Answers with stream orderings from 100 on; a known transaction id gives the first event."""

    def __init__(self, hs: Homeserver) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.known: dict[str, PersistedEvent] = {}
        self.error: Exception | None = None

    async def persist(
        self,
        event: Event,
        context: EventContext,
        requester: Requester,
        *,
        ratelimit: bool = True,
        txn_id: str | None = None,
    ) -> PersistedEvent:
        if self.error is not None:
            raise self.error
        self.calls.append((event, context, requester, ratelimit, txn_id))
        persisted = PersistedEvent(event.event_id, 99 + len(self.calls))
        return persisted if txn_id is None else self.known.setdefault(txn_id, persisted)

    async def persist_many(
        self, events: Sequence[NewEvent], requester: Requester, *, ratelimit: bool = True
    ) -> list[PersistedEvent]:
        self.calls.append((list(events), requester, ratelimit))
        return [PersistedEvent(event.event_id, 100 + n) for n, (event, _) in enumerate(events)]


class SendEventCase(TestCase):
    secret: str | None = "a long secret"

    def setUp(self) -> None:
        self.network = Network()
        self.sink = RecordingSink(make_hs(self.network.reactor))
        self.site = self.make_site()
        self.network.servers["127.0.0.1", 9093] = self.site
        self.far_sink = self.make_far_sink(self.secret)
        self.room = Room(ROOM_VERSIONS["11"])

    def make_hs(self, secret: str | None) -> Homeserver:
        options = {} if secret is None else {"worker_replication_secret": secret}
        return make_hs(self.network.reactor, **options)

    def make_site(self) -> Site:
        hs = self.make_hs(self.secret)
        hs.provide(EventSink, self.sink)
        return build_site(hs, LISTENER, SERVLETS)

    def make_far_sink(self, secret: str | None) -> MasterEventSink:
        hs = self.make_hs(secret)

        return hs.part(MasterEventSink)

    def message(self, **content: Any) -> Event:
        event = self.room.make(ALICE, "m.room.message", {"body": "hello", **content})
        event.metadata.txn_id = "t1"
        event.metadata.device_id = "PHONE"
        return event

    def persist(self, event: Event, context: EventContext = CONTEXT, **options: Any) -> Any:
        return self.network.run(
            lambda: self.far_sink.persist(event, context, ALICE_ON_HER_PHONE, **options),
            seconds=1,
        )


class SendEventTests(SendEventCase):
    def test_the_master_gets_what_the_worker_made(self) -> None:
        for version in ROOM_VERSIONS.values():
            self.room = Room(version)
            event = self.message()
            persisted = self.persist(event, ratelimit=False, txn_id=f"t{version.identifier}")
            received, context, requester, ratelimit, txn_id = self.sink.calls[-1]
            self.assertEqual(received.event_id, event.event_id)
            self.assertEqual(received.pdu_json, event.pdu_json)
            self.assertIs(received.room_version, version)
            self.assertEqual(received.metadata, event.metadata)
            self.assertEqual(context, CONTEXT)
            self.assertEqual(requester, ALICE_ON_HER_PHONE)
            self.assertIs(ratelimit, False)
            self.assertEqual(txn_id, f"t{version.identifier}")
            self.assertEqual(persisted, PersistedEvent(event.event_id, 99 + len(self.sink.calls)))

    def test_rate_limits_apply_unless_told_otherwise(self) -> None:
        self.persist(self.message())
        self.assertIs(self.sink.calls[-1][3], True)

    def test_a_context_that_is_not_stored_yet_passes(self) -> None:
        delta = {("m.room.topic", ""): "$topic", ("m.room.member", "@b:one"): "$b"}
        for context in (EventContext(), EventContext(None, 3, delta), EventContext(None, None, {})):
            self.persist(self.message(), context)
            self.assertEqual(self.sink.calls[-1][1], context)

    def test_a_known_transaction_id_brings_the_first_event(self) -> None:
        first, second = self.message(), self.message(body="hello again")
        self.assertEqual(self.persist(first, txn_id="t").event_id, first.event_id)
        self.assertEqual(self.persist(second, txn_id="t"), PersistedEvent(first.event_id, 100))

    def test_a_batch_stays_a_batch(self) -> None:
        events = [(self.message(), CONTEXT), (self.message(), EventContext(None, 17, {}))]
        persisted = self.network.run(
            lambda: self.far_sink.persist_many(events, ALICE_ON_HER_PHONE, ratelimit=False)
        )
        [(received, requester, ratelimit)] = self.sink.calls
        self.assertEqual([event.event_id for event, _ in received], [e.event_id for e, _ in events])
        self.assertEqual([context for _, context in received], [c for _, c in events])
        self.assertEqual((requester, ratelimit), (ALICE_ON_HER_PHONE, False))
        expected = [PersistedEvent(e.event_id, 100 + n) for n, (e, _) in enumerate(events)]
        self.assertEqual(persisted, expected)

    def test_a_batch_of_one_stays_a_batch(self) -> None:
        events = [(self.message(), CONTEXT)]
        self.network.run(lambda: self.far_sink.persist_many(events, ALICE_ON_HER_PHONE))
        self.assertEqual(len(self.sink.calls[-1]), 3)

    def test_the_body_does_not_grow_with_the_room(self) -> None:
        payload = SendEventPayload(
            ((self.message(), CONTEXT),), ALICE_ON_HER_PHONE, True, "t", is_batch=False
        )
        self.assertLess(len(encode_json(payload.to_json())), 3000)

    def test_no_access_token_is_sent(self) -> None:
        payload = SendEventPayload(
            ((self.message(), CONTEXT),), ALICE_ON_HER_PHONE, True, "t", is_batch=False
        )
        self.assertEqual(
            set(payload.to_json()["requester"]),
            {
                "user_id",
                "device_id",
                "access_token_id",
                "is_guest",
                "is_admin",
                "app_service_id",
                "is_suspended",
            },
        )


class ErrorTests(SendEventCase):
    def test_an_error_keeps_its_class_and_its_text(self) -> None:
        self.sink.error = ForbiddenError("You have left the room")
        with self.assertRaises(ForbiddenError) as caught:
            self.persist(self.message())
        self.assertEqual(caught.exception.message, "You have left the room")
        self.assertEqual(caught.exception.status, 403)

    def test_an_error_keeps_its_extra_fields(self) -> None:
        self.sink.error = LimitExceededError(retry_after_ms=1234)
        with self.assertRaises(LimitExceededError) as caught:
            self.persist(self.message())
        self.assertEqual(caught.exception.extra["retry_after_ms"], 1234)
        self.assertEqual(caught.exception.status, 429)

    def test_an_error_of_a_newer_master_keeps_its_code(self) -> None:
        self.sink.error = MatrixError("New", status=418, errcode="M_TEAPOT", extra={"pot": 1})
        with self.assertRaises(MatrixError) as caught:
            self.persist(self.message())
        self.assertEqual(
            caught.exception.to_json(), {"errcode": "M_TEAPOT", "error": "New", "pot": 1}
        )

    def test_a_master_that_restarts_is_waited_for(self) -> None:
        del self.network.servers["127.0.0.1", 9093]
        reactor = self.network.reactor
        reactor.callLater(3, self.network.servers.__setitem__, ("127.0.0.1", 9093), self.site)
        event = self.message()
        self.assertEqual(self.persist(event).event_id, event.event_id)

    def test_a_call_whose_answer_got_lost_is_repeated(self) -> None:
        self.network.servers["127.0.0.1", 9093] = Dropping()
        reactor = self.network.reactor
        reactor.callLater(3, self.network.servers.__setitem__, ("127.0.0.1", 9093), self.site)
        event = self.message()
        self.assertEqual(self.persist(event).event_id, event.event_id)

    def test_a_master_that_stays_away_is_given_up(self) -> None:
        self.network.servers.clear()
        with self.assertRaises(UnreachableError):
            self.persist(self.message())

    def test_an_answer_about_something_else_is_no_success(self) -> None:
        async def nothing(*args: Any, **kwargs: Any) -> list[PersistedEvent]:
            return []

        self.sink.persist_many = nothing  # type: ignore[method-assign]  # a broken master
        with self.assertRaises(UnreachableError):
            self.network.run(
                lambda: self.far_sink.persist_many([(self.message(), CONTEXT)], ALICE_ON_HER_PHONE)
            )

    def test_a_worker_with_another_secret_is_refused(self) -> None:
        self.far_sink = self.make_far_sink("another secret")
        with self.assertRaises(MatrixError) as caught:
            self.persist(self.message())
        self.assertEqual(caught.exception.status, 401)
        self.assertEqual(self.sink.calls, [])


class WithoutSecretTests(SendEventCase):
    secret = None

    def test_a_captured_body_can_be_posted(self) -> None:
        event = self.message()
        payload = SendEventPayload(
            ((event, CONTEXT),), ALICE_ON_HER_PHONE, True, None, is_batch=False
        )
        answer = make_request(self.site, "POST", PATH, payload.to_json())
        self.assertEqual(answer.status, 200)
        self.assertEqual(
            answer.json, {"events": [{"event_id": event.event_id, "stream_ordering": 100}]}
        )

    def test_bad_bodies_are_refused(self) -> None:
        event = self.message()
        good = SendEventPayload(
            ((event, CONTEXT),), ALICE_ON_HER_PHONE, True, None, is_batch=False
        ).to_json()
        entry = good["events"][0]
        other = SendEventPayload(
            ((Room(ROOM_VERSIONS["12"]).create, CONTEXT),), ALICE_ON_HER_PHONE, True, None, True
        ).to_json()["events"][0]
        for bad in (
            {},
            {**good, "events": []},
            {**good, "events": [entry, entry]},
            {**good, "events": ["text"]},
            {**good, "events": [{**entry, "event": {}}]},
            {**good, "events": [{**entry, "event": []}]},
            {**good, "events": [{**entry, "context": {}}]},
            {**good, "events": [{**entry, "context": {**entry["context"], "delta": [[1]]}}]},
            {**good, "events": [{**entry, "room_version": "13?"}]},
            {**good, "events": [{**entry, "internal_metadata": None}]},
            {**good, "events": [entry] * 201, "is_batch": True},
            {**good, "events": [entry, other], "is_batch": True},
            {**good, "requester": {}},
            {**good, "ratelimit": "yes"},
            {**good, "txn_id": 5},
        ):
            answer = make_request(self.site, "POST", PATH, bad)
            self.assertEqual(answer.status, 400, bad)
        self.assertEqual(self.sink.calls, [])

    def test_a_room_version_that_the_master_does_not_know(self) -> None:
        entry = {"event": {}, "room_version": "x"}
        with self.assertRaises(UnsupportedRoomVersionError):
            SendEventPayload.from_json({"events": [entry]})

    def test_fields_of_a_newer_worker_are_passed_over(self) -> None:
        payload = SendEventPayload(
            ((self.message(), CONTEXT),), ALICE_ON_HER_PHONE, True, None, is_batch=False
        )
        body = decode_json(encode_json(payload.to_json()))
        body["new"] = body["requester"]["new"] = body["events"][0]["new"] = 1
        body["events"][0]["internal_metadata"]["new"] = 1
        body["events"][0]["context"]["new"] = 1
        self.assertEqual(SendEventPayload.from_json(body).requester, ALICE_ON_HER_PHONE)

    def test_answers_are_checked(self) -> None:
        for bad in (None, [], {}, {"event_id": "$a"}, {"event_id": 1, "stream_ordering": 1}):
            with self.assertRaises(MatrixError):
                PersistedEvent.from_json(bad)
        with self.assertRaises(BadJsonError):
            PersistedEvent.from_json("text")

    def test_it_is_mounted_only_where_replication_is(self) -> None:
        hs = self.make_hs(None)
        hs.provide(EventSink, self.sink)
        listener = LISTENER.__class__(
            port=1, resources=(LISTENER.resources[0].__class__(names=("client",)),)
        )
        site = build_site(hs, listener, SERVLETS)
        self.assertEqual(make_request(site, "POST", PATH, {}).status, 404)
