"""Who sees what of a room, over a real one."""

from __future__ import annotations

from synapse_lite.api.errors import ForbiddenError
from synapse_lite.events.event import Event
from synapse_lite.handlers.visibility import EventVisibility, ReadAccess
from tests.harness.homeserver import now
from tests.rest.client.rooms import ALICE, BOB, CAROL, RoomsCase

ALL = ("before", "invited", "joined", "left")


class VisibilityCase(RoomsCase):
    def setUp(self) -> None:
        super().setUp()
        self.visibility = self.master.hs.part(EventVisibility)

    def private_room(self, visibility: str) -> str:
        """A room by invitation with this history visibility."""
        content = {"history_visibility": visibility}
        state = {"type": "m.room.history_visibility", "content": content}
        return self.room(preset="private_chat", initial_state=[state])

    def invite(self, room_id: str, user_id: str = BOB) -> None:
        self.ok("POST", f"rooms/{room_id}/invite", {"user_id": user_id})

    def leave(self, room_id: str, token: str) -> None:
        self.ok("POST", f"rooms/{room_id}/leave", {}, token)

    def set_visibility(self, room_id: str, visibility: str) -> Event:
        path = f"rooms/{room_id}/state/m.room.history_visibility"
        content = {"history_visibility": visibility}
        return self.event(self.ok("PUT", path, content)["event_id"])

    def say(self, room_id: str, text: str) -> Event:
        return self.event(self.master.send(self.alice, room_id, text))

    def story(self, visibility: str) -> tuple[str, list[Event]]:
        """A room with a message of each part of Bob's stay."""
        room_id = self.private_room(visibility)
        said = [self.say(room_id, "before")]
        self.invite(room_id)
        said.append(self.say(room_id, "invited"))
        self.join(room_id, self.bob)
        said.append(self.say(room_id, "joined"))
        self.leave(room_id, self.bob)
        said.append(self.say(room_id, "left"))
        return room_id, said

    def seen(self, user_id: str, events: list[Event], *, peeking: bool = False) -> tuple[str, ...]:
        """What the user sees of some messages."""
        found = now(self.visibility.filter_for_user(user_id, events, peeking=peeking))
        return tuple(event.content["body"] for event in found)

    def sees(self, user_id: str, event: Event) -> bool:
        return bool(now(self.visibility.filter_for_user(user_id, [event])))


class FilterTests(VisibilityCase):
    def test_a_stay_that_has_ended(self) -> None:
        expected = {
            "world_readable": ALL,
            "shared": ("before", "invited", "joined"),
            "invited": ("invited", "joined"),
            "joined": ("joined",),
        }
        for visibility, seen in expected.items():
            with self.subTest(visibility=visibility):
                _, said = self.story(visibility)
                self.assertEqual(self.seen(BOB, said), seen)
                self.assertEqual(self.seen(ALICE, said), ALL)

    def test_coming_back_opens_shared_history_only(self) -> None:
        expected = {
            "world_readable": ALL,
            "shared": ALL,
            "invited": ("invited", "joined"),
            "joined": ("joined",),
        }
        for visibility, seen in expected.items():
            with self.subTest(visibility=visibility):
                room_id, said = self.story(visibility)
                self.invite(room_id)
                self.join(room_id, self.bob)
                self.assertEqual(self.seen(BOB, said), seen)

    def test_turning_down_an_invite_to_come_back_takes_nothing_away(self) -> None:
        room_id, said = self.story("shared")
        self.invite(room_id)
        self.leave(room_id, self.bob)
        self.assertEqual(self.seen(BOB, said), ("before", "invited", "joined"))

    def test_strangers_see_what_is_world_readable(self) -> None:
        for visibility in ("world_readable", "shared", "invited", "joined"):
            with self.subTest(visibility=visibility):
                _, said = self.story(visibility)
                expected = ALL if visibility == "world_readable" else ()
                self.assertEqual(self.seen(CAROL, said), expected)

    def test_the_setting_when_an_event_was_sent_decides(self) -> None:
        room_id = self.private_room("world_readable")
        opened = self.say(room_id, "open")
        closing = self.set_visibility(room_id, "joined")
        closed = self.say(room_id, "closed")
        opening = self.set_visibility(room_id, "world_readable")
        self.assertEqual(self.seen(CAROL, [opened, closed]), ("open",))
        # A change is seen by who may see what is on either side of it.
        self.assertTrue(self.sees(CAROL, closing))
        self.assertTrue(self.sees(CAROL, opening))
        self.assertFalse(self.sees(CAROL, self.set_visibility_twice(room_id)))

    def set_visibility_twice(self, room_id: str) -> Event:
        """A change between two settings under which strangers see nothing."""
        self.set_visibility(room_id, "joined")
        return self.set_visibility(room_id, "invited")

    def test_own_membership_is_seen(self) -> None:
        room_id = self.private_room("joined")
        self.invite(room_id)
        invite = self.state_event(room_id, "m.room.member", BOB)
        self.join(room_id, self.bob)
        self.ok("POST", f"rooms/{room_id}/kick", {"user_id": BOB})
        kick = self.state_event(room_id, "m.room.member", BOB)
        self.ok("POST", f"rooms/{room_id}/ban", {"user_id": BOB})
        ban = self.state_event(room_id, "m.room.member", BOB)
        assert invite is not None and kick is not None and ban is not None
        self.assertFalse(self.sees(BOB, invite))  # neither before nor after it was he in the room
        self.assertTrue(self.sees(BOB, kick))
        self.assertFalse(self.sees(BOB, ban))
        self.assertFalse(self.sees(CAROL, kick))

    def test_with_peeking_a_former_member_is_a_stranger(self) -> None:
        _, said = self.story("shared")
        self.assertEqual(self.seen(BOB, said, peeking=True), ())
        _, said = self.story("world_readable")
        self.assertEqual(self.seen(BOB, said, peeking=True), ALL)

    def test_what_the_server_does_not_build_upon_is_seen_by_nobody(self) -> None:
        room_id = self.private_room("world_readable")
        failed, rejected, outlier = (self.say(room_id, text) for text in ("a", "b", "c"))
        failed.metadata.soft_failed = True
        rejected.metadata.rejected_reason = "for a test"
        outlier.metadata.outlier = True
        outlier.metadata.state_group = None
        for user_id in (ALICE, CAROL):
            self.assertEqual(self.seen(user_id, [failed, rejected, outlier]), ())

    def test_an_invite_without_a_room_is_seen_by_its_user(self) -> None:
        room_id = self.private_room("joined")
        self.invite(room_id)
        invite = self.state_event(room_id, "m.room.member", BOB)
        assert invite is not None
        invite.metadata.outlier = True
        invite.metadata.state_group = None
        self.assertTrue(self.sees(BOB, invite))
        self.assertFalse(self.sees(CAROL, invite))

    def test_events_of_the_present_stay_cost_no_query(self) -> None:
        room_id = self.private_room("joined")
        said = [self.say(room_id, str(number)) for number in range(20)]
        self.seen(ALICE, said)
        before = self.master.db.counts.transactions
        self.assertEqual(len(self.seen(ALICE, said)), 20)
        self.assertEqual(self.master.db.counts.transactions, before)

    def test_many_events_of_the_past_are_read_at_once(self) -> None:
        room_id = self.private_room("shared")
        said = []
        for number in range(10):
            self.ok("PUT", f"rooms/{room_id}/state/m.room.topic", {"topic": str(number)})
            said.append(self.say(room_id, str(number)))
        self.invite(room_id)
        self.join(room_id, self.bob)
        self.seen(BOB, said[:1])  # so that Bob's membership is known
        self.master.store.caches.invalidate_all()
        before = self.master.db.counts.transactions
        self.assertEqual(len(self.seen(BOB, said)), 10)
        self.assertLessEqual(self.master.db.counts.transactions - before, 4)


class MembershipTests(VisibilityCase):
    def test_membership_at_each_event(self) -> None:
        room_id, said = self.story("world_readable")
        leave = self.state_event(room_id, "m.room.member", BOB)
        assert leave is not None
        found = now(self.visibility.memberships_at(BOB, [*said, leave]))
        self.assertEqual(
            [found[event.event_id] for event in said], ["leave", "invite", "join", "leave"]
        )
        self.assertEqual(found[leave.event_id], "leave")
        self.assertEqual(set(now(self.visibility.memberships_at(ALICE, said)).values()), {"join"})

    def test_what_is_hidden_has_none(self) -> None:
        _, said = self.story("joined")
        found = now(self.visibility.memberships_at(BOB, said))
        self.assertEqual(found, {said[2].event_id: "join"})


class ReadableTests(VisibilityCase):
    def access(self, user_id: str, room_id: str, *, allow_left: bool = True) -> ReadAccess:
        return now(self.visibility.check_readable(user_id, room_id, allow_left=allow_left))

    def refused(self, user_id: str, room_id: str, *, allow_left: bool = True) -> None:
        with self.assertRaises(ForbiddenError):
            self.access(user_id, room_id, allow_left=allow_left)

    def test_members_read_everybody_else_does_not(self) -> None:
        room_id = self.private_room("shared")
        self.assertEqual(self.access(ALICE, room_id), ReadAccess("join"))
        self.refused(BOB, room_id)
        self.invite(room_id)
        self.refused(BOB, room_id)
        self.refused(ALICE, "!nowhere:test")

    def test_who_left_reads_as_of_then(self) -> None:
        room_id, _ = self.story("shared")
        leave = self.state_event(room_id, "m.room.member", BOB)
        self.assertEqual(self.access(BOB, room_id), ReadAccess("leave", leave))
        self.refused(BOB, room_id, allow_left=False)

    def test_the_end_of_the_stay_counts_not_what_came_later(self) -> None:
        room_id, _ = self.story("shared")
        leave = self.state_event(room_id, "m.room.member", BOB)
        self.ok("POST", f"rooms/{room_id}/ban", {"user_id": BOB})
        self.assertEqual(self.access(BOB, room_id), ReadAccess("ban", leave))
        self.ok("POST", f"rooms/{room_id}/unban", {"user_id": BOB})
        self.invite(room_id)
        self.assertEqual(self.access(BOB, room_id), ReadAccess("invite", leave))
        self.leave(room_id, self.bob)
        self.assertEqual(self.access(BOB, room_id), ReadAccess("leave", leave))

    def test_an_invite_that_was_turned_down_shows_nothing(self) -> None:
        room_id = self.private_room("shared")
        self.invite(room_id)
        self.leave(room_id, self.bob)
        self.refused(BOB, room_id)

    def test_a_forgotten_room_is_gone(self) -> None:
        room_id, _ = self.story("shared")
        self.ok("POST", f"rooms/{room_id}/forget", {}, self.bob)
        self.refused(BOB, room_id)

    def test_everybody_reads_a_world_readable_room(self) -> None:
        room_id = self.private_room("world_readable")
        self.assertEqual(self.access(CAROL, room_id), ReadAccess(None, is_peeking=True))
        self.set_visibility(room_id, "shared")
        self.refused(CAROL, room_id)
