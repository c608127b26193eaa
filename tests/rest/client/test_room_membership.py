"""Joining, inviting, leaving, kicking, banning, knocking, forgetting."""

from __future__ import annotations

from typing import Any

from tests.harness.homeserver import now

from .rooms import ALICE, BOB, CAROL, RoomsCase


class MembershipCase(RoomsCase):
    def act(self, room_id: str, action: str, target: str, token: str | None = None, **body: Any):
        """Ask for a change of somebody's membership."""
        return self.request("POST", f"rooms/{room_id}/{action}", {"user_id": target, **body}, token)

    def assert_acts(
        self, room_id: str, action: str, target: str, token: str | None = None, **body: Any
    ) -> None:
        answer = self.act(room_id, action, target, token, **body)
        self.assertEqual((answer.status, answer.json), (200, {}), answer.body)


class TestJoin(MembershipCase):
    def test_by_id_and_alias(self) -> None:
        room_id = self.room(room_alias_name="here")
        self.assertEqual(
            self.ok("POST", f"rooms/{room_id}/join", {}, self.bob), {"room_id": room_id}
        )
        self.assertEqual(
            self.ok("POST", "join/%23here:test", None, self.carol), {"room_id": room_id}
        )
        self.assertEqual(self.membership(room_id, BOB), "join")
        self.assertEqual(self.membership(room_id, CAROL), "join")

    def test_reason(self) -> None:
        room_id = self.room()
        self.ok("POST", f"join/{room_id}", {"reason": "curious"}, self.bob)
        self.assertEqual(self.state(room_id, "m.room.member", BOB)["reason"], "curious")

    def test_joining_again_makes_no_event(self) -> None:
        room_id = self.room()
        self.join(room_id, self.bob)
        before = self.state_event(room_id, "m.room.member", BOB)
        self.ok("POST", f"join/{room_id}", {"reason": "again"}, self.bob)
        self.assertEqual(self.state_event(room_id, "m.room.member", BOB), before)

    def test_invite_only(self) -> None:
        room_id = self.room(preset="private_chat")
        answer = self.request("POST", f"join/{room_id}", {}, self.bob)
        self.assert_error(answer, 403, "M_FORBIDDEN")
        self.assert_acts(room_id, "invite", BOB)
        self.join(room_id, self.bob)

    def test_unknown_rooms(self) -> None:
        for room in ("!nothing:test", "!nothing", "%23nothing:test"):
            answer = self.request("POST", f"join/{room}", {}, self.bob)
            self.assert_error(answer, 404, "M_NOT_FOUND")

    def test_rooms_that_only_others_know(self) -> None:
        for room in ("!room:elsewhere?via=elsewhere", "%23room:elsewhere"):
            answer = self.request("POST", f"join/{room}", {}, self.bob, judged=False)
            self.assertEqual(answer.status, 502)

    def test_malformed(self) -> None:
        for room in ("nothing", "%23nothing", "@bob:test"):
            answer = self.request("POST", f"join/{room}", {}, self.bob)
            self.assert_error(answer, 400, "M_INVALID_PARAM")

    def test_bad_reason(self) -> None:
        answer = self.request("POST", f"join/{self.room()}", {"reason": 1}, self.bob)
        self.assert_error(answer, 400, "M_BAD_JSON")

    def test_empty_public_room_can_be_joined_again(self) -> None:
        room_id = self.room()
        self.ok("POST", f"rooms/{room_id}/leave", {})
        self.join(room_id, self.bob)

    def test_old_prefixes(self) -> None:
        room_id = self.room()
        for prefix in ("r0", "api/v1", "unstable"):
            self.ok("POST", f"/_matrix/client/{prefix}/join/{room_id}", {}, self.bob)


class TestRestrictedJoin(MembershipCase):
    def restricted(self, room_version: str = "12") -> tuple[str, str]:
        """A space, and a room that its members may join."""
        space = self.room(creation_content={"type": "m.space"})
        allow = [
            {"type": "org.example.other"},
            {"type": "m.room_membership", "room_id": 7},
            {"type": "m.room_membership", "room_id": space},
        ]
        rule = {"join_rule": "restricted", "allow": allow}
        room_id = self.room(
            initial_state=[{"type": "m.room.join_rules", "content": rule}],
            room_version=room_version,
        )
        return space, room_id

    def test_members_of_the_space_may_join(self) -> None:
        for version in ("8", "9", "10", "11", "12"):
            space, room_id = self.restricted(version)
            answer = self.request("POST", f"join/{room_id}", {}, self.bob)
            self.assert_error(answer, 403, "M_FORBIDDEN")
            self.join(space, self.bob)
            self.join(room_id, self.bob)
            content = self.state(room_id, "m.room.member", BOB)
            self.assertEqual(content["join_authorised_via_users_server"], ALICE)

    def test_invited_users_need_no_space(self) -> None:
        _, room_id = self.restricted()
        self.assert_acts(room_id, "invite", BOB)
        self.join(room_id, self.bob)
        content = self.state(room_id, "m.room.member", BOB)
        self.assertNotIn("join_authorised_via_users_server", content)

    def test_somebody_must_be_able_to_let_them_in(self) -> None:
        space, room_id = self.restricted()
        self.join(space, self.bob)
        self.ok("POST", f"rooms/{room_id}/leave", {})
        answer = self.request("POST", f"join/{room_id}", {}, self.bob)
        self.assert_error(answer, 403, "M_FORBIDDEN")

    def test_clients_cannot_name_the_authoriser(self) -> None:
        _, room_id = self.restricted()
        answer = self.request(
            "PUT",
            f"rooms/{room_id}/state/m.room.member/{BOB}",
            {"membership": "join", "join_authorised_via_users_server": ALICE},
            self.bob,
        )
        self.assert_error(answer, 403, "M_FORBIDDEN")

    def test_version_7_has_none(self) -> None:
        space, room_id = self.restricted("7")
        self.join(space, self.bob)
        answer = self.request("POST", f"join/{room_id}", {}, self.bob)
        self.assert_error(answer, 403, "M_FORBIDDEN")


class TestInvite(MembershipCase):
    def test_invite(self) -> None:
        room_id = self.room(preset="private_chat")
        self.assert_acts(room_id, "invite", BOB, reason="come")
        content = self.state(room_id, "m.room.member", BOB)
        self.assertEqual((content["membership"], content["reason"]), ("invite", "come"))

    def test_same_invite_again_is_not_sent_again(self) -> None:
        room_id = self.room(preset="private_chat")
        self.assert_acts(room_id, "invite", BOB)
        first = self.state_event(room_id, "m.room.member", BOB)
        self.assert_acts(room_id, "invite", BOB)
        self.assertEqual(self.state_event(room_id, "m.room.member", BOB), first)
        self.assert_acts(room_id, "invite", BOB, reason="please")
        self.assertNotEqual(self.state_event(room_id, "m.room.member", BOB), first)

    def test_refusals(self) -> None:
        room_id = self.room()
        self.assert_error(self.act(room_id, "invite", BOB, self.carol), 403, "M_FORBIDDEN")
        self.assert_error(self.act("!nothing:test", "invite", BOB), 403, "M_FORBIDDEN")
        self.join(room_id, self.bob)
        self.assert_error(self.act(room_id, "invite", BOB), 403, "M_FORBIDDEN")
        self.assert_acts(room_id, "ban", CAROL)
        self.assert_error(self.act(room_id, "invite", CAROL), 403, "M_FORBIDDEN")
        # In public rooms inviting takes some power.
        self.assert_error(self.act(room_id, "invite", "@dave:test", self.bob), 403, "M_FORBIDDEN")

    def test_bad_input(self) -> None:
        room_id = self.room()
        for body, errcode in (
            ({}, "M_MISSING_PARAM"),
            ({"user_id": 1}, "M_BAD_JSON"),
            ({"user_id": "bob"}, "M_INVALID_PARAM"),
            ({"user_id": BOB, "reason": {}}, "M_BAD_JSON"),
        ):
            for action in ("invite", "kick", "ban", "unban"):
                answer = self.request("POST", f"rooms/{room_id}/{action}", body)
                self.assert_error(answer, 400, errcode)

    def test_by_email(self) -> None:
        body = {"id_server": "id", "id_access_token": "x", "medium": "email", "address": "a@b.c"}
        answer = self.request("POST", f"rooms/{self.room()}/invite", body)
        self.assert_error(answer, 403, "M_FORBIDDEN")

    def test_of_a_user_elsewhere(self) -> None:
        room_id = self.room()
        answer = self.request(
            "POST", f"rooms/{room_id}/invite", {"user_id": "@x:elsewhere"}, judged=False
        )
        self.assertEqual(answer.status, 502)
        self.assertIsNone(self.membership(room_id, "@x:elsewhere"))


class TestLeave(MembershipCase):
    def leave(self, room_id: str, token: str) -> Any:
        return self.request("POST", f"rooms/{room_id}/leave", None, token)

    def test_leave(self) -> None:
        room_id = self.room()
        self.join(room_id, self.bob)
        self.assertEqual(self.leave(room_id, self.bob).json, {})
        self.assertEqual(self.membership(room_id, BOB), "leave")
        self.assertEqual(self.leave(room_id, self.bob).status, 200)

    def test_reject_an_invite(self) -> None:
        room_id = self.room(preset="private_chat", invite=[BOB])
        self.ok("POST", f"rooms/{room_id}/leave", {"reason": "no"}, self.bob)
        self.assertEqual(
            self.state(room_id, "m.room.member", BOB), {"membership": "leave", "reason": "no"}
        )
        self.assert_error(self.request("POST", f"join/{room_id}", {}, self.bob), 403, "M_FORBIDDEN")

    def test_not_in_the_room(self) -> None:
        self.assert_error(self.leave(self.room(), self.bob), 403, "M_FORBIDDEN")
        self.assert_error(self.leave("!nothing:test", self.bob), 403, "M_FORBIDDEN")


class TestModeration(MembershipCase):
    def setUp(self) -> None:
        super().setUp()
        self.room_id = self.room()
        self.join(self.room_id, self.bob)

    def test_kick(self) -> None:
        self.assert_acts(self.room_id, "kick", BOB, reason="rude")
        self.assertEqual(
            self.state(self.room_id, "m.room.member", BOB),
            {"membership": "leave", "reason": "rude"},
        )
        self.join(self.room_id, self.bob)

    def test_kick_of_who_is_not_there(self) -> None:
        self.assert_error(self.act(self.room_id, "kick", CAROL), 403, "M_FORBIDDEN")
        self.assert_acts(self.room_id, "ban", CAROL)
        self.assert_error(self.act(self.room_id, "kick", CAROL), 403, "M_FORBIDDEN")
        self.assertEqual(self.membership(self.room_id, CAROL), "ban")

    def test_ban_and_unban(self) -> None:
        self.assert_acts(self.room_id, "ban", BOB, reason="spam")
        self.assertEqual(self.membership(self.room_id, BOB), "ban")
        answer = self.request("POST", f"join/{self.room_id}", {}, self.bob)
        self.assert_error(answer, 403, "M_FORBIDDEN")
        self.assert_acts(self.room_id, "unban", BOB)
        self.join(self.room_id, self.bob)

    def test_unban_of_who_is_not_banned(self) -> None:
        self.assert_error(self.act(self.room_id, "unban", BOB), 403, "M_BAD_STATE")
        self.assertEqual(self.membership(self.room_id, BOB), "join")

    def test_power_is_needed(self) -> None:
        self.join(self.room_id, self.carol)
        for action in ("kick", "ban"):
            for target in (CAROL, ALICE):
                self.assert_error(
                    self.act(self.room_id, action, target, self.bob), 403, "M_FORBIDDEN"
                )
        self.assert_acts(self.room_id, "ban", CAROL)
        self.assert_error(self.act(self.room_id, "unban", CAROL, self.bob), 403, "M_FORBIDDEN")

    def test_users_of_other_servers_can_be_banned(self) -> None:
        self.assert_acts(self.room_id, "ban", "@x:elsewhere")
        self.assertEqual(self.membership(self.room_id, "@x:elsewhere"), "ban")


class TestKnock(MembershipCase):
    def knockable(self, version: str = "12", rule: str = "knock") -> str:
        return self.room(
            room_version=version,
            initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": rule}}],
        )

    def test_knock(self) -> None:
        for version in ("7", "10", "12"):
            room_id = self.knockable(version)
            answer = self.ok("POST", f"knock/{room_id}", {"reason": "please"}, self.bob)
            self.assertEqual(answer, {"room_id": room_id})
            content = self.state(room_id, "m.room.member", BOB)
            self.assertEqual((content["membership"], content["reason"]), ("knock", "please"))
            self.assert_acts(room_id, "invite", BOB)
            self.join(room_id, self.bob)

    def test_withdraw_or_refuse(self) -> None:
        room_id = self.knockable()
        for token, user, path in ((self.bob, BOB, "leave"), (self.carol, CAROL, "kick")):
            self.ok("POST", f"knock/{room_id}", {}, token)
            if path == "leave":
                self.ok("POST", f"rooms/{room_id}/leave", {}, token)
            else:
                self.assert_acts(room_id, "kick", user)
            self.assertEqual(self.membership(room_id, user), "leave")

    def test_refusals(self) -> None:
        for room_id in (self.room(), self.room(room_version="6")):
            answer = self.request("POST", f"knock/{room_id}", {}, self.bob)
            self.assert_error(answer, 403, "M_FORBIDDEN")
        answer = self.request("POST", "knock/!nothing:test", {}, self.bob)
        self.assert_error(answer, 404, "M_NOT_FOUND")
        answer = self.request("POST", f"knock/{self.knockable()}", {})
        self.assert_error(answer, 403, "M_FORBIDDEN")

    def test_knock_restricted(self) -> None:
        room_id = self.knockable("10", "knock_restricted")
        self.ok("POST", f"knock/{room_id}", {}, self.bob)
        self.assertEqual(self.membership(room_id, BOB), "knock")


class TestForget(MembershipCase):
    def test_forget(self) -> None:
        room_id = self.room()
        self.join(room_id, self.bob)
        answer = self.request("POST", f"rooms/{room_id}/forget", {}, self.bob)
        self.assert_error(answer, 400, "M_UNKNOWN")
        self.ok("POST", f"rooms/{room_id}/leave", {}, self.bob)
        self.assertEqual(self.ok("POST", f"rooms/{room_id}/forget", {}, self.bob), {})
        self.assertTrue(now(self.master.store.is_forgotten(BOB, room_id)))
        self.join(room_id, self.bob)
        self.assertFalse(now(self.master.store.is_forgotten(BOB, room_id)))

    def test_room_that_one_was_never_in(self) -> None:
        for room_id in (self.room(), "!nothing:test"):
            answer = self.request("POST", f"rooms/{room_id}/forget", None, self.bob)
            self.assert_error(answer, 400, "M_UNKNOWN")


class TestMembershipAsState(MembershipCase):
    def put(self, room_id: str, target: str, content: Any, token: str | None = None) -> Any:
        return self.request("PUT", f"rooms/{room_id}/state/m.room.member/{target}", content, token)

    def test_all_memberships(self) -> None:
        room_id = self.room()
        for membership in ("invite", "leave", "ban", "leave"):
            self.assertEqual(self.put(room_id, BOB, {"membership": membership}).status, 200)
            self.assertEqual(self.membership(room_id, BOB), membership)
        self.assertEqual(self.put(room_id, BOB, {"membership": "join"}, self.bob).status, 200)
        self.assertEqual(self.membership(room_id, BOB), "join")

    def test_own_name_in_one_room(self) -> None:
        room_id = self.room()
        self.put(room_id, ALICE, {"membership": "join", "displayname": "The Boss"})
        self.assertEqual(self.state(room_id, "m.room.member", ALICE)["displayname"], "The Boss")

    def test_refusals(self) -> None:
        room_id = self.room()
        for target, content, status, errcode in (
            (BOB, {"membership": "join"}, 403, "M_FORBIDDEN"),
            (BOB, {"membership": "gone"}, 400, "M_BAD_JSON"),
            (BOB, {}, 400, "M_BAD_JSON"),
            (BOB, {"membership": ["join"]}, 400, "M_BAD_JSON"),
            (BOB, {"membership": "invite", "displayname": 1}, 400, "M_BAD_JSON"),
            ("bob", {"membership": "invite"}, 400, "M_INVALID_PARAM"),
        ):
            self.assert_error(self.put(room_id, target, content), status, errcode)


class TestLimits(RoomsCase):
    overrides = {
        "rc_joins": {"local": {"per_second": 0.001, "burst_count": 2}},
        "rc_invites": {
            "per_room": {"per_second": 0.001, "burst_count": 2},
            "per_user": {"per_second": 1000, "burst_count": 1000},
            "per_issuer": {"per_second": 1000, "burst_count": 1000},
        },
    }

    def test_joins(self) -> None:
        rooms = [self.room() for _ in range(3)]
        for room_id in rooms[:2]:
            self.join(room_id, self.bob)
        self.join(rooms[0], self.bob)  # already there: costs nothing
        answer = self.request("POST", f"join/{rooms[2]}", {}, self.bob)
        self.assert_error(answer, 429, "M_LIMIT_EXCEEDED")
        self.assertGreater(answer.json["retry_after_ms"], 0)
        self.join(rooms[2], self.carol)

    def test_invites(self) -> None:
        room_id = self.room()
        for user_id in (BOB, CAROL):
            self.ok("POST", f"rooms/{room_id}/invite", {"user_id": user_id})
        answer = self.request("POST", f"rooms/{room_id}/invite", {"user_id": "@dave:test"})
        self.assert_error(answer, 429, "M_LIMIT_EXCEEDED")
