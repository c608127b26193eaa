"""Event creation in a worker, which reads for itself and sends to the master."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred

from synapse_lite.api.errors import ForbiddenError
from synapse_lite.app.kinds.event_creator import EVENT_CREATOR
from synapse_lite.events.context import EventContext
from synapse_lite.events.event import Event
from synapse_lite.handlers.event_basis import MAX_PREV_EVENTS, choose_heads
from synapse_lite.handlers.event_creation import MAX_AT_ONCE, EventCreationHandler
from synapse_lite.replication.send_event import (
    EventSink,
    NewEvent,
    PersistedEvent,
    SendEventPayload,
)
from synapse_lite.storage.events import Head
from synapse_lite.types.requester import Requester
from synapse_lite.util.background import start
from synapse_lite.util.json import decode_json, encode_json
from tests.harness.homeserver import make_worker, now
from tests.rest.client.rooms import ALICE, BOB, CAROL, RoomsCase

_MESSAGE = {"msgtype": "m.text", "body": "hello"}


class WireSink(EventSink):
    """The master's sink, reached through the JSON of the internal call. `gate` holds calls up."""

    def __init__(self, target: EventSink) -> None:
        self._target = target
        self.gate: Deferred[None] | None = None
        self.calls = 0

    async def persist(
        self,
        event: Event,
        context: EventContext,
        requester: Requester,
        *,
        ratelimit: bool = True,
        txn_id: str | None = None,
    ) -> PersistedEvent:
        self.calls += 1
        if self.gate is not None:
            await self.gate
        payload = SendEventPayload(((event, context),), requester, ratelimit, txn_id, False)
        sent = SendEventPayload.from_json(decode_json(encode_json(payload.to_json())))
        (new, before) = sent.events[0]
        return await self._target.persist(
            new, before, sent.requester, ratelimit=sent.ratelimit, txn_id=sent.txn_id
        )

    async def persist_many(
        self, events: Sequence[NewEvent], requester: Requester, *, ratelimit: bool = True
    ) -> list[PersistedEvent]:
        raise AssertionError("only the master creates rooms")


class WorkerCase(RoomsCase):
    def setUp(self) -> None:
        super().setUp()
        self.worker = make_worker(EVENT_CREATOR, self.master)
        self.sink = WireSink(self.master.hs.part(EventSink))
        self.worker.hs.provide(EventSink, self.sink)
        self.handler = self.worker.hs.part(EventCreationHandler)

    def put(self, room_id: str, txn_id: str, token: str | None = None) -> Any:
        """Send a message through the worker."""
        path = f"rooms/{room_id}/send/m.room.message/{txn_id}"
        return self.worker.request("PUT", path, _MESSAGE, token or self.alice)

    def hold_rows(self) -> None:
        """Let no row reach the worker any more."""
        self.worker.store.process_rows = lambda stream, token, rows: None

    def release_rows(self) -> None:
        """Let the worker know where the master is. It does not get the rows that were held."""
        del self.worker.store.process_rows
        for stream in self.worker.store.followed:
            self.worker.store.start_at(stream, self.master.store.current_token(stream))


class TestWorker(WorkerCase):
    def test_every_endpoint(self) -> None:
        room_id = self.room(preset="private_chat", room_alias_name="here")
        ask = self.worker.request
        for method, path, body, token in (
            ("POST", f"rooms/{room_id}/invite", {"user_id": BOB}, self.alice),
            ("POST", "join/%23here:test", {}, self.bob),
            ("PUT", f"rooms/{room_id}/send/m.room.message/1", _MESSAGE, self.bob),
            ("PUT", f"rooms/{room_id}/state/m.room.topic", {"topic": "x"}, self.alice),
            ("POST", f"rooms/{room_id}/kick", {"user_id": BOB}, self.alice),
            ("POST", f"rooms/{room_id}/ban", {"user_id": BOB}, self.alice),
            ("POST", f"rooms/{room_id}/unban", {"user_id": BOB}, self.alice),
            ("POST", f"rooms/{room_id}/invite", {"user_id": BOB}, self.alice),
            ("POST", f"rooms/{room_id}/leave", {}, self.bob),
        ):
            answer = ask(method, path, body, token)
            self.assertEqual(answer.status, 200, (path, answer.body))
        self.assertEqual(self.membership(room_id, BOB), "leave")
        self.assertEqual(self.state(room_id, "m.room.topic"), {"topic": "x"})
        for path in ("createRoom", f"rooms/{room_id}/forget"):
            self.assertEqual(ask("POST", path, {}, self.alice, judged=False).status, 404)

    def test_message_with_warm_caches_costs_the_worker_nothing(self) -> None:
        room_id = self.room()
        self.put(room_id, "1")
        before = self.worker.db.counts.transactions
        on_master = self.master.db.counts.transactions
        for txn_id in ("2", "3"):
            self.assertEqual(self.put(room_id, txn_id).status, 200)
        self.assertEqual(self.worker.db.counts.transactions, before)
        self.assertEqual(self.master.db.counts.transactions, on_master + 2)

    def test_retry_through_another_process(self) -> None:
        room_id = self.room()
        first = self.put(room_id, "1").json["event_id"]
        path = f"rooms/{room_id}/send/m.room.message/1"
        self.assertEqual(self.ok("PUT", path, _MESSAGE)["event_id"], first)
        sent = [event for event in self.events(room_id) if event.type == "m.room.message"]
        self.assertEqual(len(sent), 1)

    def test_retry_while_the_first_is_under_way(self) -> None:
        room_id = self.room()
        self.sink.gate = Deferred()
        requests = [
            self.worker.start_request(
                "PUT", f"rooms/{room_id}/send/m.room.message/1", _MESSAGE, self.alice
            )
            for _ in range(3)
        ]
        self.assertEqual(self.sink.calls, 1)
        self.sink.gate.callback(None)
        ids = set()
        for request in requests:
            request.pump()
            answer = request.answer()
            assert answer is not None
            ids.add(answer.json["event_id"])
        self.assertEqual(len(ids), 1)

    def test_few_events_of_a_room_are_made_at_once(self) -> None:
        room_id, other = self.room(), self.room()
        alice = Requester(ALICE, "DEVICE")
        self.sink.gate = Deferred()
        sending = [
            start(self.handler.create_and_send(alice, room_id, "m.room.message", _MESSAGE))
            for _ in range(MAX_AT_ONCE + 3)
        ]
        self.assertEqual(self.sink.calls, MAX_AT_ONCE)
        sending.append(
            start(self.handler.create_and_send(alice, other, "m.room.message", _MESSAGE))
        )
        self.assertEqual(self.sink.calls, MAX_AT_ONCE + 1)
        self.sink.gate.callback(None)
        self.assertEqual(len({now(each) for each in sending}), len(sending))


class TestWorkerThatIsBehind(WorkerCase):
    def test_builds_beside_what_it_does_not_know(self) -> None:
        room_id = self.room()
        self.put(room_id, "1")
        self.hold_rows()
        unknown = self.master.send(self.alice, room_id, "meanwhile", "elsewhere")
        sending = self.worker.start_request(
            "PUT", f"rooms/{room_id}/send/m.room.message/2", _MESSAGE, self.alice
        )
        self.assertIsNone(sending.answer())
        self.master.reactor.advance(1.1)
        answer = sending.answer()
        assert answer is not None
        event = self.event(answer.json["event_id"])
        self.assertNotIn(unknown, event.prev_event_ids)
        heads = now(self.master.store.get_room_heads(room_id))
        self.assertEqual(set(heads.event_ids), {unknown, event.event_id})

    def test_answers_as_soon_as_it_can_read_the_event(self) -> None:
        room_id = self.room()
        self.put(room_id, "1")
        self.hold_rows()
        sending = self.worker.start_request(
            "PUT", f"rooms/{room_id}/send/m.room.message/2", _MESSAGE, self.alice
        )
        self.assertIsNone(sending.answer())
        self.release_rows()
        sending.pump()
        answer = sending.answer()
        assert answer is not None
        self.assertEqual(answer.status, 200)
        heads = now(self.worker.store.get_room_heads(room_id))
        self.assertEqual(heads.event_ids, (answer.json["event_id"],))

    def test_right_that_was_lost_meanwhile(self) -> None:
        room_id = self.room()
        self.join(room_id, self.bob)
        self.assertEqual(self.put(room_id, "1", self.bob).status, 200)
        self.hold_rows()
        self.ok("POST", f"rooms/{room_id}/ban", {"user_id": BOB})
        self.assert_error(self.put(room_id, "2", self.bob), 403, "M_FORBIDDEN")


class TestWhatWasDoneElsewhere(WorkerCase):
    """A worker is behind, and the client has done something through another process."""

    def setUp(self) -> None:
        super().setUp()
        self.room_id = self.room()
        self.join(self.room_id, self.bob)
        self.put(self.room_id, "warm", self.bob)

    def behind(self, path: str, body: Any, token: str, method: str = "POST") -> Any:
        """The answer of the worker, which is told of the rest only once it has been asked."""
        request = self.worker.start_request(method, path, body, token)
        self.assertIsNone(request.answer(), "it must not be sure of what it knows")
        self.release_rows()
        request.pump()
        answer = request.answer()
        assert answer is not None
        return answer

    def test_a_join_after_a_leave_is_no_repetition(self) -> None:
        self.hold_rows()
        self.ok("POST", f"rooms/{self.room_id}/leave", {}, self.bob)
        for path in (f"join/{self.room_id}", f"rooms/{self.room_id}/join"):
            answer = self.behind(path, {}, self.bob)
            self.assertEqual(answer.status, 200)
            self.assertEqual(self.membership(self.room_id, BOB), "join")
            self.hold_rows()
            self.ok("POST", f"rooms/{self.room_id}/leave", {}, self.bob)

    def test_a_message_after_a_join_is_not_refused(self) -> None:
        self.ok("POST", f"rooms/{self.room_id}/leave", {}, self.bob)
        self.hold_rows()
        self.join(self.room_id, self.bob)
        path = f"rooms/{self.room_id}/send/m.room.message/1"
        self.assertEqual(self.behind(path, _MESSAGE, self.bob, "PUT").status, 200)

    def test_state_that_was_changed_meanwhile_is_set_back(self) -> None:
        path = f"rooms/{self.room_id}/state/m.room.topic"
        self.worker.request("PUT", path, {"topic": "first"}, self.alice)
        self.hold_rows()
        self.ok("PUT", path, {"topic": "second"})
        self.assertEqual(self.behind(path, {"topic": "first"}, self.alice, "PUT").status, 200)
        self.assertEqual(self.state(self.room_id, "m.room.topic"), {"topic": "first"})

    def test_who_was_invited_meanwhile_can_be_kicked(self) -> None:
        self.hold_rows()
        self.ok("POST", f"rooms/{self.room_id}/invite", {"user_id": CAROL})
        answer = self.behind(f"rooms/{self.room_id}/kick", {"user_id": CAROL}, self.alice)
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.membership(self.room_id, CAROL), "leave")

    def test_without_the_master_nothing_is_said_for_certain(self) -> None:
        self.hold_rows()
        self.ok("POST", f"rooms/{self.room_id}/leave", {}, self.bob)
        request = self.worker.start_request("POST", f"join/{self.room_id}", {}, self.bob)
        self.master.reactor.advance(11)
        answer = request.answer()
        assert answer is not None
        self.assert_error(answer, 503, "M_UNKNOWN")

    def test_a_worker_that_is_level_answers_at_once(self) -> None:
        for path, body in ((f"join/{self.room_id}", {}), (f"rooms/{self.room_id}/leave", {})):
            with self.worker.db.recording() as statements:
                answer = self.worker.request("POST", path, body, self.bob)
            self.assertEqual(answer.status, 200)
            asked = [sql for sql in statements if "MAX(stream_ordering)" in sql]
            self.assertLessEqual(len(asked), 2)


class TestTwoWorkers(WorkerCase):
    """Two workers of one kind make the same event in the same millisecond."""

    def setUp(self) -> None:
        super().setUp()
        self.other = make_worker(EVENT_CREATOR, self.master)
        self.other_sink = WireSink(self.master.hs.part(EventSink))
        self.other.hs.provide(EventSink, self.other_sink)

    def send_from_both(self, room_id: str, first: str, second: str) -> list[str]:
        """Both have built their events before one is stored. Returns their ids."""
        self.put(room_id, "warm")
        self.other.request(
            "PUT", f"rooms/{room_id}/send/m.room.message/warm2", _MESSAGE, self.alice
        )
        # Let no timestamp be ahead of the clock any more.
        self.master.reactor.advance(60)
        gate = self.sink.gate = self.other_sink.gate = Deferred()
        requests = [
            server.start_request(
                "PUT", f"rooms/{room_id}/send/m.room.message/{txn_id}", _MESSAGE, self.alice
            )
            for server, txn_id in ((self.worker, first), (self.other, second))
        ]
        gate.callback(None)
        ids = []
        for request in requests:
            request.pump()
            answer = request.answer()
            assert answer is not None
            self.assertEqual(answer.status, 200, answer.body)
            ids.append(answer.json["event_id"])
        return ids

    def test_two_messages_stay_two(self) -> None:
        room_id = self.room()
        ids = self.send_from_both(room_id, "1", "2")
        self.assertEqual(len(set(ids)), 2)
        self.assertEqual(self.sink.calls + self.other_sink.calls, 2 + 3)
        stored = [event.event_id for event in self.events(room_id)]
        self.assertEqual([stored.count(event_id) for event_id in ids], [1, 1])

    def test_one_message_stays_one(self) -> None:
        room_id = self.room()
        ids = self.send_from_both(room_id, "1", "1")
        self.assertEqual(len(set(ids)), 1)


class TestHandler(WorkerCase):
    def test_create_event_only_builds(self) -> None:
        room_id = self.room()
        event, context = now(
            self.handler.create_event(
                Requester(ALICE, "DEVICE"), room_id, "m.room.message", _MESSAGE, txn_id="t"
            )
        )
        self.assertEqual((event.type, event.room_id), ("m.room.message", room_id))
        self.assertIsNotNone(context.state_group_before)
        self.assertIsNone(now(self.master.store.get_event(event.event_id, allow_none=True)))

    def test_unknown_room(self) -> None:
        with self.assertRaises(ForbiddenError):
            now(self.handler.create_and_send(Requester(ALICE), "!x:y", "m.room.message", _MESSAGE))

    def test_application_services_choose_the_time(self) -> None:
        room_id = self.room()
        event_id = now(
            self.handler.create_and_send(
                Requester(ALICE), room_id, "m.room.message", _MESSAGE, origin_server_ts=5
            )
        )
        self.assertEqual(self.event(event_id).origin_server_ts, 5)

    def test_same_words_in_the_same_moment(self) -> None:
        """Ids are hashes: two events must differ in something."""
        room_id = self.room()
        events = [
            now(self.handler.create_event(Requester(ALICE), room_id, "m.room.message", _MESSAGE))[0]
            for _ in range(3)
        ]
        self.assertEqual(len({event.event_id for event in events}), 3)
        self.assertEqual(events[0].origin_server_ts, self.master.hs.clock.time_ms())
        self.assertEqual(events[2].origin_server_ts, self.master.hs.clock.time_ms() + 2)


class TestHeads(RoomsCase):
    def test_few_heads_are_all_followed(self) -> None:
        heads = [Head(f"${n}", n, 1) for n in range(MAX_PREV_EVENTS)]
        self.assertEqual(choose_heads(heads), heads)

    def test_of_many_heads_the_deepest_and_some_others(self) -> None:
        heads = [Head(f"${n}", n, 1) for n in range(40)]
        chosen = choose_heads(heads)
        self.assertEqual(len(set(chosen)), MAX_PREV_EVENTS)
        self.assertEqual([head.depth for head in chosen[:5]], [39, 38, 37, 36, 35])
        seen = {head for _ in range(200) for head in choose_heads(heads)}
        self.assertEqual(seen, set(heads))
