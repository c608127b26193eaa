"""Reading single events, pages of history and what surrounds an event, over HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from synapse_lite.streams import EVENTS
from synapse_lite.types.tokens import RoomToken
from synapse_lite.util.json import encode_json_text
from tests.rest.client.rooms import ALICE, BOB
from tests.rest.client.test_room_state import WORLD_READABLE, ReadingCase


def texts(events: list[Any]) -> list[str]:
    """The texts of the messages among some events."""
    return [event["content"]["body"] for event in events if event["type"] == "m.room.message"]


def as_query(event_filter: Any) -> str:
    return f"filter={quote(encode_json_text(event_filter))}"


MESSAGES = as_query({"types": ["m.room.message"]})


class HistoryCase(ReadingCase):
    def say(self, *bodies: str) -> list[str]:
        """Alice sends messages. Returns their ids."""
        return [self.master.send(self.alice, self.room_id, body) for body in bodies]

    def hide_history(self) -> None:
        self.set("m.room.history_visibility", {"history_visibility": "joined"})


class EventTests(HistoryCase):
    def test_an_event(self) -> None:
        (event_id,) = self.say("hello")
        event = self.got(f"event/{event_id}", self.bob)
        self.assertEqual(event["content"]["body"], "hello")
        self.assertEqual(event["event_id"], event_id)
        self.assertEqual(event["room_id"], self.room_id)
        self.assertEqual(event["unsigned"], {"age": 0, "membership": "join"})
        self.assertIn("transaction_id", self.got(f"event/{event_id}")["unsigned"])

    def test_what_one_may_not_see_is_not_there(self) -> None:
        (event_id,) = self.say("hello")
        self.assert_error(self.get(f"event/{event_id}", self.carol), 404, "M_NOT_FOUND")
        self.assert_error(self.get("event/$none"), 404, "M_NOT_FOUND")
        other = self.room()
        answer = self.reader.request("GET", f"rooms/{other}/event/{event_id}", None, self.alice)
        self.assert_error(answer, 404, "M_NOT_FOUND")
        self.leave(self.bob)
        (later,) = self.say("later")
        self.assertEqual(self.get(f"event/{event_id}", self.bob).status, 200)
        self.assert_error(self.get(f"event/{later}", self.bob), 404, "M_NOT_FOUND")

    def test_strangers_see_what_was_world_readable(self) -> None:
        (hidden,) = self.say("hidden")
        self.set("m.room.history_visibility", WORLD_READABLE)
        (shown,) = self.say("shown")
        self.assertEqual(self.get(f"event/{shown}", self.carol).status, 200)
        self.assert_error(self.get(f"event/{hidden}", self.carol), 404, "M_NOT_FOUND")


class MessagesTests(HistoryCase):
    def all_pages(self, query: str, token: str | None = None) -> tuple[list[Any], int]:
        """All events page by page, and the number of pages."""
        events: list[Any] = []
        start = ""
        for count in range(1, 50):
            page = self.got(f"messages?{query}{start}", token)
            events += page["chunk"]
            if "end" not in page:
                return events, count
            start = f"&from={page['end']}"
        raise AssertionError("There is no end to it")

    def test_backwards_through_everything(self) -> None:
        self.say(*"abcde")
        expected = [event.event_id for event in reversed(self.events(self.room_id))]
        for limit in (1, 3, 100):
            events, _ = self.all_pages(f"dir=b&limit={limit}")
            self.assertEqual([event["event_id"] for event in events], expected)
        self.assertEqual(events[-1]["type"], "m.room.create")

    def test_forwards_through_everything(self) -> None:
        self.say(*"abcde")
        expected = [event.event_id for event in self.events(self.room_id)]
        for limit in (1, 3, 100):
            events, _ = self.all_pages(f"dir=f&limit={limit}")
            self.assertEqual([event["event_id"] for event in events], expected)

    def test_there_and_back(self) -> None:
        self.say(*"abcdef")
        page = self.got("messages?dir=b&limit=3")
        self.assertEqual(texts(page["chunk"]), ["f", "e", "d"])
        back = self.got(f"messages?dir=f&limit=10&from={page['end']}")
        self.assertEqual(texts(back["chunk"]), ["d", "e", "f"])
        self.assertEqual(back["start"], page["end"])
        self.assertNotIn("end", back)
        older = self.got(f"messages?dir=b&limit=2&from={page['end']}")
        self.assertEqual(texts(older["chunk"]), ["c", "b"])
        between = self.got(f"messages?dir=f&from={older['end']}&to={page['end']}")
        self.assertEqual(texts(between["chunk"]), ["b", "c"])
        between = self.got(f"messages?dir=b&from={page['end']}&to={older['end']}")
        self.assertEqual(texts(between["chunk"]), ["c", "b"])

    def test_ten_events_unless_asked(self) -> None:
        self.say(*(str(number) for number in range(15)))
        self.assertEqual(len(self.got("messages?dir=b")["chunk"]), 10)
        self.assertEqual(len(self.got("messages?dir=b&limit=12")["chunk"]), 12)
        query = as_query({"limit": 4})
        self.assertEqual(len(self.got(f"messages?dir=b&{query}")["chunk"]), 4)
        self.assertEqual(len(self.got(f"messages?dir=b&limit=12&{query}")["chunk"]), 4)
        self.assertGreater(len(self.got("messages?dir=b&limit=99999999")["chunk"]), 15)
        self.assertEqual(len(self.got("messages?dir=b&limit=0")["chunk"]), 1)

    def test_from_a_sync_token(self) -> None:
        self.say("a")
        token = RoomToken(self.master.store.current_token(EVENTS)).to_text()
        self.say("b")
        self.assertEqual(texts(self.got(f"messages?dir=b&from={token}")["chunk"]), ["a"])
        self.assertEqual(texts(self.got(f"messages?dir=f&from={token}_0_5")["chunk"]), ["b"])

    def test_filters(self) -> None:
        self.say("a", "b")
        self.master.send(self.bob, self.room_id, "c")
        for event_filter, expected in (
            ({"types": ["m.room.message"]}, ["c", "b", "a"]),
            ({"types": ["m.room.message"], "senders": [BOB]}, ["c"]),
            ({"types": ["m.room.*"], "not_senders": [BOB]}, ["b", "a"]),
            ({"not_types": ["m.room.message"]}, []),
            ({"rooms": [self.room_id]}, ["c", "b", "a"]),
            ({"not_rooms": [self.room_id]}, []),
            ({"rooms": ["!other:test"]}, []),
        ):
            with self.subTest(event_filter=event_filter):
                page = self.got(f"messages?dir=b&limit=100&{as_query(event_filter)}")
                self.assertEqual(texts(page["chunk"]), expected)
                self.assertNotIn("end", page)
        types = [event["type"] for event in self.got(f"messages?dir=b&{MESSAGES}")["chunk"]]
        self.assertEqual(types, ["m.room.message"] * 3)

    def test_lazy_members(self) -> None:
        self.say("a")
        self.master.send(self.bob, self.room_id, "b")
        self.join(self.room_id, self.carol)
        self.say("c")
        query = as_query({"types": ["m.room.message"], "lazy_load_members": True})
        page = self.got(f"messages?dir=b&limit=2&{query}")
        self.assertEqual(texts(page["chunk"]), ["c", "b"])
        members = {event["state_key"]: event["type"] for event in page["state"]}
        self.assertEqual(members, {ALICE: "m.room.member", BOB: "m.room.member"})
        page = self.got(f"messages?dir=f&limit=1&{query}")
        self.assertEqual([event["state_key"] for event in page["state"]], [ALICE])
        self.assertNotIn("state", self.got(f"messages?dir=b&{MESSAGES}"))

    def test_lazy_members_are_those_of_the_time(self) -> None:
        self.say("a")
        token = self.got("messages?dir=b&limit=1")["start"]
        content = {"membership": "join", "displayname": "Changed"}
        self.ok("PUT", f"rooms/{self.room_id}/state/m.room.member/{ALICE}", content)
        query = as_query({"types": ["m.room.message"], "lazy_load_members": True})
        (member,) = self.got(f"messages?dir=b&from={token}&{query}")["state"]
        self.assertNotEqual(member["content"].get("displayname"), "Changed")

    def test_membership_of_the_reader(self) -> None:
        self.say("before")
        self.join(self.room_id, self.carol)
        self.say("after")
        page = self.got(f"messages?dir=b&{MESSAGES}", self.carol)
        memberships = [event["unsigned"]["membership"] for event in page["chunk"]]
        self.assertEqual(memberships, ["join", "leave"])

    def test_who_left_sees_nothing_later(self) -> None:
        self.say("a")
        self.leave(self.bob)
        self.say("b")
        (leave, message, *_) = self.got("messages?dir=b&limit=2", self.bob)["chunk"]
        self.assertEqual((leave["state_key"], message["content"]["body"]), (BOB, "a"))
        events, pages = self.all_pages("dir=f&limit=100", self.bob)
        self.assertEqual(texts(events), ["a"])
        self.assertEqual(pages, 1)
        now = self.got("messages?dir=b&limit=1")["start"]
        for query in (f"dir=b&from={now}", f"dir=f&from={now}"):
            self.assertNotIn("b", texts(self.got(f"messages?{query}", self.bob)["chunk"]))

    def test_history_before_a_join_may_be_hidden(self) -> None:
        self.hide_history()
        self.say(*"abcdefgh")
        self.join(self.room_id, self.carol)
        self.say("i")
        events, pages = self.all_pages(f"dir=b&limit=2&{MESSAGES}", self.carol)
        self.assertEqual(texts(events), ["i"])
        # Pages without anything to see are passed over, some at a time.
        self.assertLessEqual(pages, 3)

    def test_strangers(self) -> None:
        self.say("hidden")
        self.assert_error(self.get("messages?dir=b", self.carol), 403, "M_FORBIDDEN")
        self.set("m.room.history_visibility", WORLD_READABLE)
        self.say("shown")
        events, _ = self.all_pages("dir=b&limit=100", self.carol)
        self.assertEqual(texts(events), ["shown"])
        answer = self.reader.request("GET", "rooms/!none:test/messages?dir=b", None, self.alice)
        self.assert_error(answer, 403, "M_FORBIDDEN")

    def test_bad_input(self) -> None:
        for query, errcode in (
            ("", "M_MISSING_PARAM"),
            ("dir=sideways", "M_INVALID_PARAM"),
            ("dir=b&limit=few", "M_INVALID_PARAM"),
            ("dir=b&limit=-1", "M_INVALID_PARAM"),
            ("dir=b&from=here", "M_INVALID_PARAM"),
            ("dir=b&to=t1", "M_INVALID_PARAM"),
            ("dir=b&from=s99999999999999999999999", "M_INVALID_PARAM"),
            ("dir=b&filter={", "M_NOT_JSON"),
            ("dir=b&filter=[]", "M_BAD_JSON"),
        ):
            with self.subTest(query=query):
                self.assert_error(self.get(f"messages?{query}"), 400, errcode)

    def test_a_page_costs_few_statements(self) -> None:
        self.say(*(str(number) for number in range(50)))
        self.got("messages?dir=b&limit=50")
        before = self.reader.db.counts.transactions
        self.got("messages?dir=b&limit=50")
        self.assertLessEqual(self.reader.db.counts.transactions - before, 2)


class ContextTests(HistoryCase):
    def test_before_and_after(self) -> None:
        ids = self.say(*"abcdefg")
        found = self.got(f"context/{ids[3]}?limit=4&{MESSAGES}")
        self.assertEqual(found["event"]["event_id"], ids[3])
        self.assertEqual(texts(found["events_before"]), ["c", "b"])
        self.assertEqual(texts(found["events_after"]), ["e", "f"])
        older = self.got(f"messages?dir=b&from={found['start']}&{MESSAGES}")
        self.assertEqual(texts(older["chunk"]), ["a"])
        newer = self.got(f"messages?dir=f&from={found['end']}&{MESSAGES}")
        self.assertEqual(texts(newer["chunk"]), ["g"])

    def test_limits(self) -> None:
        ids = self.say(*(str(number) for number in range(20)))
        found = self.got(f"context/{ids[10]}")
        self.assertEqual(len(found["events_before"]) + len(found["events_after"]), 10)
        found = self.got(f"context/{ids[10]}?limit=0")
        self.assertEqual(found["events_before"] + found["events_after"], [])
        found = self.got(f"context/{ids[10]}?limit=3")
        self.assertEqual(len(found["events_before"]) + len(found["events_after"]), 3)

    def test_state_is_that_of_the_last_event(self) -> None:
        self.set("m.room.topic", {"topic": "one"})
        ids = self.say("a", "b")
        self.set("m.room.topic", {"topic": "two"})
        found = self.got(f"context/{ids[0]}?limit=2")
        state = {(event["type"], event["state_key"]): event for event in found["state"]}
        self.assertEqual(state["m.room.topic", ""]["content"], {"topic": "one"})
        self.assertIn(("m.room.member", BOB), state)
        found = self.got(f"context/{ids[0]}?limit=2&{as_query({'lazy_load_members': True})}")
        keys = {(event["type"], event["state_key"]) for event in found["state"]}
        self.assertIn(("m.room.member", ALICE), keys)
        self.assertNotIn(("m.room.member", BOB), keys)
        self.assertIn(("m.room.create", ""), keys)
        found = self.got(f"context/{ids[0]}?{as_query({'types': ['m.room.topic']})}")
        self.assertEqual([event["type"] for event in found["state"]], ["m.room.topic"])

    def test_what_is_hidden(self) -> None:
        self.hide_history()
        (hidden,) = self.say("hidden")
        self.join(self.room_id, self.carol)
        (shown,) = self.say("shown")
        self.assert_error(self.get(f"context/{hidden}", self.carol), 404, "M_NOT_FOUND")
        found = self.got(f"context/{shown}", self.carol)
        self.assertEqual(texts(found["events_before"]), [])
        self.assertIn("m.room.member", [event["type"] for event in found["events_before"]])
        self.assert_error(self.get("context/$none"), 404, "M_NOT_FOUND")
        self.leave(self.carol)
        (later,) = self.say("later")
        self.assert_error(self.get(f"context/{later}", self.carol), 404, "M_NOT_FOUND")

    def test_strangers(self) -> None:
        (event_id,) = self.say("a")
        self.assert_error(self.get(f"context/{event_id}", self.carol), 403, "M_FORBIDDEN")


class TimestampTests(HistoryCase):
    def at(self, query: str, token: str | None = None) -> Any:
        path = f"/_matrix/client/v1/rooms/{self.room_id}/timestamp_to_event?{query}"
        return self.reader.request("GET", path, None, token or self.alice)

    def test_nearest_event(self) -> None:
        self.master.reactor.advance(10)
        (first,) = self.say("first")
        sent = self.event(first).origin_server_ts
        self.master.reactor.advance(10)
        (second,) = self.say("second")
        for query, event_id in (
            (f"ts={sent}&dir=f", first),
            (f"ts={sent}&dir=b", first),
            (f"ts={sent + 1}&dir=f", second),
            (f"ts={sent + 1}&dir=b", first),
        ):
            with self.subTest(query=query):
                self.assertEqual(
                    self.at(query).json,
                    {
                        "event_id": event_id,
                        "origin_server_ts": self.event(event_id).origin_server_ts,
                    },
                )
        self.assert_error(self.at(f"ts={sent + 10_001}&dir=f"), 404, "M_NOT_FOUND")
        self.assert_error(self.at("ts=1&dir=b"), 404, "M_NOT_FOUND")

    def test_refusals(self) -> None:
        self.assert_error(self.at("ts=1&dir=f", self.carol), 403, "M_FORBIDDEN")
        self.assert_error(self.at("dir=f"), 400, "M_MISSING_PARAM")
        self.assert_error(self.at("ts=1"), 400, "M_MISSING_PARAM")
        self.assert_error(self.at("ts=now&dir=f"), 400, "M_INVALID_PARAM")
        self.hide_history()
        self.master.reactor.advance(10)
        (hidden,) = self.say("hidden")
        self.join(self.room_id, self.carol)
        at = self.event(hidden).origin_server_ts
        self.assert_error(self.at(f"ts={at}&dir=f", self.carol), 404, "M_NOT_FOUND")
