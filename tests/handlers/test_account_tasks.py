"""What goes on for an account in the background: new names, rooms joined and left; restarts."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.handlers import account_tasks
from synapse_lite.handlers.account_tasks import RETRY_SECONDS, AccountTasks
from synapse_lite.storage.account_tasks import TaskName
from tests.harness.homeserver import Master, make_master, now

STAGE = {"type": "m.login.password", "user": "alice", "password": "secret password"}


class TasksCase(TestCase):
    overrides: dict[str, Any] = {}

    def setUp(self) -> None:
        self.master: Master = make_master(self.overrides)
        self.alice = self.master.register("alice")
        self.bob = self.master.register("bob")

    def member(self, room_id: str, user: str = "@alice:test") -> dict[str, Any]:
        """The content of the user's membership event."""
        event = now(self.master.store.get_current_state_event(room_id, "m.room.member", user))
        content: dict[str, Any] = {} if event is None else event.content
        return content

    def set_name(self, name: str) -> None:
        self.master.ok("PUT", "profile/@alice:test/displayname", {"displayname": name}, self.alice)

    def tasks(self) -> list[tuple[str, str]]:
        return now(self.master.store.get_account_tasks())

    def room_ids(self, count: int, preset: str = "public_chat") -> list[str]:
        return sorted(self.master.create_room(self.alice, preset=preset) for _ in range(count))


class ProfileTaskTests(TasksCase):
    def test_a_name_reaches_every_joined_room(self) -> None:
        joined = self.room_ids(3)
        invited = self.master.create_room(self.bob, invite=["@alice:test"])
        self.set_name("Alice!")
        self.assertEqual([self.member(each)["displayname"] for each in joined], ["Alice!"] * 3)
        self.assertEqual(self.member(invited)["membership"], "invite")
        self.assertEqual(self.tasks(), [])

    def test_a_picture_too_and_nothing_for_other_fields(self) -> None:
        (room_id,) = self.room_ids(1)
        before = now(self.master.store.get_room_heads(room_id))
        self.master.ok("PUT", "profile/@alice:test/m.tz", {"m.tz": "UTC"}, self.alice)
        self.assertEqual(now(self.master.store.get_room_heads(room_id)), before)
        picture = {"avatar_url": "mxc://test/a"}
        self.master.ok("PUT", "profile/@alice:test/avatar_url", picture, self.alice)
        self.assertEqual(self.member(room_id)["avatar_url"], "mxc://test/a")

    def test_a_deleted_name_goes_from_the_rooms(self) -> None:
        (room_id,) = self.room_ids(1)
        self.master.ok("DELETE", "profile/@alice:test/displayname", None, self.alice)
        self.assertEqual(self.member(room_id), {"membership": "join"})

    def test_the_same_name_again_makes_no_event(self) -> None:
        (room_id,) = self.room_ids(1)
        before = now(self.master.store.get_room_heads(room_id))
        self.set_name("alice")
        self.assertEqual(now(self.master.store.get_room_heads(room_id)), before)

    def test_a_room_that_refuses_does_not_stop_the_others(self) -> None:
        banned, other = self.room_ids(2)
        handler = self.master.hs.part(account_tasks.MembershipHandler)
        update = handler.update_membership

        async def refuse(requester: Any, target: str, room_id: str, *args: Any) -> str:
            if room_id == banned:
                raise account_tasks.MatrixError("No", status=403)
            return await update(requester, target, room_id, *args)

        self.patch(handler, "update_membership", refuse)
        self.set_name("Alice!")
        self.assertEqual(self.member(other)["displayname"], "Alice!")
        self.assertEqual(self.tasks(), [])


class RestartTests(TasksCase):
    def crash(self, after: int) -> None:
        """Changing memberships fails after so many, as when the process ends."""
        handler = self.master.hs.part(account_tasks.MembershipHandler)
        update = handler.update_membership
        self.changed: list[str] = []

        async def counted(requester: Any, target: str, room_id: str, *args: Any) -> str:
            if len(self.changed) == after:
                raise RuntimeError("the process ends")
            self.changed.append(room_id)
            return await update(requester, target, room_id, *args)

        self.patch(handler, "update_membership", counted)

    def crashing_change(self, name: str) -> None:
        with self.assertLogs("synapse_lite.handlers.account_tasks", "ERROR"):
            self.set_name(name)

    def restart(self) -> None:
        """A new process begins with what is in the database."""
        now(self.master.hs.part(AccountTasks).stop())
        self.restarted = AccountTasks(self.master.hs)
        now(self.restarted.start())

    def names(self, rooms: list[str]) -> set[str]:
        return {self.member(room_id)["displayname"] for room_id in rooms}

    def test_the_rest_is_told_after_a_restart(self) -> None:
        self.patch(account_tasks, "ROOMS_PER_NOTE", 2)
        rooms = self.room_ids(5)
        self.crash(after=3)
        self.crashing_change("Alice!")
        self.assertEqual(self.tasks(), [("@alice:test", TaskName.PROFILE)])
        self.assertEqual(self.names(rooms[:3]), {"Alice!"})
        self.assertEqual(self.names(rooms[3:]), {"alice"})
        self.crash_over()
        self.restart()
        self.assertEqual(self.names(rooms), {"Alice!"})
        self.assertEqual(self.tasks(), [])

    def test_progress_spares_the_rooms_that_are_done(self) -> None:
        self.patch(account_tasks, "ROOMS_PER_NOTE", 2)
        rooms = self.room_ids(5)
        self.crash(after=3)
        self.crashing_change("Alice!")
        handler = self.master.hs.part(account_tasks.MembershipHandler)
        told: list[str] = []

        async def told_only(requester: Any, target: str, room_id: str, *args: Any) -> str:
            told.append(room_id)
            return "$event"

        self.patch(handler, "update_membership", told_only)
        self.restart()
        self.assertEqual(told, rooms[2:])

    def test_it_is_tried_again_without_a_restart(self) -> None:
        rooms = self.room_ids(1)
        self.crash(after=0)
        self.crashing_change("Alice!")
        self.crash_over()
        self.master.reactor.advance(RETRY_SECONDS)
        self.assertEqual(self.names(rooms), {"Alice!"})
        self.assertEqual(self.tasks(), [])

    def crash_over(self) -> None:
        handler = self.master.hs.part(account_tasks.MembershipHandler)
        self.patch(handler, "update_membership", type(handler).update_membership.__get__(handler))

    def test_a_name_that_changes_meanwhile_is_told_in_the_end(self) -> None:
        rooms = self.room_ids(3)
        handler = self.master.hs.part(account_tasks.MembershipHandler)
        update = handler.update_membership
        changed = []

        async def interrupted(requester: Any, target: str, room_id: str, *args: Any) -> str:
            event_id = await update(requester, target, room_id, *args)
            changed.append(room_id)
            if len(changed) == 2:
                await self.master.store.set_profile_field(target, "displayname", "Second")
            return event_id

        self.patch(handler, "update_membership", interrupted)
        self.set_name("First")
        self.assertEqual(self.names(rooms), {"Second"})
        self.assertEqual(self.tasks(), [])


class LeavingTests(TasksCase):
    overrides = {"rc_message": {"per_second": 1, "burst_count": 5}}

    def test_a_deactivated_user_leaves_all_rooms(self) -> None:
        rooms = self.room_ids(2)
        invited = self.master.create_room(self.bob, invite=["@alice:test"])
        self.master.ok("POST", "account/deactivate", {"auth": STAGE}, self.alice)
        for room_id in (*rooms, invited):
            self.assertEqual(self.member(room_id)["membership"], "leave")
        self.assertEqual(self.tasks(), [])

    def test_limits_delay_it_only(self) -> None:
        rooms = self.room_ids(4)
        self.master.reactor.advance(60)
        for _ in range(4):
            self.master.send(self.alice, rooms[0], "x")
        self.master.ok("POST", "account/deactivate", {"auth": STAGE}, self.alice)
        left = [each for each in rooms if self.member(each)["membership"] == "leave"]
        self.assertLess(len(left), 4)
        self.master.reactor.pump([1] * 5)
        self.assertEqual({self.member(room_id)["membership"] for room_id in rooms}, {"leave"})
        self.assertEqual(self.tasks(), [])

    def test_stopping_leaves_the_rest_to_the_next_start(self) -> None:
        rooms = self.room_ids(4)
        self.master.reactor.advance(60)
        for _ in range(4):
            self.master.send(self.alice, rooms[0], "x")
        with self.assertNoLogs("synapse_lite.handlers.account_tasks", "ERROR"):
            self.master.ok("POST", "account/deactivate", {"auth": STAGE}, self.alice)
            now(self.master.hs.part(AccountTasks).stop())
            self.master.reactor.pump([1] * 10)
        self.assertEqual(self.tasks(), [("@alice:test", TaskName.LEAVE_ROOMS)])
        now(AccountTasks(self.master.hs).start())
        self.assertEqual({self.member(room_id)["membership"] for room_id in rooms}, {"leave"})


class AutoJoinTests(TestCase):
    def test_new_users_join_rooms_by_alias(self) -> None:
        master = make_master({"auto_join_rooms": ["#hall:test", "#gone:test"]})
        alice = master.register("alice")
        hall = master.create_room(alice, preset="public_chat", room_alias_name="hall")
        master.register("bob")
        membership, _ = now(master.store.get_membership("@bob:test", hall))
        self.assertEqual(membership, "join")
        self.assertEqual(now(master.store.get_account_tasks()), [])
