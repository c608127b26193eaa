"""Relations of events, threads, and what is told of them with events, over HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from synapse_lite.app.table import CLIENT_READER, SYNCHROTRON
from synapse_lite.handlers.search_index import INDEX_SECONDS, SearchIndexer
from tests.harness.homeserver import Answer, make_worker, now
from tests.rest.client.rooms import ALICE, BOB
from tests.rest.client.test_room_history import texts
from tests.rest.client.test_room_state import WORLD_READABLE, ReadingCase

ONE_EVENT = quote('{"room":{"timeline":{"limit":1}}}')


def relation(rel_type: str, event_id: str, **more: Any) -> dict[str, Any]:
    return {"m.relates_to": {"rel_type": rel_type, "event_id": event_id, **more}}


def ids(events: list[Any]) -> list[str]:
    return [event["event_id"] for event in events]


class RelationsCase(ReadingCase):
    """A room of Alice and Bob, read through a client_reader; and ways to relate events."""

    def setUp(self) -> None:
        super().setUp()
        self.sent = 0

    def say(self, body: str, token: str | None = None) -> str:
        return self.send({"msgtype": "m.text", "body": body}, token)

    def try_send(
        self, content: Any, token: str | None = None, event_type: str = "m.room.message"
    ) -> Answer:
        self.sent += 1
        self.master.reactor.advance(0.01)  # so that clocks tell events apart
        path = f"rooms/{self.room_id}/send/{event_type}/{self.sent}"
        return self.master.request("PUT", path, content, token or self.alice)

    def send(
        self, content: Any, token: str | None = None, event_type: str = "m.room.message"
    ) -> str:
        answer = self.try_send(content, token, event_type)
        self.assertEqual(answer.status, 200, answer.body)
        event_id: str = answer.json["event_id"]
        return event_id

    def edit(self, event_id: str, body: str, token: str | None = None, **more: Any) -> str:
        content = {"msgtype": "m.text", "body": body}
        content = {**content, "m.new_content": content, **relation("m.replace", event_id)}
        return self.send({**content, **more}, token)

    def reply(self, root_id: str, body: str, token: str | None = None) -> str:
        content = {"msgtype": "m.text", "body": body, **relation("m.thread", root_id)}
        return self.send(content, token)

    def refer(self, event_id: str, token: str | None = None) -> str:
        return self.send(relation("m.reference", event_id), token, "test.reference")

    def react(self, event_id: str, key: str, token: str | None = None) -> str:
        return self.send(relation("m.annotation", event_id, key=key), token, "m.reaction")

    def redact(self, event_id: str, token: str | None = None) -> None:
        self.sent += 1
        self.ok("PUT", f"rooms/{self.room_id}/redact/{event_id}/{self.sent}", {}, token)

    def ignore(self, user_id: str, token: str, reader: str) -> None:
        path = f"user/{quote(reader)}/account_data/m.ignored_user_list"
        self.ok("PUT", path, {"ignored_users": {user_id: {}}}, token)

    def bundle(self, event_id: str, token: str | None = None) -> Any:
        """`m.relations` of an event as GET /event shows it; empty without any."""
        return self.got(f"event/{event_id}", token)["unsigned"].get("m.relations", {})

    def v1(self, path: str, token: str | None = None) -> Answer:
        path = f"/_matrix/client/v1/rooms/{self.room_id}/{path}"
        return self.reader.request("GET", path, None, token or self.alice)

    def found(self, path: str, token: str | None = None) -> Any:
        """The JSON of an answer of the reader, which the master must give as well."""
        answer = self.v1(path, token)
        self.assertEqual(answer.status, 200, answer.body)
        whole = f"/_matrix/client/v1/rooms/{self.room_id}/{path}"
        other = self.master.request("GET", whole, None, token or self.alice)
        self.assertEqual(other.json, answer.json)
        return answer.json


class EditsTests(RelationsCase):
    def test_the_newest_edit_is_told_whole_and_the_content_is_left(self) -> None:
        event_id = self.say("one")
        self.edit(event_id, "two")
        edit_id = self.edit(event_id, "three")
        event = self.got(f"event/{event_id}")
        self.assertEqual(event["content"]["body"], "one")
        edit = event["unsigned"]["m.relations"]["m.replace"]
        self.assertEqual(edit["event_id"], edit_id)
        self.assertEqual(edit["content"]["m.new_content"]["body"], "three")
        self.assertEqual((edit["sender"], edit["room_id"]), (ALICE, self.room_id))
        self.assertEqual(edit["type"], "m.room.message")
        self.assertEqual(edit["origin_server_ts"], self.event(edit_id).origin_server_ts)
        self.assertNotIn("m.relations", self.got(f"event/{edit_id}")["unsigned"])

    def test_what_is_no_valid_edit(self) -> None:
        event_id = self.say("one")
        self.edit(event_id, "not mine", self.bob)
        content = {"body": "none", **relation("m.replace", event_id)}
        self.send(content)  # without new content
        self.send({**content, "m.new_content": "none"})
        self.send({**content, "m.new_content": {}}, None, "test.other")  # of another type
        state = {**content, "m.new_content": {}}
        self.ok("PUT", f"rooms/{self.room_id}/state/m.room.message/", state)
        self.assertEqual(self.bundle(event_id), {})
        edit_id = self.edit(event_id, "valid")
        self.edit(edit_id, "edit of an edit")
        self.assertEqual(self.bundle(event_id)["m.replace"]["event_id"], edit_id)
        self.assertEqual(self.bundle(edit_id), {})

    def test_state_is_not_edited_and_has_no_bundle(self) -> None:
        event_id = self.set("m.room.topic", {"topic": "one"})
        content = {"topic": "two", "m.new_content": {"topic": "two"}}
        self.send({**content, **relation("m.replace", event_id)}, None, "m.room.topic")
        self.refer(event_id)
        self.assertEqual(self.bundle(event_id), {})

    def test_not_from_another_room(self) -> None:
        event_id = self.say("one")
        here, self.room_id = self.room_id, self.room()
        self.edit(event_id, "elsewhere")
        self.refer(event_id)
        self.room_id = here
        self.assertEqual(self.bundle(event_id), {})
        self.assertEqual(self.found(f"relations/{event_id}")["chunk"], [])

    def test_encrypted_edits_have_their_content_inside(self) -> None:
        event_id = self.send({"ciphertext": "a"}, None, "m.room.encrypted")
        content = {"ciphertext": "b", **relation("m.replace", event_id)}
        edit_id = self.send(content, None, "m.room.encrypted")
        edit = self.bundle(event_id)["m.replace"]
        self.assertEqual(edit["event_id"], edit_id)
        self.assertEqual(edit["content"], content)

    def test_redacting_an_edit_brings_back_the_one_before(self) -> None:
        event_id = self.say("one")
        first = self.edit(event_id, "two")
        second = self.edit(event_id, "three")
        self.assertEqual(self.bundle(event_id)["m.replace"]["event_id"], second)
        self.redact(second)
        self.assertEqual(self.bundle(event_id)["m.replace"]["event_id"], first)
        self.redact(first)
        self.assertEqual(self.bundle(event_id), {})

    def test_the_edits_of_a_redacted_event_are_not_told(self) -> None:
        event_id = self.say("one")
        self.edit(event_id, "two")
        reference = self.refer(event_id)
        self.redact(event_id)
        self.assertEqual(
            self.bundle(event_id), {"m.reference": {"chunk": [{"event_id": reference}]}}
        )

    def test_edits_of_ignored_users_are_not_told(self) -> None:
        event_id = self.say("one")
        self.edit(event_id, "two")
        self.ignore(ALICE, self.bob, BOB)
        self.assertEqual(self.bundle(event_id, self.bob), {})
        self.assertIn("m.replace", self.bundle(event_id))


class ReferencesTests(RelationsCase):
    def test_references_are_told_by_id_in_their_order(self) -> None:
        event_id = self.say("one")
        first, second = self.refer(event_id), self.refer(event_id, self.bob)
        self.assertEqual(
            self.bundle(event_id),
            {"m.reference": {"chunk": [{"event_id": first}, {"event_id": second}]}},
        )
        self.ignore(BOB, self.alice, ALICE)
        self.assertEqual(self.bundle(event_id), {"m.reference": {"chunk": [{"event_id": first}]}})
        self.redact(first)
        self.assertEqual(self.bundle(event_id), {})

    def test_annotations_and_other_relations_are_not_told(self) -> None:
        event_id = self.say("one")
        self.react(event_id, "👍")
        self.send(relation("test.relation", event_id), None, "test.event")
        self.assertEqual(self.bundle(event_id), {})


class ThreadsTests(RelationsCase):
    def test_a_thread_and_who_takes_part_in_it(self) -> None:
        root_id = self.say("root")
        self.reply(root_id, "one", self.bob)
        newest = self.reply(root_id, "two", self.bob)
        self.join(self.room_id, self.carol)
        thread = self.bundle(root_id)["m.thread"]
        self.assertEqual(thread["count"], 2)
        self.assertEqual(thread["latest_event"]["event_id"], newest)
        self.assertEqual(thread["latest_event"]["content"]["body"], "two")
        self.assertTrue(thread["current_user_participated"])  # she has sent the root
        self.assertTrue(self.bundle(root_id, self.bob)["m.thread"]["current_user_participated"])
        self.assertFalse(self.bundle(root_id, self.carol)["m.thread"]["current_user_participated"])
        self.reply(root_id, "three", self.carol)
        thread = self.bundle(root_id, self.carol)["m.thread"]
        self.assertTrue(thread["current_user_participated"])
        self.assertEqual(thread["count"], 3)

    def test_the_newest_event_has_a_bundle_of_its_own(self) -> None:
        root_id = self.say("root")
        newest = self.reply(root_id, "one")
        edit_id = self.edit(newest, "edited")
        thread = self.bundle(root_id)["m.thread"]
        self.assertEqual(thread["latest_event"]["event_id"], newest)
        inner = thread["latest_event"]["unsigned"]["m.relations"]
        self.assertEqual(inner["m.replace"]["event_id"], edit_id)
        self.assertEqual(self.bundle(newest)["m.replace"]["event_id"], edit_id)

    def test_redactions_take_events_out_of_a_thread(self) -> None:
        root_id = self.say("root")
        first = self.reply(root_id, "one")
        second = self.reply(root_id, "two", self.bob)
        self.assertEqual(self.bundle(root_id)["m.thread"]["count"], 2)
        self.redact(second)
        thread = self.bundle(root_id, self.bob)["m.thread"]
        self.assertEqual(thread["count"], 1)
        self.assertEqual(thread["latest_event"]["event_id"], first)
        self.assertFalse(thread["current_user_participated"])
        self.redact(second)  # again
        self.assertEqual(self.bundle(root_id)["m.thread"]["count"], 1)
        self.redact(first)
        self.assertEqual(self.bundle(root_id), {})
        self.assertEqual(self.found("threads")["chunk"], [])
        third = self.reply(root_id, "three")
        self.assertEqual(self.bundle(root_id)["m.thread"]["latest_event"]["event_id"], third)
        self.assertEqual(ids(self.found("threads")["chunk"]), [root_id])

    def test_a_redacted_root_keeps_its_thread(self) -> None:
        root_id = self.say("root")
        self.reply(root_id, "one")
        self.redact(root_id)
        self.assertEqual(self.bundle(root_id)["m.thread"]["count"], 1)
        (root,) = self.found("threads")["chunk"]
        self.assertEqual(root["content"], {})
        self.assertEqual(root["unsigned"]["m.relations"]["m.thread"]["count"], 1)

    def test_ignored_users_do_not_count(self) -> None:
        root_id, other_id = self.say("root"), self.say("other")
        first = self.reply(root_id, "one")
        self.reply(root_id, "two", self.bob)
        self.reply(other_id, "three", self.bob)
        self.ignore(BOB, self.alice, ALICE)
        thread = self.bundle(root_id)["m.thread"]
        self.assertEqual(thread["count"], 1)
        self.assertEqual(thread["latest_event"]["event_id"], first)
        self.assertEqual(self.bundle(other_id), {})
        self.assertEqual(ids(self.found("threads")["chunk"]), [root_id])
        self.assertEqual(self.bundle(root_id, self.bob)["m.thread"]["count"], 2)

    def test_threads_do_not_start_from_relations(self) -> None:
        root_id = self.say("root")
        inside = self.reply(root_id, "one")
        for event_id in (inside, self.edit(root_id, "edit"), self.react(root_id, "a")):
            content = {"body": "x", **relation("m.thread", event_id)}
            self.assert_error(self.try_send(content), 400, "M_UNKNOWN")
        # A rich reply has no rel_type, so it may be a root.
        rich = {"body": "x", "m.relates_to": {"m.in_reply_to": {"event_id": root_id}}}
        self.reply(self.send(rich), "fine")
        here, self.room_id = self.room_id, self.room()
        content = {"body": "x", **relation("m.thread", root_id)}
        self.assert_error(self.try_send(content), 400, "M_UNKNOWN")
        self.room_id = here

    def test_threads_of_a_room_by_their_newest_events(self) -> None:
        roots = [self.say(str(number)) for number in range(5)]
        for root_id in roots:
            self.reply(root_id, "a")
        self.say("in between")
        self.reply(roots[1], "newest")
        expected = [roots[1], roots[4], roots[3], roots[2], roots[0]]
        self.assertEqual(ids(self.found("threads")["chunk"]), expected)
        self.assertNotIn("next_batch", self.found("threads"))
        for limit in (1, 2, 5):
            found: list[str] = []
            page = self.found(f"threads?limit={limit}")
            while "next_batch" in page:
                found += ids(page["chunk"])
                page = self.found(f"threads?limit={limit}&from={page['next_batch']}")
            self.assertEqual(found + ids(page["chunk"]), expected)
        (root, *_) = self.found("threads")["chunk"]
        self.assertEqual(root["unsigned"]["m.relations"]["m.thread"]["count"], 2)
        self.assertEqual(root["unsigned"]["membership"], "join")

    def test_threads_of_a_user(self) -> None:
        started = self.say("started", self.bob)
        joined, foreign, left = self.say("joined"), self.say("foreign"), self.say("left")
        for root_id in (started, joined, foreign, left):
            self.reply(root_id, "by alice")
        self.reply(joined, "by bob", self.bob)
        self.redact(self.reply(left, "by bob", self.bob))
        self.reply(started, "newest")
        found = self.found("threads?include=participated", self.bob)
        self.assertEqual(ids(found["chunk"]), [started, joined])
        page = self.found("threads?include=participated&limit=1", self.bob)
        self.assertEqual(ids(page["chunk"]), [started])
        path = f"threads?include=participated&limit=1&from={page['next_batch']}"
        page = self.found(path, self.bob)
        self.assertEqual(ids(page["chunk"]), [joined])
        self.assertNotIn("next_batch", page)
        self.assertEqual(len(self.found("threads?include=participated")["chunk"]), 4)
        self.join(self.room_id, self.carol)
        self.assertEqual(self.found("threads?include=participated", self.carol)["chunk"], [])

    def test_the_root_of_an_ignored_user_is_shown_redacted(self) -> None:
        root_id = self.say("secret", self.bob)
        self.reply(root_id, "one")
        self.ignore(BOB, self.alice, ALICE)
        (root,) = self.found("threads")["chunk"]
        self.assertEqual((root["event_id"], root["content"]), (root_id, {}))
        self.assertEqual(root["unsigned"]["m.relations"]["m.thread"]["count"], 1)

    def test_who_may_ask(self) -> None:
        root_id = self.say("root")
        self.reply(root_id, "one")
        self.assert_error(self.v1("threads", self.carol), 403, "M_FORBIDDEN")
        self.leave(self.bob)
        later = self.say("later")
        self.reply(later, "two")
        self.assertEqual(ids(self.found("threads", self.bob)["chunk"]), [root_id])
        for query in ("from=yesterday", "limit=0", "limit=x", "include=some"):
            self.assert_error(self.v1(f"threads?{query}"), 400, "M_INVALID_PARAM")
        whole = "/_matrix/client/v1/rooms/!none:test/threads"
        answer = self.reader.request("GET", whole, None, self.alice)
        self.assert_error(answer, 403, "M_FORBIDDEN")


class VisibilityTests(RelationsCase):
    def test_who_has_left_sees_the_relations_of_then(self) -> None:
        event_id = self.say("one")
        edit_id = self.edit(event_id, "two")
        newest = self.reply(event_id, "in time", self.bob)
        reference = self.refer(event_id)
        self.leave(self.bob)
        self.edit(event_id, "secret")
        self.reply(event_id, "secret")
        self.refer(event_id)
        bundle = self.bundle(event_id, self.bob)
        self.assertEqual(bundle["m.replace"]["event_id"], edit_id)
        self.assertEqual(bundle["m.thread"]["latest_event"]["event_id"], newest)
        self.assertEqual(bundle["m.thread"]["count"], 1)
        self.assertTrue(bundle["m.thread"]["current_user_participated"])
        self.assertEqual(bundle["m.reference"], {"chunk": [{"event_id": reference}]})
        for query in ("", "?dir=f"):
            chunk = self.found(f"relations/{event_id}{query}", self.bob)["chunk"]
            self.assertEqual(set(ids(chunk)), {edit_id, newest, reference})
        sync = self.ok("GET", f"sync?filter={quote(LEFT_TOO)}", None, self.bob)
        shown = sync["rooms"]["leave"][self.room_id]["timeline"]["events"]
        self.assertNotIn("secret", str(shown))

    def test_what_was_said_while_away_may_be_hidden(self) -> None:
        self.set("m.room.history_visibility", {"history_visibility": "joined"})
        event_id = self.say("one")
        self.leave(self.bob)
        self.edit(event_id, "secret")
        self.join(self.room_id, self.bob)
        self.assertEqual(self.bundle(event_id, self.bob), {})
        edit_id = self.edit(event_id, "shown")
        self.assertEqual(self.bundle(event_id, self.bob)["m.replace"]["event_id"], edit_id)

    def test_strangers_see_what_was_world_readable(self) -> None:
        hidden = self.say("hidden")
        self.assert_error(self.v1(f"relations/{hidden}", self.carol), 404, "M_NOT_FOUND")
        self.set("m.room.history_visibility", WORLD_READABLE)
        event_id = self.say("one")
        edit_id = self.edit(event_id, "two")
        self.assertEqual(self.bundle(event_id, self.carol)["m.replace"]["event_id"], edit_id)
        self.assertEqual(ids(self.found(f"relations/{event_id}", self.carol)["chunk"]), [edit_id])
        self.set("m.room.history_visibility", {"history_visibility": "shared"})
        self.edit(event_id, "secret")
        self.set("m.room.history_visibility", WORLD_READABLE)
        self.assertEqual(self.bundle(event_id, self.carol)["m.replace"]["event_id"], edit_id)


LEFT_TOO = '{"room":{"include_leave":true,"timeline":{"limit":20}}}'


class RelationsTests(RelationsCase):
    def test_pages_in_both_directions(self) -> None:
        event_id = self.say("one")
        related = [self.refer(event_id) for _ in range(7)]
        for direction, expected in (("b", related[::-1]), ("f", related)):
            for limit in (1, 3, 7, 50):
                found: list[str] = []
                path = f"relations/{event_id}?dir={direction}&limit={limit}"
                page = self.found(path)
                self.assertNotIn("prev_batch", page)
                self.assertNotIn("recursion_depth", page)
                while "next_batch" in page:
                    found += ids(page["chunk"])
                    start = page["next_batch"]
                    page = self.found(f"{path}&from={start}")
                    self.assertEqual(page["prev_batch"], start)
                self.assertEqual(found + ids(page["chunk"]), expected)
        self.assertEqual(ids(self.found(f"relations/{event_id}")["chunk"]), related[::-1])

    def test_between_tokens(self) -> None:
        event_id = self.say("one")
        related = [self.refer(event_id) for _ in range(6)]
        path = f"relations/{event_id}"
        first = self.found(f"{path}?limit=2")["next_batch"]
        second = self.found(f"{path}?limit=2&from={first}")["next_batch"]
        page = self.found(f"{path}?from={first}&to={second}")
        self.assertEqual(ids(page["chunk"]), related[3:1:-1])
        self.assertEqual(self.found(f"{path}?from={second}&to={first}")["chunk"], [])
        page = self.found(f"{path}?dir=f&from={second}&to={first}")
        self.assertEqual(ids(page["chunk"]), related[2:4])

    def test_tokens_of_messages_and_of_sync(self) -> None:
        event_id = self.say("one")
        first = self.refer(event_id)
        since = self.ok("GET", "sync")["next_batch"]
        start = self.got("messages?dir=b&limit=1")["start"]
        second = self.refer(event_id)
        for token in (since, start):
            path = f"relations/{event_id}?from={token}"
            self.assertEqual(ids(self.found(path)["chunk"]), [first])
            self.assertEqual(ids(self.found(f"{path}&dir=f")["chunk"]), [second])
            page = self.found(f"relations/{event_id}?to={token}")
            self.assertEqual(ids(page["chunk"]), [second])
        token = self.found(f"relations/{event_id}?limit=1")["next_batch"]
        page = self.got(f"messages?dir=b&limit=2&from={token}")
        self.assertEqual(ids(page["chunk"]), [first, event_id])

    def test_by_kind_and_type(self) -> None:
        event_id = self.say("one")
        edit_id = self.edit(event_id, "two")
        reaction = self.react(event_id, "a")
        other = self.send(relation("m.annotation", event_id, key="b"), None, "test.event")
        self.send({"body": "x", "m.relates_to": {"m.in_reply_to": {"event_id": event_id}}})
        for path, expected in (
            ("", [other, reaction, edit_id]),
            ("/m.annotation", [other, reaction]),
            ("/m.annotation/m.reaction", [reaction]),
            ("/m.replace", [edit_id]),
            ("/m.replace/m.reaction", []),
            ("/m.thread", []),
        ):
            with self.subTest(path=path):
                self.assertEqual(ids(self.found(f"relations/{event_id}{path}")["chunk"]), expected)
        self.redact(reaction)
        page = self.found(f"relations/{event_id}/m.annotation")
        self.assertEqual(ids(page["chunk"]), [other])
        self.ignore(BOB, self.alice, ALICE)
        self.react(event_id, "c", self.bob)
        page = self.found(f"relations/{event_id}/m.annotation")
        self.assertEqual(ids(page["chunk"]), [other])

    def test_relations_have_bundles(self) -> None:
        root_id = self.say("root")
        inside = self.reply(root_id, "one")
        edit_id = self.edit(inside, "two")
        (event,) = self.found(f"relations/{root_id}/m.thread")["chunk"]
        self.assertEqual(event["unsigned"]["m.relations"]["m.replace"]["event_id"], edit_id)
        self.assertEqual(event["unsigned"]["membership"], "join")
        self.assertEqual(event["room_id"], self.room_id)

    def test_recursion(self) -> None:
        root_id = self.say("root")
        inside = self.reply(root_id, "one")
        reaction = self.react(inside, "a")
        deep = self.refer(reaction)
        too_deep = self.refer(deep)
        page = self.found(f"relations/{root_id}?recurse=true")
        self.assertEqual(ids(page["chunk"]), [deep, reaction, inside])
        self.assertEqual(page["recursion_depth"], 3)
        self.assertEqual(ids(self.found(f"relations/{root_id}")["chunk"]), [inside])
        page = self.found(f"relations/{root_id}?recurse=false")
        self.assertEqual((ids(page["chunk"]), page["recursion_depth"]), ([inside], 0))
        page = self.found(f"relations/{inside}?recurse=true&dir=f")
        self.assertEqual(ids(page["chunk"]), [reaction, deep, too_deep])
        # What is between must be asked for, too.
        page = self.found(f"relations/{root_id}/m.annotation?recurse=true")
        self.assertEqual(page["chunk"], [])
        page = self.found(f"relations/{root_id}?recurse=true&limit=2")
        self.assertEqual(ids(page["chunk"]), [deep, reaction])
        page = self.found(f"relations/{root_id}?recurse=true&from={page['next_batch']}")
        self.assertEqual(ids(page["chunk"]), [inside])
        self.redact(reaction)
        page = self.found(f"relations/{root_id}?recurse=true")
        self.assertEqual(ids(page["chunk"]), [inside])

    def test_the_relations_of_a_redacted_event_stay(self) -> None:
        event_id = self.say("one")
        edit_id = self.edit(event_id, "two")
        self.redact(event_id)
        self.assertEqual(ids(self.found(f"relations/{event_id}")["chunk"]), [edit_id])

    def test_bad_input(self) -> None:
        event_id = self.say("one")
        for query in ("dir=up", "limit=0", "limit=x", "from=x", "to=t1", "recurse=maybe"):
            with self.subTest(query=query):
                answer = self.v1(f"relations/{event_id}?{query}")
                self.assert_error(answer, 400, "M_INVALID_PARAM")
        self.assert_error(self.v1("relations/$none"), 404, "M_NOT_FOUND")
        self.assert_error(self.v1(f"relations/{event_id}", self.carol), 404, "M_NOT_FOUND")
        other = f"/_matrix/client/v1/rooms/{self.room()}/relations/{event_id}"
        answer = self.reader.request("GET", other, None, self.alice)
        self.assert_error(answer, 404, "M_NOT_FOUND")
        self.assertEqual(self.found(f"relations/{event_id}?limit=99999999")["chunk"], [])


class BundlesTests(RelationsCase):
    """Where bundles are told, and what they cost."""

    def test_messages_and_context(self) -> None:
        event_id = self.say("one")
        edit_id = self.edit(event_id, "two")
        page = self.got("messages?dir=b&limit=2")
        self.assertEqual(texts(page["chunk"]), ["two", "one"])
        shown = page["chunk"][1]["unsigned"]["m.relations"]["m.replace"]
        self.assertEqual(shown["event_id"], edit_id)
        for path in (f"context/{event_id}", f"context/{edit_id}"):
            found = self.got(path)
            events = [found["event"], *found["events_before"]]
            (event,) = [event for event in events if event["event_id"] == event_id]
            shown = event["unsigned"]["m.relations"]["m.replace"]
            self.assertEqual(shown["event_id"], edit_id)

    def test_search(self) -> None:
        event_id = self.say("zebra")
        reference = self.refer(event_id)
        indexer = self.master.hs.part(SearchIndexer)
        now(indexer.start())
        self.master.reactor.advance(INDEX_SECONDS)
        body = {"search_categories": {"room_events": {"search_term": "zebra"}}}
        found = self.reader.request("POST", "search", body, self.alice).json
        (result,) = found["search_categories"]["room_events"]["results"]
        shown = result["result"]["unsigned"]["m.relations"]
        self.assertEqual(shown["m.reference"], {"chunk": [{"event_id": reference}]})

    def test_a_page_costs_two_statements_more_and_then_none(self) -> None:
        roots = [self.say(str(number)) for number in range(10)]
        for root_id in roots:
            self.reply(root_id, "a", self.bob)
            self.refer(root_id)
        self.reader = make_worker(CLIENT_READER, self.master)  # knows nothing of the past
        self.got("messages?dir=b&limit=30")
        with self.reader.db.recording() as statements:
            self.got("messages?dir=b&limit=30")
        self.assertEqual(len([sql for sql in statements if "thread_activity" in sql]), 0)
        self.assertLessEqual(len(statements), 1, statements)
        self.reader.store.get_relations.invalidate_all()
        with self.reader.db.recording() as statements:
            self.got("messages?dir=b&limit=30")
        self.assertEqual(len([sql for sql in statements if "thread_activity" in sql]), 1)
        self.assertLessEqual(len(statements), 2, statements)

    def test_new_events_without_relations_are_known_to_have_none(self) -> None:
        for number in range(20):
            self.say(str(number))
            self.react(self.say("liked"), "a")
        with self.reader.db.recording() as statements:
            self.got("messages?dir=b&limit=20")
        self.assertEqual([sql for sql in statements if "thread_activity" in sql], [])

    def test_a_reply_costs_one_statement_more_than_a_message(self) -> None:
        root_id = self.say("root")
        self.reply(root_id, "warm")
        with self.master.db.recording() as plain:
            self.say("plain")
        with self.master.db.recording() as in_thread:
            self.reply(root_id, "in the thread")
        self.assertEqual(len(in_thread), len(plain) + 1, in_thread)
        self.assertLessEqual(len(in_thread), 11)


class SyncTests(RelationsCase):
    def setUp(self) -> None:
        super().setUp()
        self.synchrotron = make_worker(SYNCHROTRON, self.master)

    def sync(self, token: str, query: str = "") -> Any:
        answer = self.synchrotron.request("GET", f"sync?{query}", None, token)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def timeline(self, answer: Any) -> list[Any]:
        events: list[Any] = answer["rooms"]["join"][self.room_id]["timeline"]["events"]
        return events

    def shown(self, token: str, limit: int = 2) -> dict[str, Any]:
        """`m.relations` of the timeline of a first sync, by event."""
        query = quote(f'{{"room":{{"timeline":{{"limit":{limit}}}}}}}')
        events = self.timeline(self.sync(token, f"filter={query}"))
        return {event["event_id"]: event["unsigned"].get("m.relations") for event in events}

    def test_limited_timelines_have_bundles(self) -> None:
        root_id = self.say("root")
        edit_id = self.edit(root_id, "edited")
        shown = self.shown(self.alice)
        self.assertEqual(shown[root_id]["m.replace"]["event_id"], edit_id)
        self.assertNotIn("room_id", shown[root_id]["m.replace"])
        self.assertIsNone(shown[edit_id])
        # One that is not limited shows the relations themselves.
        self.assertEqual(set(self.shown(self.alice, 100).values()), {None})

    def test_each_reader_has_its_part_in_a_thread(self) -> None:
        self.join(self.room_id, self.carol)
        root_id = self.say("root")
        self.reply(root_id, "one", self.bob)
        for token, participates in ((self.carol, False), (self.bob, True), (self.alice, True)):
            thread = self.shown(token)[root_id]["m.thread"]
            self.assertEqual(thread["current_user_participated"], participates)
            self.assertEqual(thread["count"], 1)
        self.reply(root_id, "two", self.carol)
        for token in (self.alice, self.bob, self.carol):
            thread = self.shown(token, 3)[root_id]["m.thread"]
            self.assertTrue(thread["current_user_participated"])
            self.assertEqual(thread["count"], 2)

    def test_bytes_made_before_a_relation_are_not_found_after_it(self) -> None:
        event_id = self.say("one")
        query = f"filter={ONE_EVENT}"
        (event,) = self.timeline(self.sync(self.alice, query))
        self.assertNotIn("m.relations", event["unsigned"])
        self.ignore(BOB, self.alice, ALICE)
        self.refer(event_id, self.bob)
        # Alice ignores Bob: the same event is shown, and his reference is not told.
        (event,) = self.timeline(self.sync(self.alice, query))
        self.assertEqual(event["event_id"], event_id)
        self.assertNotIn("m.relations", event["unsigned"])
        self.ok("PUT", f"user/{quote(ALICE)}/account_data/m.ignored_user_list", {})
        reference = self.refer(event_id)
        shown = self.shown(self.alice, 3)
        self.assertEqual(len(shown[event_id]["m.reference"]["chunk"]), 2)
        self.redact(reference)
        shown = self.shown(self.alice, 4)
        self.assertEqual(len(shown[event_id]["m.reference"]["chunk"]), 1)

    def test_following_a_room_costs_no_statement(self) -> None:
        root_id = self.say("root")
        since = self.sync(self.alice)["next_batch"]
        self.reply(root_id, "warm", self.bob)
        since = self.sync(self.alice, f"since={since}")["next_batch"]
        self.reply(root_id, "one", self.bob)
        self.edit(root_id, "edited")
        with self.synchrotron.db.recording() as statements:
            self.assertEqual(len(self.timeline(self.sync(self.alice, f"since={since}"))), 2)
        self.assertEqual([sql for sql in statements if "relates_to" in sql], [])
        # Even with a gap: what has just come has no relations, unless they came as well.
        self.say("a")
        self.say("b")
        with self.synchrotron.db.recording() as statements:
            answer = self.sync(self.alice, f"since={since}&filter={ONE_EVENT}")
        self.assertEqual(texts(self.timeline(answer)), ["b"])
        self.assertEqual([sql for sql in statements if "thread_activity" in sql], [])
