"""Searching for messages over HTTP, on both databases, through master and worker."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.crypto.base64 import encode_base64
from synapse_lite.storage import search as search_store
from synapse_lite.util.json import encode_json
from tests.harness.homeserver import make_master
from tests.rest.client.rooms import ALICE, BOB
from tests.rest.client.search import SearchCase


class AccessTests(SearchCase):
    def test_only_rooms_that_the_user_is_in(self) -> None:
        room_id = self.room(preset="private_chat")
        event_id = self.say(room_id, "hello")
        self.index()
        self.assertEqual(self.found("hello"), [event_id])
        self.assertEqual(self.search("hello", self.bob)["count"], 0)
        named = self.search("hello", self.bob, filter={"rooms": [room_id]})
        self.assertEqual((named["results"], named["count"]), ([], 0))

    def test_history_before_joining(self) -> None:
        hidden = self.room(initial_state=[visibility("joined")])
        shared = self.room()
        self.say(hidden, "hello hidden")
        old = self.say(shared, "hello shared")
        for room_id in (hidden, shared):
            self.join(room_id, self.bob)
        new = self.say(hidden, "hello new")
        self.index()
        answer = self.search("hello", self.bob, order_by="recent")
        found = [each["result"]["event_id"] for each in answer["results"]]
        self.assertEqual(found, [new, old])
        self.assertEqual(answer["count"], 2)  # what is hidden is not counted either

    def test_rooms_that_were_left_up_to_leaving(self) -> None:
        room_id = self.room(initial_state=[visibility("world_readable")])
        self.join(room_id, self.bob)
        before = self.say(room_id, "hello before")
        self.ok("POST", f"rooms/{room_id}/leave", {}, self.bob)
        self.say(room_id, "hello after")
        self.index()
        answer = self.search("hello", self.bob, event_context={}, include_state=True)
        (result,) = answer["results"]
        self.assertEqual(result["result"]["event_id"], before)
        after = [event["type"] for event in result["context"]["events_after"]]
        self.assertEqual(after, ["m.room.member"])
        members = {
            event["state_key"]: event["content"]["membership"]
            for event in answer["state"][room_id]
            if event["type"] == "m.room.member"
        }
        self.assertEqual(members, {ALICE: "join", BOB: "leave"})
        self.ok("POST", f"rooms/{room_id}/forget", {}, self.bob)
        self.assertEqual(self.found("hello", self.bob), [])

    def test_more_rooms_than_labels(self) -> None:
        self.patch(search_store, "MAX_LABELS", 1)
        mine, other = self.room(), self.room()
        event_id = self.say(other, "hello")
        hidden = self.master.create_room(self.bob, preset="private_chat")
        self.say(hidden, "hello", self.bob)
        self.say(mine, "nothing")
        self.index()
        self.assertEqual(self.found("hello"), [event_id])


class ShapeTests(SearchCase):
    def test_filters(self) -> None:
        first, second = self.room(), self.room()
        self.join(first, self.bob)
        mine = self.say(first, "hello")
        theirs = self.say(first, "hello", self.bob)
        other = self.say(second, "hello")
        self.index()
        cases: list[tuple[dict[str, Any], set[str]]] = [
            ({}, {mine, theirs, other}),
            ({"rooms": [first]}, {mine, theirs}),
            ({"not_rooms": [first]}, {other}),
            ({"senders": [BOB]}, {theirs}),
            ({"not_senders": [BOB]}, {mine, other}),
            ({"types": ["m.room.*"]}, {mine, theirs, other}),
            ({"types": ["m.room.name"]}, set()),
            ({"not_types": ["m.room.message"]}, set()),
            ({"contains_url": True}, set()),
        ]
        for conditions, expected in cases:
            self.assertEqual(set(self.found("hello", filter=conditions)), expected, conditions)

    def test_order_and_ranks(self) -> None:
        room_id = self.room()
        whole = self.say(room_id, "tea")
        often = self.say(room_id, "tea tea tea")
        inside = self.say(room_id, "steam")
        begins = self.say(room_id, "teapot")
        self.index()
        self.assertEqual(self.found("tea", order_by="recent"), [begins, inside, often, whole])
        answer = self.search("tea")
        found = [each["result"]["event_id"] for each in answer["results"]]
        self.assertEqual(found, [often, whole, begins, inside])
        ranks = [each["rank"] for each in answer["results"]]
        self.assertEqual(ranks, sorted(ranks, reverse=True))
        self.assertEqual(answer["highlights"], ["tea"])

    def test_pages_of_both_orders(self) -> None:
        self.patch(search_store, "MAX_FOUND", 5)
        room_id = self.room()
        said = [self.say(room_id, f"number {number}") for number in range(12)]
        self.index()
        for order in ("recent", "rank"):
            found: list[str] = []
            expected = sorted(said)
            token = None
            for _ in range(20):
                answer = self.search(
                    "number", next_batch=token, order_by=order, filter={"limit": 3}
                )
                self.assertEqual(answer["count"], 5)  # as far as one look into the index
                found += [each["result"]["event_id"] for each in answer["results"]]
                token = answer.get("next_batch")
                if token is None:
                    break
                said.append(self.say(room_id, "number of something new"))
                self.index()
            self.assertEqual(sorted(found), expected, order)

    def test_examining_is_bounded_and_goes_on(self) -> None:
        self.patch(search_store, "MAX_EXAMINED", 2)
        room_id = self.room()
        wanted = self.say(room_id, "abcabd")
        for _ in range(6):
            self.say(room_id, "abcab cabd bcabd")
        self.index()
        answer = self.search("abcabd")
        self.assertEqual(answer["results"], [])  # three looks at two messages each
        self.assertEqual(
            [wanted],
            [
                each["result"]["event_id"]
                for each in self.search("abcabd", next_batch=answer["next_batch"])["results"]
            ],
        )

    def test_groups_and_their_pages(self) -> None:
        first, second = self.room(), self.room()
        self.join(first, self.bob)
        said = {
            room_id: [self.say(room_id, "hello") for _ in range(4)] for room_id in (first, second)
        }
        bobs = self.say(first, "hello", self.bob)
        self.index()
        grouped = {"group_by": [{"key": "room_id"}, {"key": "sender"}]}
        for order in ("recent", "rank"):
            answer = self.search("hello", order_by=order, groupings=grouped, filter={"limit": 3})
            groups = answer["groups"]
            self.assertEqual(set(groups["sender"]), {ALICE, BOB})
            self.assertEqual(groups["sender"][BOB]["results"], [bobs])
            self.assertNotIn("next_batch", groups["sender"][BOB])
            given = groups["room_id"][second]["results"]
            token = groups["room_id"][second]["next_batch"]
            rest = self.search(
                "hello", next_batch=token, order_by=order, groupings=grouped, filter={"limit": 6}
            )
            found = [each["result"]["event_id"] for each in rest["results"]]
            self.assertEqual(sorted(given + found), sorted(said[second]))
            self.assertEqual(set(rest["groups"]["room_id"]), {second})
            self.assertEqual(sorted(group["order"] for group in groups["room_id"].values()), [1, 2])

    def test_context(self) -> None:
        room_id = self.room()
        said = [self.say(room_id, f"word{number}") for number in range(7)]
        self.index()
        answer = self.search(
            "word3",
            event_context={"before_limit": 2, "after_limit": 1, "include_profile": True},
        )
        (result,) = answer["results"]
        context = result["context"]
        before = [event["event_id"] for event in context["events_before"]]
        after = [event["event_id"] for event in context["events_after"]]
        self.assertEqual((before, after), ([said[2], said[1]], [said[4]]))
        self.assertEqual(context["profile_info"], {ALICE: {"displayname": "alice"}})
        self.assertEqual(result["result"]["room_id"], room_id)
        pages = (("b", context["start"], said[0]), ("f", context["end"], said[5]))
        for direction, start, expected in pages:
            page = self.ok("GET", f"rooms/{room_id}/messages?dir={direction}&from={start}&limit=1")
            self.assertEqual([event["event_id"] for event in page["chunk"]], [expected])

    def test_without_what_ignored_users_say(self) -> None:
        room_id = self.room()
        self.join(room_id, self.bob)
        self.ok("PUT", f"rooms/{room_id}/state/m.room.topic", {"topic": "tulips"})
        theirs = self.say(room_id, "roses and tulips")
        own = self.say(room_id, "only tulips", self.bob)
        self.index()
        topic = self.state_event(room_id, "m.room.topic")
        assert topic is not None
        self.assertEqual(
            self.found("tulips", self.bob, order_by="recent"), [own, theirs, topic.event_id]
        )
        ignored = {"ignored_users": {ALICE: {}}}
        self.ok("PUT", f"user/{BOB}/account_data/m.ignored_user_list", ignored, self.bob)
        answer = self.search("tulips", self.bob, order_by="recent", event_context={})
        found = [each["result"]["event_id"] for each in answer["results"]]
        self.assertEqual(found, [own, topic.event_id])
        around = [
            event["event_id"]
            for each in answer["results"]
            for side in ("events_before", "events_after")
            for event in each["context"][side]
        ]
        self.assertIn(topic.event_id, around)
        self.assertNotIn(theirs, around)

    def test_no_context_unless_asked_for(self) -> None:
        room_id = self.room()
        self.say(room_id, "hello")
        self.index()
        (result,) = self.search("hello")["results"]
        self.assertNotIn("context", result)

    def test_statements_do_not_grow_with_the_results(self) -> None:
        room_id = self.room()
        for number in range(40):
            self.say(room_id, f"hello {number}")
        self.index()
        costs = []
        for limit in (2, 40):
            body = {
                "search_categories": {
                    "room_events": {
                        "search_term": "hello",
                        "filter": {"limit": limit},
                        "event_context": {"include_profile": True},
                    }
                }
            }
            with self.master.db.recording() as statements:
                answer = self.ok("POST", "search", body)["search_categories"]["room_events"]
            self.assertEqual(len(answer["results"]), limit)
            costs.append(len(statements))
        self.assertLessEqual(max(costs), 8)

    def test_categories_may_be_missing(self) -> None:
        self.assertEqual(
            self.ok("POST", "search", {"search_categories": {}}), {"search_categories": {}}
        )


class ErrorTests(SearchCase):
    def test_bad_requests(self) -> None:
        cases: list[tuple[Any, str]] = [
            ({}, "M_MISSING_PARAM"),
            ({"search_term": 7}, "M_BAD_JSON"),
            ({"search_term": "a\0b"}, "M_INVALID_PARAM"),
            ({"search_term": "x" * 1025}, "M_INVALID_PARAM"),
            ({"search_term": " ".join(map(str, range(101)))}, "M_INVALID_PARAM"),
            ({"search_term": "a", "order_by": "size"}, "M_INVALID_PARAM"),
            ({"search_term": "a", "keys": "content.body"}, "M_BAD_JSON"),
            ({"search_term": "a", "filter": []}, "M_BAD_JSON"),
            ({"search_term": "a", "event_context": {"before_limit": -1}}, "M_INVALID_PARAM"),
            ({"search_term": "a", "groupings": {"group_by": ["sender"]}}, "M_BAD_JSON"),
            ({"search_term": "a", "groupings": {"group_by": [{"key": "x"}]}}, "M_INVALID_PARAM"),
        ]
        for wanted, errcode in cases:
            answer = self.request("POST", "search", {"search_categories": {"room_events": wanted}})
            self.assert_error(answer, 400, errcode)
        self.assert_error(self.request("POST", "search", {}), 400, "M_MISSING_PARAM")
        for token in ("x", "W10", "WzEsMiwzLDRd", "W3RydWUsMCxudWxsLHt9XQ"):
            body = {"search_categories": {"room_events": {"search_term": "a"}}}
            answer = self.request("POST", f"search?next_batch={token}", body)
            self.assert_error(answer, 400, "M_INVALID_PARAM")

    def test_numbers_that_no_database_holds(self) -> None:
        for fields in ([2**70, 0, None, {}], [1, 2**63, None, {}], [5, -1, None, {}]):
            token = search_token(fields)
            body = {"search_categories": {"room_events": {"search_term": "a"}}}
            answer = self.request("POST", f"search?next_batch={token}", body)
            self.assert_error(answer, 400, "M_INVALID_PARAM")


class TurnedOffTests(TestCase):
    def test_searching_can_be_turned_off(self) -> None:
        master = make_master({"enable_search": False})
        alice = master.register("alice")
        body = {"search_categories": {"room_events": {"search_term": "a"}}}
        answer = master.request("POST", "search", body, alice)
        self.assertEqual((answer.status, answer.json["errcode"]), (400, "M_UNKNOWN"))


def visibility(setting: str) -> dict[str, Any]:
    return {
        "type": "m.room.history_visibility",
        "state_key": "",
        "content": {"history_visibility": setting},
    }


def search_token(fields: list[Any]) -> str:
    return encode_base64(encode_json(fields), urlsafe=True)


class PostgresAccessTests(AccessTests):
    postgres = True


class PostgresShapeTests(ShapeTests):
    postgres = True
