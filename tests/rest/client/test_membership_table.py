"""Every change of membership from every state, over HTTP."""

from __future__ import annotations

from typing import Any

from synapse_lite.app.table import EVENT_CREATOR
from synapse_lite.events.room_versions import ROOM_VERSIONS
from tests.harness.homeserver import Answer, make_worker
from tests.rest.client.rooms import ALICE, BOB, CAROL, RoomsCase

OWN = ("join", "leave", "knock", "forget")
"""What Bob does himself; the rest is done to him."""

BY_OTHERS = ("invite", "kick", "ban", "unban")

OK = 200
BAD_STATE = "M_BAD_STATE"
FORBIDDEN = "M_FORBIDDEN"
NOT_LEFT = "M_UNKNOWN"

Outcome = tuple[int | str, str | None]

# From state, for each action: 200 or the errcode, and what Bob is afterwards. The room can be
# knocked at, and is otherwise for the invited.
TABLE: dict[str, dict[str, Outcome]] = {
    "none": {
        "join": (FORBIDDEN, None),
        "leave": (FORBIDDEN, None),
        "knock": (OK, "knock"),
        "forget": (NOT_LEFT, None),
        "invite": (OK, "invite"),
        "kick": (FORBIDDEN, None),
        "ban": (OK, "ban"),
        "unban": (BAD_STATE, None),
    },
    "invite": {
        "join": (OK, "join"),
        "leave": (OK, "leave"),
        "knock": (FORBIDDEN, "invite"),
        "forget": (NOT_LEFT, "invite"),
        "invite": (OK, "invite"),
        "kick": (OK, "leave"),
        "ban": (OK, "ban"),
        "unban": (BAD_STATE, "invite"),
    },
    "join": {
        "join": (OK, "join"),
        "leave": (OK, "leave"),
        "knock": (FORBIDDEN, "join"),
        "forget": (NOT_LEFT, "join"),
        "invite": (FORBIDDEN, "join"),
        "kick": (OK, "leave"),
        "ban": (OK, "ban"),
        "unban": (BAD_STATE, "join"),
    },
    "leave": {
        "join": (FORBIDDEN, "leave"),
        "leave": (OK, "leave"),
        "knock": (OK, "knock"),
        "forget": (OK, "leave"),
        "invite": (OK, "invite"),
        "kick": (FORBIDDEN, "leave"),
        "ban": (OK, "ban"),
        "unban": (BAD_STATE, "leave"),
    },
    "ban": {
        "join": (FORBIDDEN, "ban"),
        "leave": (FORBIDDEN, "ban"),
        "knock": (FORBIDDEN, "ban"),
        "forget": (OK, "ban"),
        "invite": (FORBIDDEN, "ban"),
        "kick": (FORBIDDEN, "ban"),
        "ban": (OK, "ban"),
        "unban": (OK, "leave"),
    },
    "knock": {
        "join": (FORBIDDEN, "knock"),
        "leave": (OK, "leave"),
        "knock": (OK, "knock"),
        "forget": (NOT_LEFT, "knock"),
        "invite": (OK, "invite"),
        "kick": (OK, "leave"),
        "ban": (OK, "ban"),
        "unban": (BAD_STATE, "knock"),
    },
}
TABLE["kicked"] = TABLE["leave"]
TABLE["unbanned"] = TABLE["leave"]
TABLE["rejected"] = TABLE["leave"]
TABLE["forgotten"] = TABLE["leave"]

WAYS: dict[str, tuple[str, ...]] = {
    "none": (),
    "invite": ("invite",),
    "join": ("invite", "join"),
    "leave": ("invite", "join", "leave"),
    "kicked": ("invite", "join", "kick"),
    "rejected": ("invite", "leave"),
    "ban": ("invite", "join", "ban"),
    "unbanned": ("ban", "unban"),
    "knock": ("knock",),
    "forgotten": ("invite", "join", "leave", "forget"),
}
"""How Bob gets into each state."""


class MembershipTableTests(RoomsCase):
    def setUp(self) -> None:
        super().setUp()
        self.dave = self.master.register("dave")

    def knockable(self, rule: str = "knock", version: str = "11") -> str:
        rules = {"type": "m.room.join_rules", "content": {"join_rule": rule}}
        return self.room(
            preset="private_chat",
            room_version=version,
            initial_state=[rules],
            power_level_content_override={"invite": 50},
        )

    def act(self, room_id: str, action: str, by: str | None = None, **body: Any) -> Answer:
        """An action that concerns Bob: by himself, or by Alice unless told otherwise."""
        if action in BY_OTHERS:
            body["user_id"] = BOB
        token = by or (self.bob if action in OWN else self.alice)
        path = f"knock/{room_id}" if action == "knock" else f"rooms/{room_id}/{action}"
        answer: Answer = self.master.request("POST", path, body, token)
        return answer

    def go(self, room_id: str, state: str) -> None:
        for action in WAYS[state]:
            answer = self.act(room_id, action)
            self.assertEqual(answer.status, 200, (state, action, answer.body))

    def test_the_table(self) -> None:
        for state, actions in TABLE.items():
            for action, (outcome, membership) in actions.items():
                with self.subTest(f"{action} from {state}"):
                    room_id = self.knockable()
                    self.go(room_id, state)
                    answer = self.act(room_id, action, reason="why")
                    found = OK if answer.status == 200 else answer.json["errcode"]
                    self.assertEqual(found, outcome, answer.body)
                    expected = 400 if outcome == NOT_LEFT else 200 if outcome == OK else 403
                    self.assertEqual(answer.status, expected)
                    self.assertEqual(self.membership(room_id, BOB), membership)

    def test_without_the_power_nothing_changes(self) -> None:
        for state in TABLE:
            room_id = self.knockable()
            self.ok("POST", f"rooms/{room_id}/invite", {"user_id": CAROL})
            self.join(room_id, self.carol)
            self.go(room_id, state)
            membership = self.membership(room_id, BOB)
            for by in (self.carol, self.dave):
                for action in BY_OTHERS:
                    with self.subTest(f"{action} from {state}"):
                        answer = self.act(room_id, action, by)
                        self.assertEqual(answer.status, 403, answer.body)
                        self.assertEqual(self.membership(room_id, BOB), membership)

    def test_reasons(self) -> None:
        room_id = self.knockable()
        for action in ("knock", "invite", "join", "kick", "ban", "unban", "invite", "leave"):
            self.act(room_id, action, reason=f"{action}, because")
            content = self.state(room_id, "m.room.member", BOB)
            self.assertEqual(content["reason"], f"{action}, because")
            self.assertEqual(self.act(room_id, action, reason=["x"]).status, 400)

    def test_leaving_again_changes_nothing(self) -> None:
        for state in ("leave", "kicked", "rejected", "unbanned"):
            room_id = self.knockable()
            self.go(room_id, state)
            events = self.events(room_id)
            self.assertEqual(self.act(room_id, "leave", reason="again").status, 200)
            self.assertEqual(self.events(room_id), events)

    def test_knocking_in_all_versions(self) -> None:
        for version in ROOM_VERSIONS:
            for rule, first in (("knock", 7), ("knock_restricted", 10)):
                with self.subTest(f"{rule} in {version}"):
                    room_id = self.knockable(rule, version)
                    answer = self.act(room_id, "knock")
                    if int(version) >= first:
                        self.assertEqual(answer.status, 200, answer.body)
                        self.assertEqual(self.membership(room_id, BOB), "knock")
                    else:
                        self.assert_error(answer, 403, FORBIDDEN)
        for rule in ("invite", "public", "private", "restricted"):
            self.assert_error(self.act(self.knockable(rule), "knock"), 403, FORBIDDEN)

    def test_public_rooms_let_everybody_in_who_is_not_banned(self) -> None:
        for state in TABLE:
            room_id = self.knockable()
            self.go(room_id, state)
            path = f"rooms/{room_id}/state/m.room.join_rules"
            self.ok("PUT", path, {"join_rule": "public"})
            with self.subTest(state):
                answer = self.act(room_id, "join")
                self.assertEqual(answer.status, 403 if state == "ban" else 200, answer.body)

    def test_moderators_stand_below_their_equals(self) -> None:
        levels = {"users": {ALICE: 100, BOB: 50, CAROL: 50}}
        room_id = self.room(room_version="11", power_level_content_override=levels)
        for token in (self.bob, self.carol):
            self.join(room_id, token)
        for action in ("kick", "ban"):
            self.assert_error(self.act(room_id, action, self.carol), 403, FORBIDDEN)
            path = f"rooms/{room_id}/{action}"
            answer = self.request("POST", path, {"user_id": ALICE}, self.carol)
            self.assert_error(answer, 403, FORBIDDEN)
        self.assertEqual(self.act(room_id, "kick", self.bob).status, 200)  # oneself

    def test_invites_by_address(self) -> None:
        room_id = self.room()
        for body in (
            {"medium": "email", "address": "bob@example.org"},
            {
                "id_server": "id.example.org",
                "id_access_token": "x",
                "medium": "msisdn",
                "address": "1",
            },
        ):
            answer = self.request("POST", f"rooms/{room_id}/invite", body)
            self.assert_error(answer, 403, FORBIDDEN)


class ForgetTests(RoomsCase):
    def sync(self, token: str, **wanted: Any) -> Any:
        include = "%7B%22room%22%3A%7B%22include_leave%22%3Atrue%7D%7D"
        return self.ok("GET", f"sync?filter={include}", None, token).get("rooms", {})

    def test_a_forgotten_room_is_gone_until_one_is_invited_again(self) -> None:
        room_id = self.room(preset="private_chat")
        self.ok("POST", f"rooms/{room_id}/invite", {"user_id": BOB})
        self.join(room_id, self.bob)
        self.ok("POST", f"rooms/{room_id}/leave", {}, self.bob)
        self.assertIn(room_id, self.sync(self.bob)["leave"])
        messages = f"rooms/{room_id}/messages?dir=b"
        self.ok("GET", messages, None, self.bob)
        for _ in range(2):
            self.ok("POST", f"rooms/{room_id}/forget", {}, self.bob)
            self.assertNotIn("leave", self.sync(self.bob))
            for path in (messages, f"rooms/{room_id}/state", f"rooms/{room_id}/members"):
                self.assert_error(self.request("GET", path, None, self.bob), 403, "M_FORBIDDEN")
        self.ok("POST", f"rooms/{room_id}/invite", {"user_id": BOB})
        self.assertIn(room_id, self.sync(self.bob)["invite"])
        self.join(room_id, self.bob)
        self.assertIn(room_id, self.sync(self.bob)["join"])
        self.ok("GET", messages, None, self.bob)


class IgnoringTests(RoomsCase):
    def setUp(self) -> None:
        super().setUp()
        self.room_id = self.room()
        for token in (self.bob, self.carol):
            self.join(self.room_id, token)
        self.ham = self.master.send(self.alice, self.room_id, "ham")
        self.spam = self.master.send(self.carol, self.room_id, "spam")

    def ignore(self, *users: str) -> None:
        content = {"ignored_users": {user_id: {} for user_id in users}}
        self.ok("PUT", f"user/{BOB}/account_data/m.ignored_user_list", content, self.bob)

    def shown(self, path: str, *sections: str) -> set[str]:
        """Ids of the events in sections of an answer to Bob."""
        answer = self.ok("GET", f"rooms/{self.room_id}/{path}", None, self.bob)
        return {event["event_id"] for section in sections for event in answer[section]}

    def test_history_is_without_what_ignored_users_say(self) -> None:
        self.ignore(CAROL, BOB)
        joined = self.state_event(self.room_id, "m.room.member", CAROL)
        assert joined is not None
        for shown in (
            self.shown("messages?dir=b&limit=50", "chunk"),
            self.shown(f"context/{self.ham}?limit=50", "events_before", "events_after"),
        ):
            self.assertNotIn(self.spam, shown)
            self.assertIn(joined.event_id, shown)
        self.ignore()
        self.assertIn(self.spam, self.shown("messages?dir=b&limit=50", "chunk"))

    def test_a_page_of_spam_is_passed_over(self) -> None:
        for number in range(5):
            self.master.send(self.carol, self.room_id, str(number))
        self.ignore(CAROL)
        self.assertEqual(self.shown("messages?dir=b&limit=3", "chunk") & {self.ham}, {self.ham})


class InviteBlockingTests(RoomsCase):
    def block(self, **content: Any) -> None:
        path = f"user/{BOB}/account_data/m.invite_permission_config"
        self.ok("PUT", path, content, self.bob)

    def test_who_blocks_invites_gets_none(self) -> None:
        room_id = self.room()
        self.block(default_action="block")
        worker = make_worker(EVENT_CREATOR, self.master)
        for server in (self.master, worker):
            answer = server.request("POST", f"rooms/{room_id}/invite", {"user_id": BOB}, self.alice)
            self.assert_error(answer, 403, "M_INVITE_BLOCKED")
        path = f"rooms/{room_id}/state/m.room.member/{BOB}"
        answer = self.request("PUT", path, {"membership": "invite"})
        self.assert_error(answer, 403, "M_INVITE_BLOCKED")
        answer = self.request("POST", "createRoom", {"invite": [BOB]})
        self.assert_error(answer, 403, "M_INVITE_BLOCKED")
        self.assertIsNone(self.membership(room_id, BOB))
        for content in ({}, {"default_action": "other"}):
            self.block(**content)
            self.ok("POST", f"rooms/{room_id}/invite", {"user_id": BOB})

    def test_earlier_invites_are_hidden_meanwhile(self) -> None:
        room_id = self.room()
        self.ok("POST", f"rooms/{room_id}/invite", {"user_id": BOB})
        self.block(default_action="block")
        self.assertNotIn("invite", self.ok("GET", "sync", None, self.bob).get("rooms", {}))
        self.block()
        self.assertIn(room_id, self.ok("GET", "sync", None, self.bob)["rooms"]["invite"])
