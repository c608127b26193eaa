"""The list of notifications, at the master and at a client_reader."""

from __future__ import annotations

from typing import Any

from synapse_lite.app.table import CLIENT_READER
from synapse_lite.handlers import notifications
from tests.harness.homeserver import Server, make_worker

from .rooms import RoomsCase

MENTION = {"m.mentions": {"user_ids": ["@alice:test"]}}
HIGHLIGHT = ["notify", {"set_tweak": "sound", "value": "default"}, {"set_tweak": "highlight"}]


class NotificationsTests(RoomsCase):
    at_worker = False

    def setUp(self) -> None:
        super().setUp()
        self.door: Server = self.master
        if self.at_worker:
            self.door = make_worker(CLIENT_READER, self.master)
        self.room_id = self.room()
        self.join(self.room_id, self.bob)
        self.join(self.room_id, self.carol)
        self._txn = 0

    def send(self, body: str, token: str | None = None, room_id: str = "", **content: Any) -> str:
        self._txn += 1
        path = f"rooms/{room_id or self.room_id}/send/m.room.message/n{self._txn}"
        content = {"msgtype": "m.text", "body": body, **content}
        event_id: str = self.ok("PUT", path, content, token or self.bob)["event_id"]
        return event_id

    def page(self, query: str = "", token: str | None = None) -> Any:
        answer = self.door.request("GET", f"notifications?{query}", None, token or self.alice)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def bodies(self, query: str = "", token: str | None = None) -> list[str]:
        """The bodies on all pages, newest first."""
        found: list[str] = []
        next_token = None
        while True:
            more = "" if next_token is None else f"&from={next_token}"
            page = self.page(query + more, token)
            found += [each["event"]["content"]["body"] for each in page["notifications"]]
            next_token = page.get("next_token")
            if next_token is None:
                return found

    def test_newest_first_over_all_rooms(self) -> None:
        other = self.room()
        self.join(other, self.bob)
        for number in range(6):
            self.send(str(number), room_id=other if number % 2 else self.room_id)
        self.assertEqual(self.bodies(), ["5", "4", "3", "2", "1", "0"])
        self.assertEqual(self.bodies("limit=2"), ["5", "4", "3", "2", "1", "0"])
        self.assertEqual(len(self.page("limit=2")["notifications"]), 2)

    def test_what_is_said_of_each(self) -> None:
        event_id = self.send("hello", **MENTION)
        (found,) = self.page()["notifications"]
        self.assertEqual(
            (found["room_id"], found["event"]["event_id"], found["actions"], found["read"]),
            (self.room_id, event_id, HIGHLIGHT, False),
        )
        self.assertEqual(found["event"]["room_id"], self.room_id)
        self.assertEqual(found["ts"], self.master.hs.clock.time_ms())

    def test_read_or_not(self) -> None:
        root = self.send("0")
        relation = {"m.relates_to": {"rel_type": "m.thread", "event_id": root}}
        last = self.send("1", **relation)
        self.ok("POST", f"rooms/{self.room_id}/receipt/m.read/{root}", {"thread_id": "main"})
        self.assertEqual([each["read"] for each in self.page()["notifications"]], [False, True])
        self.ok("POST", f"rooms/{self.room_id}/receipt/m.read.private/{last}", {})
        self.assertEqual([each["read"] for each in self.page()["notifications"]], [True, True])

    def test_highlights_only(self) -> None:
        self.send("plain")
        self.send("mention", **MENTION)
        self.send("of somebody else", **{"m.mentions": {"user_ids": ["@bob:test"]}})
        self.assertEqual(self.bodies("only=highlight"), ["mention"])

    def test_what_is_left_out(self) -> None:
        self.send("own", self.alice)
        self.send("a notice", msgtype="m.notice")
        redacted = self.send("redacted")
        self.ok("PUT", f"rooms/{self.room_id}/redact/{redacted}/r", {}, self.bob)
        self.send("of carol", self.carol)
        self.assertEqual(self.bodies(), ["of carol"])
        ignored = {"ignored_users": {"@carol:test": {}}}
        self.ok("PUT", "user/@alice:test/account_data/m.ignored_user_list", ignored)
        self.assertEqual(self.bodies(), [])

    def test_nothing_of_before_one_joined(self) -> None:
        self.send("before")
        dave = self.master.register("dave")
        self.join(self.room_id, dave)
        self.send("after")
        self.assertEqual(self.bodies(token=dave), ["after"])
        self.ok("PUT", "profile/@dave:test/displayname", {"displayname": "D"}, dave)
        self.assertEqual(self.bodies(token=dave), ["after"])
        self.ok("POST", f"rooms/{self.room_id}/leave", {}, dave)
        self.assertEqual(self.page(token=dave), {"notifications": []})

    def test_by_own_rules(self) -> None:
        loud = ["notify", {"set_tweak": "sound", "value": "ring"}]
        rule = {"actions": ["dont_notify", *loud], "pattern": "cake"}
        self.ok("PUT", "pushrules/global/content/cake", rule)
        muted = self.room()
        self.join(muted, self.bob)
        self.ok("PUT", f"pushrules/global/room/{muted}", {"actions": []})
        self.send("silent", room_id=muted)
        self.send("some cake")
        (found,) = self.page()["notifications"]
        self.assertEqual((found["event"]["content"]["body"], found["actions"]), ("some cake", loud))

    def test_a_request_looks_back_so_far_at_a_time(self) -> None:
        self.patch(notifications, "_EVENTS_PER_ROUND", 2)
        self.patch(notifications, "_FEWEST_OF_A_ROOM", 2)
        self.send("first", **MENTION)
        for number in range(30):
            self.send(str(number))
        page = self.page("only=highlight")
        self.assertEqual(page["notifications"], [])
        self.assertIn("next_token", page)
        self.assertEqual(self.bodies("only=highlight"), ["first"])
        self.assertEqual(len(self.bodies()), 31)

    def test_bad_requests(self) -> None:
        for query in ("from=x", "limit=0", "limit=x"):
            answer = self.door.request("GET", f"notifications?{query}", None, self.alice)
            self.assert_error(answer, 400, "M_INVALID_PARAM")
        self.assertEqual(self.door.request("GET", "notifications").status, 401)


class NotificationsAtWorkerTests(NotificationsTests):
    at_worker = True
