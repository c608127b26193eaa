"""Sending messages and state, transaction ids, forks, redactions."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from synapse_lite.events.room_versions import ROOM_VERSIONS
from tests.harness.homeserver import now

from .rooms import ALICE, BOB, RoomsCase

_MESSAGE = {"msgtype": "m.text", "body": "hello"}


class SendCase(RoomsCase):
    def put(
        self, room_id: str, txn_id: str, content: Any = None, token: str | None = None, **more: Any
    ) -> Any:
        """Send a message. Returns the answer."""
        body = _MESSAGE if content is None else content
        event_type = more.pop("event_type", "m.room.message")
        return self.request("PUT", f"rooms/{room_id}/send/{event_type}/{txn_id}", body, token)

    def messages(self, room_id: str) -> list[str]:
        """Ids of the room's messages."""
        return [e.event_id for e in self.events(room_id) if e.type == "m.room.message"]


class TestSend(SendCase):
    def test_message(self) -> None:
        room_id = self.room()
        event = self.event(self.put(room_id, "1").json["event_id"])
        self.assertEqual((event.sender, event.content), (ALICE, _MESSAGE))
        self.assertEqual(event.origin_server_ts, self.master.hs.clock.time_ms())

    def test_post(self) -> None:
        room_id = self.room()
        path = f"rooms/{room_id}/send/m.room.message"
        first = self.ok("POST", path, _MESSAGE)["event_id"]
        self.assertNotEqual(self.ok("POST", path, _MESSAGE)["event_id"], first)

    def test_auth_events_are_those_of_the_state(self) -> None:
        for version in ROOM_VERSIONS:
            room_id = self.room(room_version=version)
            event = self.event(self.put(room_id, f"v{version}").json["event_id"])
            keys = {self.event(event_id).state_tuple for event_id in event.auth_event_ids}
            expected = {("m.room.power_levels", ""), ("m.room.member", ALICE)}
            if version != "12":
                expected.add(("m.room.create", ""))
            self.assertEqual(keys, expected)

    def test_custom_type_with_odd_letters(self) -> None:
        room_id = self.room()
        answer = self.request("PUT", f"rooms/{room_id}/send/org.%C3%A9%2Fx/1", {})
        self.assertEqual(self.event(answer.json["event_id"]).type, "org.é/x")

    def test_who_may_not(self) -> None:
        room_id = self.room()
        self.assert_error(self.put(room_id, "1", token=self.bob), 403, "M_FORBIDDEN")
        self.assert_error(self.put("!nothing:test", "2"), 403, "M_FORBIDDEN")
        self.assert_error(self.put("nothing", "3"), 403, "M_FORBIDDEN")
        self.join(room_id, self.bob)
        self.assertEqual(self.put(room_id, "4", token=self.bob).status, 200)
        self.ok("PUT", f"rooms/{room_id}/state/m.room.power_levels", {"events_default": 10})
        self.assert_error(self.put(room_id, "5", token=self.bob), 403, "M_FORBIDDEN")
        self.assertEqual(self.put(room_id, "6").status, 200)

    def test_bad_content(self) -> None:
        room_id = self.room()
        deep: Any = {}
        for _ in range(200):
            deep = {"a": deep}
        for number, (content, status, errcode) in enumerate(
            (
                (b"", 400, "M_NOT_JSON"),
                (b"{", 400, "M_NOT_JSON"),
                (b"[]", 400, "M_BAD_JSON"),
                (b'{"a": NaN}', 400, "M_NOT_JSON"),
                (b'{"a": 1e400}', 400, "M_NOT_JSON"),
                (b'{"a": "\\ud800"}', 400, "M_NOT_JSON"),
                (b'{"a": 1.5}', 400, "M_BAD_JSON"),
                (b'{"a": 9007199254740993}', 400, "M_BAD_JSON"),
                (deep, 400, "M_NOT_JSON"),
                ({"body": 1}, 400, "M_BAD_JSON"),
                ({"body": "x" * 70_000}, 413, "M_TOO_LARGE"),
            )
        ):
            self.assert_error(self.put(room_id, str(number), content), status, errcode)
        self.assertEqual(self.messages(room_id), [])

    def test_event_that_becomes_too_large(self) -> None:
        answer = self.put(self.room(), "1", {"body": "x" * 65_400})
        self.assert_error(answer, 413, "M_TOO_LARGE")

    def test_long_names(self) -> None:
        room_id = self.room()
        answer = self.put(room_id, "1", {}, event_type="x" * 256)
        self.assert_error(answer, 413, "M_TOO_LARGE")
        self.assert_error(self.put(room_id, "x" * 256), 400, "M_INVALID_PARAM")

    def test_numbers_beyond_canonical_json_are_refused_in_every_version(self) -> None:
        for version in ("1", "5", "6"):
            answer = self.put(self.room(room_version=version), version, b'{"a": 0.5}')
            self.assert_error(answer, 400, "M_BAD_JSON")

    def test_only_application_services_choose_the_time(self) -> None:
        room_id = self.room()
        answer = self.request("PUT", f"rooms/{room_id}/send/m.room.message/1?ts=5", _MESSAGE)
        self.assertNotEqual(self.event(answer.json["event_id"]).origin_server_ts, 5)


class TestTransactionIds(SendCase):
    def test_same_request_same_event(self) -> None:
        room_id = self.room()
        first = self.put(room_id, "1").json["event_id"]
        self.assertEqual(self.put(room_id, "1").json["event_id"], first)
        self.assertEqual(self.messages(room_id), [first])

    def test_after_the_process_has_forgotten(self) -> None:
        room_id = self.room()
        first = self.put(room_id, "1").json["event_id"]
        self.master.reactor.advance(40 * 60)
        self.assertEqual(self.put(room_id, "1").json["event_id"], first)
        self.assertEqual(self.messages(room_id), [first])

    def test_of_others(self) -> None:
        room_id, other = self.room(), self.room()
        self.join(room_id, self.bob)
        ids = {
            self.put(room_id, "1").json["event_id"],
            self.put(room_id, "2").json["event_id"],
            self.put(other, "1").json["event_id"],
            self.put(room_id, "1", token=self.bob).json["event_id"],
        }
        self.assertEqual(len(ids), 4)

    def test_of_a_redaction(self) -> None:
        """Two endpoints have transaction ids of their own."""
        room_id = self.room()
        event_id = self.put(room_id, "1").json["event_id"]
        path = f"rooms/{room_id}/redact/{event_id}/1"
        redaction = self.ok("PUT", path, {})["event_id"]
        self.assertNotEqual(redaction, event_id)
        self.assertEqual(self.ok("PUT", path, {})["event_id"], redaction)

    def test_failures_are_not_remembered(self) -> None:
        room_id = self.room()
        self.assert_error(self.put(room_id, "1", token=self.bob), 403, "M_FORBIDDEN")
        self.join(room_id, self.bob)
        self.assertEqual(self.put(room_id, "1", token=self.bob).status, 200)

    def test_retry_after_the_sender_has_left(self) -> None:
        room_id = self.room()
        self.join(room_id, self.bob)
        first = self.put(room_id, "1", token=self.bob).json["event_id"]
        self.ok("POST", f"rooms/{room_id}/leave", {}, self.bob)
        self.master.reactor.advance(40 * 60)
        self.assertEqual(self.put(room_id, "1", token=self.bob).json["event_id"], first)
        self.assert_error(self.put(room_id, "2", token=self.bob), 403, "M_FORBIDDEN")

    def test_sending_device_is_noted(self) -> None:
        room_id = self.room()
        event = self.event(self.put(room_id, "mine").json["event_id"])
        self.assertEqual(event.metadata.txn_id, "mine")
        self.assertIsNotNone(event.metadata.device_id)


class TestState(SendCase):
    def set(
        self, room_id: str, path: str, content: Any, token: str | None = None, **more: Any
    ) -> Any:
        return self.request("PUT", f"rooms/{room_id}/state/{path}", content, token, **more)

    def test_paths(self) -> None:
        room_id = self.room()
        for path, event_type, state_key in (
            ("m.room.name", "m.room.name", ""),
            ("m.room.topic/", "m.room.topic", ""),
            ("org.example/key", "org.example", "key"),
            (f"org.example/{ALICE}", "org.example", ALICE),
        ):
            answer = self.set(room_id, path, {"name": path})
            self.assertEqual(answer.status, 200, answer.body)
            event = self.state_event(room_id, event_type, state_key)
            assert event is not None
            self.assertEqual(event.event_id, answer.json["event_id"])

    def test_same_content_again_is_the_same_event(self) -> None:
        room_id = self.room()
        first = self.set(room_id, "m.room.topic", {"topic": "x"}).json["event_id"]
        self.assertEqual(self.set(room_id, "m.room.topic", {"topic": "x"}).json["event_id"], first)
        other = self.set(room_id, "m.room.topic", {"topic": "y"}).json["event_id"]
        self.assertNotEqual(other, first)
        back = self.set(room_id, "m.room.topic", {"topic": "x"}).json["event_id"]
        self.assertNotIn(back, (first, other))

    def test_true_is_not_one(self) -> None:
        room_id = self.room()
        first = self.set(room_id, "org.example", {"a": 1}).json["event_id"]
        self.assertNotEqual(self.set(room_id, "org.example", {"a": True}).json["event_id"], first)

    def test_same_content_of_another_user_is_another_event(self) -> None:
        room_id = self.room(power_level_content_override={"state_default": 0})
        self.join(room_id, self.bob)
        first = self.set(room_id, "org.example", {}).json["event_id"]
        second = self.set(room_id, "org.example", {}, self.bob).json["event_id"]
        self.assertNotEqual(first, second)

    def test_state_under_the_id_of_another_user(self) -> None:
        answer = self.set(self.room(), f"org.example/{BOB}", {})
        self.assert_error(answer, 403, "M_FORBIDDEN")

    def test_power_is_needed(self) -> None:
        room_id = self.room()
        self.join(room_id, self.bob)
        answer = self.set(room_id, "m.room.name", {"name": "x"}, self.bob)
        self.assert_error(answer, 403, "M_FORBIDDEN")

    def test_power_levels_are_guarded(self) -> None:
        room_id = self.room(
            room_version="11",
            power_level_content_override={"users": {ALICE: 100, BOB: 50}, "events": {}},
        )
        self.join(room_id, self.bob)
        levels = self.state(room_id, "m.room.power_levels")
        answer = self.set(
            room_id, "m.room.power_levels", {**levels, "users": {ALICE: 100, BOB: 60}}, self.bob
        )
        self.assert_error(answer, 403, "M_FORBIDDEN")
        answer = self.set(room_id, "m.room.power_levels", {**levels, "users": {BOB: "50"}})
        self.assert_error(answer, 400, "M_BAD_JSON")

    def test_there_is_one_create_event(self) -> None:
        for version in ("1", "11", "12"):
            room_id = self.room(room_version=version)
            answer = self.set(room_id, "m.room.create", {"creator": ALICE})
            self.assert_error(answer, 403, "M_FORBIDDEN")

    def test_bad_content(self) -> None:
        room_id = self.room()
        for path, content in (
            ("m.room.join_rules", {}),
            ("m.room.join_rules", {"join_rule": 1}),
            ("m.room.history_visibility", {"history_visibility": "nobody"}),
            ("m.room.name", {"name": []}),
            ("m.room.redaction", {"redacts": "$x"}),
        ):
            self.assert_error(self.set(room_id, path, content), 400, "M_BAD_JSON")

    def test_there_is_no_post(self) -> None:
        answer = self.request("POST", f"rooms/{self.room()}/state/m.room.name", {}, judged=False)
        self.assert_error(answer, 405, "M_UNRECOGNIZED")


class TestCanonicalAlias(SendCase):
    def set(self, room_id: str, content: Any) -> Any:
        return self.request("PUT", f"rooms/{room_id}/state/m.room.canonical_alias", content)

    def test_aliases_must_lead_here(self) -> None:
        room_id = self.room(room_alias_name="here")
        self.room(room_alias_name="there")
        ok = {"alias": "#here:test", "alt_aliases": ["#here:test"]}
        self.assertEqual(self.set(room_id, ok).status, 200)
        for content in (
            {"alias": "#there:test"},
            {"alias": "#nothing:test"},
            {"alt_aliases": ["#here:test", "#there:test"]},
        ):
            self.assert_error(self.set(room_id, content), 400, "M_BAD_ALIAS")

    def test_malformed(self) -> None:
        room_id = self.room()
        for content in ({"alias": "here"}, {"alt_aliases": ["#:test"]}):
            self.assert_error(self.set(room_id, content), 400, "M_INVALID_PARAM")
        for content in ({"alias": 1}, {"alt_aliases": "x"}, {"alt_aliases": [1]}):
            self.assert_error(self.set(room_id, content), 400, "M_BAD_JSON")

    def test_what_is_there_already_is_not_checked(self) -> None:
        room_id = self.room(room_alias_name="here")
        now(self.master.store.delete_alias("#here:test"))
        content = {"alias": "#here:test", "org.example": 1}
        self.assertEqual(self.set(room_id, content).status, 200)
        self.assertEqual(self.set(room_id, {}).status, 200)
        self.assert_error(self.set(room_id, {"alias": "#here:test"}), 400, "M_BAD_ALIAS")


class TestForks(SendCase):
    def fork(self, room_id: str) -> tuple[str, str]:
        """Two events that do not know of each other."""
        heads = now(self.master.store.get_room_heads(room_id))
        first = self.put(room_id, "left").json["event_id"]
        # As in a process that has not heard of the first event yet.
        self.master.store.get_room_heads.update((room_id,), lambda old: heads)
        second = self.put(room_id, "right").json["event_id"]
        self.master.store.get_room_heads.invalidate((room_id,))
        return first, second

    def test_the_next_event_joins_them(self) -> None:
        room_id = self.room()
        first, second = self.fork(room_id)
        self.assertEqual(self.event(first).prev_event_ids, self.event(second).prev_event_ids)
        joining = self.event(self.put(room_id, "next").json["event_id"])
        self.assertEqual(set(joining.prev_event_ids), {first, second})
        self.assertEqual(joining.depth, self.event(first).depth + 1)

    def test_in_rooms_with_references_by_hash(self) -> None:
        room_id = self.room(room_version="1")
        first, second = self.fork(room_id)
        joining = self.event(self.put(room_id, "next").json["event_id"])
        self.assertEqual(set(joining.prev_event_ids), {first, second})
        self.assertTrue(all(hashes["sha256"] for _, hashes in joining.pdu["prev_events"]))


class TestRedaction(SendCase):
    def redact(
        self, room_id: str, event_id: str, txn_id: str, token: str | None = None, **body: Any
    ) -> Any:
        return self.request(
            "PUT", f"rooms/{room_id}/redact/{quote(event_id, safe='')}/{txn_id}", body, token
        )

    def test_every_version(self) -> None:
        for version in ROOM_VERSIONS:
            room_id = self.room(room_version=version)
            event_id = self.put(room_id, f"v{version}").json["event_id"]
            answer = self.redact(room_id, event_id, f"v{version}", reason="oops")
            self.assertEqual(answer.status, 200, answer.body)
            redaction = self.event(answer.json["event_id"])
            self.assertEqual(redaction.redacts, event_id)
            self.assertEqual(redaction.content["reason"], "oops")
            self.assertEqual("redacts" in redaction.content, int(version) >= 11)
            self.assertEqual("redacts" in redaction.pdu, int(version) < 11)
            self.assertEqual(self.event(event_id).content, {})
            self.assertEqual(self.event(event_id).metadata.redacted_by, redaction.event_id)

    def test_by_sending_the_event(self) -> None:
        for version in ("1", "10", "11", "12"):
            room_id = self.room(room_version=version)
            event_id = self.put(room_id, f"m{version}").json["event_id"]
            answer = self.put(
                room_id, f"r{version}", {"redacts": event_id}, event_type="m.room.redaction"
            )
            self.assertEqual(answer.status, 200, answer.body)
            self.assertEqual(self.event(event_id).content, {})
        for number, (content, errcode) in enumerate(
            (
                ({}, "M_MISSING_PARAM"),
                ({"redacts": 1}, "M_BAD_JSON"),
                # Databases do not take such text.
                ({"redacts": "$a\0b"}, "M_INVALID_PARAM"),
                ({"redacts": "$" + "x" * 255}, "M_INVALID_PARAM"),
            )
        ):
            answer = self.put(room_id, f"bad{number}", content, event_type="m.room.redaction")
            self.assert_error(answer, 400, errcode)

    def test_own_events_and_those_of_others(self) -> None:
        for version in ("2", "3", "12"):
            room_id = self.room(room_version=version)
            self.join(room_id, self.bob)
            of_alice = self.put(room_id, f"a{version}").json["event_id"]
            of_bob = self.put(room_id, f"b{version}", token=self.bob).json["event_id"]
            answer = self.redact(room_id, of_alice, f"1{version}", self.bob)
            self.assert_error(answer, 403, "M_FORBIDDEN")
            self.assertEqual(self.event(of_alice).content, _MESSAGE)
            self.assertEqual(self.redact(room_id, of_bob, f"2{version}", self.bob).status, 200)
            another = self.put(room_id, f"c{version}", token=self.bob).json["event_id"]
            self.assertEqual(self.redact(room_id, another, f"3{version}").status, 200)
            self.assertEqual(self.event(another).content, {})

    def test_events_that_are_not_in_the_room(self) -> None:
        room_id, other = self.room(), self.room()
        elsewhere = self.put(other, "1").json["event_id"]
        for number, event_id in enumerate((elsewhere, "$nothing")):
            answer = self.redact(room_id, event_id, str(number))
            self.assert_error(answer, 404, "M_NOT_FOUND")
        self.assertEqual(self.event(elsewhere).content, _MESSAGE)

    def test_create_event(self) -> None:
        room_id = self.room()
        create = self.state_event(room_id, "m.room.create")
        assert create is not None
        self.assert_error(self.redact(room_id, create.event_id, "1"), 403, "M_FORBIDDEN")

    def test_post(self) -> None:
        room_id = self.room()
        event_id = self.put(room_id, "1").json["event_id"]
        self.ok("POST", f"rooms/{room_id}/redact/{event_id}", {})
        self.assertEqual(self.event(event_id).content, {})


class TestAnnotations(SendCase):
    def react(self, room_id: str, txn_id: str, event_id: str, key: str, token: str) -> Any:
        relation = {"rel_type": "m.annotation", "event_id": event_id, "key": key}
        return self.put(room_id, txn_id, {"m.relates_to": relation}, token, event_type="m.reaction")

    def test_one_of_a_kind_from_each_user(self) -> None:
        room_id = self.room()
        self.join(room_id, self.bob)
        event_id = self.put(room_id, "message").json["event_id"]
        first = self.react(room_id, "1", event_id, "+", self.bob)
        self.assertEqual(first.status, 200)
        answer = self.react(room_id, "2", event_id, "+", self.bob)
        self.assert_error(answer, 400, "M_DUPLICATE_ANNOTATION")
        self.assertEqual(self.react(room_id, "3", event_id, "-", self.bob).status, 200)
        self.assertEqual(self.react(room_id, "4", event_id, "+", self.alice).status, 200)

    def test_again_after_redaction(self) -> None:
        room_id = self.room()
        event_id = self.put(room_id, "message").json["event_id"]
        first = self.react(room_id, "1", event_id, "+", self.alice).json["event_id"]
        self.ok("PUT", f"rooms/{room_id}/redact/{first}/1", {})
        self.assertEqual(self.react(room_id, "2", event_id, "+", self.alice).status, 200)

    def test_of_what_is_no_event_id(self) -> None:
        room_id = self.room()
        asked = []
        relations = self.master.store.get_annotations_of_user
        self.patch(
            self.master.store,
            "get_annotations_of_user",
            lambda event_id, *args: asked.append(event_id) or relations(event_id, *args),
        )
        for number in range(2):
            answer = self.react(room_id, str(number), "$a\0b", "+", self.alice)
            self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(asked, [])

    def test_retry_is_no_duplicate(self) -> None:
        room_id = self.room()
        event_id = self.put(room_id, "message").json["event_id"]
        first = self.react(room_id, "1", event_id, "+", self.alice).json["event_id"]
        self.master.reactor.advance(40 * 60)
        again = self.react(room_id, "1", event_id, "+", self.alice)
        self.assertEqual(again.json["event_id"], first)


class TestLimits(SendCase):
    overrides = {
        "rc_message": {"per_second": 0.001, "burst_count": 3},
        "rc_admin_redaction": {"per_second": 0.001, "burst_count": 1},
    }

    def test_messages(self) -> None:
        room_id = self.room()
        for number in range(3):
            self.assertEqual(self.put(room_id, str(number)).status, 200)
        answer = self.put(room_id, "3")
        self.assert_error(answer, 429, "M_LIMIT_EXCEEDED")
        self.assertGreater(answer.json["retry_after_ms"], 0)
        self.assertEqual(self.put(room_id, "1").status, 200)
        self.master.reactor.advance(1100)
        self.assertEqual(self.put(room_id, "3").status, 200)

    def test_moderation_has_a_limit_of_its_own(self) -> None:
        room_id = self.room()
        self.join(room_id, self.bob)
        spam = [self.put(room_id, str(n), token=self.bob).json["event_id"] for n in range(2)]
        own = [self.put(room_id, str(n)).json["event_id"] for n in range(3)]
        paths = [f"rooms/{room_id}/redact/{event_id}/{event_id[1:5]}" for event_id in spam]
        self.ok("PUT", paths[0], {})
        self.assert_error(self.request("PUT", paths[1], {}), 429, "M_LIMIT_EXCEEDED")
        answer = self.request("PUT", f"rooms/{room_id}/redact/{own[0]}/own", {})
        self.assert_error(answer, 429, "M_LIMIT_EXCEEDED")


class TestCost(SendCase):
    def test_a_message_with_warm_caches(self) -> None:
        room_id = self.room()
        self.join(room_id, self.bob)
        self.put(room_id, "1")
        counts = self.master.db.counts
        before = counts.transactions
        self.put(room_id, "2")
        self.assertEqual(counts.transactions, before + 1)
