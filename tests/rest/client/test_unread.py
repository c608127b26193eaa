"""Counts of unread notifications in /sync, at the master and at a synchrotron."""

from __future__ import annotations

import random
from typing import Any

from synapse_lite.app.table import SYNCHROTRON
from synapse_lite.push.unread import UnreadCounts
from synapse_lite.storage import unread as unread_storage
from synapse_lite.streams import EVENTS
from synapse_lite.types.unread import RoomCounts
from tests.harness.homeserver import make_worker, now
from tests.sync.support import Client, SyncCase

BY_THREAD = {"room": {"timeline": {"unread_thread_notifications": True}}}


class UnreadCase(SyncCase):
    """Alice reads what Bob sends. Whatever is counted is counted anew by a process that starts."""

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.client("alice")
        self.bob = self.client("bob")
        self.room_id = self.alice.create_room()
        self.bob.join(self.room_id)
        self._txn = 0

    def post(self, client: Client, event_type: str = "m.room.message", **content: Any) -> str:
        """Send an event; returns its id."""
        self._txn += 1
        if event_type == "m.room.message":
            content = {"msgtype": "m.text", "body": "hello", **content}
        path = f"rooms/{self.room_id}/send/{event_type}/own{self._txn}"
        event_id: str = client.ok("PUT", path, content)["event_id"]
        return event_id

    def in_thread(self, client: Client, root: str, **content: Any) -> str:
        relation = {"rel_type": "m.thread", "event_id": root}
        return self.post(client, **{"m.relates_to": relation}, **content)

    def read(self, event_id: str, thread_id: str | None = None, kind: str = "m.read") -> None:
        body = {} if thread_id is None else {"thread_id": thread_id}
        self.alice.ok("POST", f"rooms/{self.room_id}/receipt/{kind}/{event_id}", body)

    def redact(self, event_id: str) -> None:
        self._txn += 1
        self.bob.ok("PUT", f"rooms/{self.room_id}/redact/{event_id}/{self._txn}", {})

    def rule(self, kind: str, rule_id: str, actions: list[Any], **rest: Any) -> None:
        self.alice.ok("PUT", f"pushrules/global/{kind}/{rule_id}", {"actions": actions, **rest})

    def room_in(self, answer: Any) -> Any:
        return answer["rooms"]["join"][self.room_id]

    def counts(self) -> tuple[int, int]:
        """Notifications and highlights: as kept, and the same when counted from the start."""
        kept = self._ask(self.door.hs.part(UnreadCounts))
        self.assertEqual(_plain(self._ask(UnreadCounts(self.door.hs))), _plain(kept))
        return (kept.whole.notifications, kept.whole.highlights)

    def by_thread(self) -> dict[str, tuple[int, int]]:
        self.counts()
        kept = self._ask(self.door.hs.part(UnreadCounts))
        found = {"main": kept.main, **kept.threads}
        return {
            thread: (count.notifications, count.highlights)
            for thread, count in found.items()
            if count.notifications
        }

    def _ask(self, counts: UnreadCounts) -> RoomCounts:
        position = self.door.store.current_token(EVENTS)
        ignored = now(self._ignored())
        rooms = now(counts.of_rooms("@alice:test", [self.room_id], position, ignored))
        return rooms[self.room_id]

    async def _ignored(self) -> frozenset[str]:
        everywhere, _ = await self.door.store.get_account_data_for_user("@alice:test")
        return frozenset(everywhere.get("m.ignored_user_list", {}).get("ignored_users", {}))


def _plain(counts: RoomCounts) -> Any:
    return counts.main, dict(counts.threads)


class UnreadTests(UnreadCase):
    def shown(self, **options: Any) -> tuple[int, int]:
        """What the next sync says of the room."""
        counts = self.room_in(self.alice.sync(**options))["unread_notifications"]
        return counts["notification_count"], counts["highlight_count"]

    def test_messages_count_until_they_are_read(self) -> None:
        self.assertEqual(self.shown(), (0, 0))
        first = self.post(self.bob)
        self.assertEqual(self.shown(), (1, 0))
        last = self.post(self.bob)
        self.assertEqual(self.shown(), (2, 0))
        self.read(first)
        self.assertEqual(self.shown(), (1, 0))
        self.read(last)
        self.assertEqual(self.shown(), (0, 0))
        self.assertEqual(self.counts(), (0, 0))

    def test_first_sync_tells_them(self) -> None:
        for _ in range(3):
            self.post(self.bob)
        self.assertEqual(self.shown(), (3, 0))
        self.assertEqual(self.counts(), (3, 0))

    def test_mentions_are_highlights(self) -> None:
        self.alice.sync()
        self.post(self.bob, **{"m.mentions": {"user_ids": ["@alice:test", "@nobody:test"]}})
        self.assertEqual(self.shown(), (1, 1))
        self.post(self.bob, **{"m.mentions": {"user_ids": ["@bob:test"]}})
        self.assertEqual(self.shown(), (2, 1))
        # A mention notifies also in what otherwise would not.
        self.post(self.bob, "org.example.x", **{"m.mentions": {"user_ids": ["@alice:test"]}})
        self.assertEqual(self.shown(), (3, 2))
        self.post(self.bob, "org.example.x")
        self.assertEqual(self.shown(), (3, 2))
        self.assertEqual(self.counts(), (3, 2))

    def test_mentions_of_the_room_need_the_power(self) -> None:
        self.alice.sync()
        self.post(self.bob, **{"m.mentions": {"room": True}})
        self.assertEqual(self.shown(), (1, 0))
        levels = {"users": {"@bob:test": 50}, "notifications": {"room": 50}}
        if "@alice:test" in (self.state_levels().get("users") or {}):
            levels["users"]["@alice:test"] = 100
        self.alice.set_state(self.room_id, "m.room.power_levels", levels)
        self.post(self.bob, **{"m.mentions": {"room": True}})
        self.assertEqual(self.shown(), (1, 1))
        self.assertEqual(self.counts(), (1, 1))

    def state_levels(self) -> Any:
        return self.alice.ok("GET", f"rooms/{self.room_id}/state/m.room.power_levels")

    def test_what_does_not_notify(self) -> None:
        self.alice.sync()
        event_id = self.post(self.bob, msgtype="m.notice")
        self.post(self.bob, "m.reaction")
        edit = {"rel_type": "m.replace", "event_id": event_id}
        self.post(self.bob, **{"m.relates_to": edit, "m.new_content": {}})
        self.bob.ok("PUT", "profile/@bob:test/displayname", {"displayname": "Bobby"})
        self.assertEqual(self.counts(), (0, 0))

    def test_own_events_read_what_was_before(self) -> None:
        self.post(self.bob)
        self.alice.sync()
        self.assertEqual(self.counts(), (1, 0))
        self.post(self.alice)
        self.assertEqual(self.shown(), (0, 0))
        self.post(self.bob)
        self.assertEqual(self.shown(), (1, 0))
        self.assertEqual(self.counts(), (1, 0))

    def test_a_new_name_reads_nothing(self) -> None:
        self.alice.sync()
        self.post(self.bob)
        self.alice.ok("PUT", "profile/@alice:test/displayname", {"displayname": "Al"})
        self.assertEqual(self.shown(), (1, 0))
        self.assertEqual(self.counts(), (1, 0))

    def test_other_kinds_of_receipts(self) -> None:
        self.alice.sync()
        first, second, third = (self.post(self.bob) for _ in range(3))
        self.read(second, kind="m.read.private")
        self.assertEqual(self.shown(), (1, 0))
        self.read(first)
        self.assertEqual(self.counts(), (1, 0))
        self.read(third, kind="m.fully_read")
        self.assertEqual(self.counts(), (1, 0))
        self.read(third, kind="m.read")
        self.assertEqual(self.shown(), (0, 0))

    def test_who_joins_late_starts_there(self) -> None:
        for _ in range(3):
            self.post(self.bob)
        carol = self.client("carol")
        carol.join(self.room_id)
        room = self.room_in(carol.sync())
        self.assertEqual(room["unread_notifications"]["notification_count"], 0)
        self.post(self.bob)
        room = self.room_in(carol.sync())
        self.assertEqual(room["unread_notifications"]["notification_count"], 1)
        carol.leave(self.room_id)
        carol.sync()
        self.post(self.bob)
        carol.join(self.room_id)
        room = self.room_in(carol.sync())
        self.assertEqual(room["unread_notifications"]["notification_count"], 0)

    def test_redacted_events_do_not_count(self) -> None:
        self.alice.sync()
        plain = self.post(self.bob)
        mention = self.post(self.bob, **{"m.mentions": {"user_ids": ["@alice:test"]}})
        custom = self.post(self.bob, "org.x", **{"m.mentions": {"user_ids": ["@alice:test"]}})
        self.assertEqual(self.shown(), (3, 2))
        for event_id, expected in ((plain, (2, 2)), (custom, (1, 1)), (mention, (0, 0))):
            self.redact(event_id)
            self.assertEqual(self.shown(), expected)
            self.assertEqual(self.counts(), expected)
        self.redact(plain)
        self.assertEqual(self.counts(), (0, 0))

    def test_threads_apart_and_together(self) -> None:
        root = self.post(self.bob)
        self.alice.sync(filter=BY_THREAD)
        one = self.in_thread(self.bob, root)
        self.in_thread(self.bob, root, **{"m.mentions": {"user_ids": ["@alice:test"]}})
        self.post(self.bob, "m.reaction", **{"m.relates_to": {"rel_type": "m.annotation"}})
        room = self.room_in(self.alice.sync(filter=BY_THREAD))
        self.assertEqual(
            (room["unread_notifications"], room["unread_thread_notifications"]),
            (
                {"notification_count": 1, "highlight_count": 0},
                {root: {"notification_count": 2, "highlight_count": 1}},
            ),
        )
        self.assertEqual(self.by_thread(), {"main": (1, 0), root: (2, 1)})
        self.post(self.bob)
        room = self.room_in(self.alice.sync())
        self.assertEqual(
            room["unread_notifications"], {"notification_count": 4, "highlight_count": 1}
        )
        self.assertNotIn("unread_thread_notifications", room)
        self.read(one, root)
        self.assertEqual(self.by_thread(), {"main": (2, 0), root: (1, 1)})
        self.read(root, "main")
        self.assertEqual(self.by_thread(), {"main": (1, 0), root: (1, 1)})
        self.in_thread(self.alice, root)
        self.assertEqual(self.by_thread(), {"main": (1, 0)})
        last = self.in_thread(self.bob, root)
        self.assertEqual(self.by_thread(), {"main": (1, 0), root: (1, 0)})
        self.redact(last)
        self.assertEqual(self.by_thread(), {"main": (1, 0)})
        last = self.in_thread(self.bob, root)
        self.read(last)
        self.assertEqual(self.by_thread(), {})

    def test_what_is_about_something_in_a_thread_is_in_it(self) -> None:
        root = self.post(self.bob)
        reply = self.in_thread(self.bob, root)
        self.post(self.bob, **{"m.relates_to": {"rel_type": "m.reference", "event_id": reply}})
        self.post(self.bob, **{"m.relates_to": {"rel_type": "m.reference", "event_id": root}})
        self.assertEqual(self.by_thread(), {"main": (2, 0), root: (2, 0)})

    def test_muted_rooms(self) -> None:
        self.alice.sync()
        condition = {"kind": "event_match", "key": "room_id", "pattern": self.room_id}
        self.rule("override", "mute", [], conditions=[condition])
        self.post(self.bob, **{"m.mentions": {"user_ids": ["@alice:test"]}})
        self.assertEqual(self.shown(), (0, 0))
        self.assertEqual(self.counts(), (0, 0))

    def test_rooms_in_which_mentions_alone_notify(self) -> None:
        self.alice.sync()
        self.post(self.bob)
        self.rule("room", self.room_id, [])
        self.assertEqual(self.shown(), (0, 0))
        self.post(self.bob)
        self.post(self.bob, **{"m.mentions": {"user_ids": ["@alice:test"]}})
        self.assertEqual(self.shown(), (1, 1))
        self.assertEqual(self.counts(), (1, 1))

    def test_rooms_in_which_everything_notifies(self) -> None:
        self.rule("room", self.room_id, ["notify"])
        self.alice.sync()
        self.post(self.bob, "org.example.x")
        self.post(self.bob, "m.reaction")
        self.assertEqual(self.shown(), (1, 0))
        self.assertEqual(self.counts(), (1, 0))

    def test_keywords(self) -> None:
        self.rule("content", "cake", ["notify", {"set_tweak": "highlight"}], pattern="c?ke")
        self.alice.sync()
        self.post(self.bob, body="Who wants CAKE?")
        self.post(self.bob, body="pancakes")
        self.assertEqual(self.shown(), (2, 1))
        self.assertEqual(self.counts(), (2, 1))

    def test_own_display_name(self) -> None:
        self.alice.ok("PUT", "profile/@alice:test/displayname", {"displayname": "Queen"})
        highlight = ["notify", {"set_tweak": "highlight"}]
        name = {"kind": "contains_display_name"}
        self.rule("override", "name", highlight, conditions=[name])
        self.alice.sync()
        self.post(self.bob, body="the queen said")
        self.assertEqual(self.counts(), (1, 1))
        self.alice.ok("PUT", "profile/@alice:test/displayname", {"displayname": "King"})
        self.assertEqual(self.counts(), (1, 0))
        self.post(self.bob, body="the king said")
        self.assertEqual(self.counts(), (2, 1))

    def test_direct_rooms_alone(self) -> None:
        self.alice.sync()
        for rule in (".m.rule.message", ".m.rule.encrypted"):
            path = f"pushrules/global/underride/{rule}/enabled"
            self.alice.ok("PUT", path, {"enabled": False})
        self.post(self.bob)
        self.assertEqual(self.counts(), (1, 0))
        carol = self.client("carol")
        carol.join(self.room_id)
        self.post(self.bob)
        self.assertEqual(self.counts(), (0, 0))

    def test_changed_rules_change_counts_at_once(self) -> None:
        self.alice.sync()
        self.post(self.bob)
        other_device = self.master.ok(
            "POST",
            "login",
            {
                "type": "m.login.password",
                "identifier": {"type": "m.id.user", "user": "alice"},
                "password": "secret password",
            },
        )["access_token"]
        self.alice.sync()
        first, first_since = self.alice.token, self.alice.since
        self.alice.token = other_device
        self.rule("room", self.room_id, [])
        # Each device is told, in whatever order they come.
        self.assertEqual(self.shown(), (0, 0))
        self.alice.token, self.alice.since = first, first_since
        self.assertEqual(self.shown(), (0, 0))
        self.assertNotIn("rooms", self.alice.sync())

    def test_ignored_users(self) -> None:
        self.alice.sync()
        carol = self.client("carol")
        carol.join(self.room_id)
        self.post(self.bob)
        self.post(carol, **{"m.mentions": {"user_ids": ["@alice:test"]}})
        self.assertEqual(self.counts(), (2, 1))
        self.alice.ok(
            "PUT",
            "user/@alice:test/account_data/m.ignored_user_list",
            {"ignored_users": {"@carol:test": {}}},
        )
        self.assertEqual(self.counts(), (1, 0))
        self.post(carol)
        self.assertEqual(self.counts(), (1, 0))
        self.post(self.bob)
        self.assertEqual(self.shown(), (2, 0))

    def test_counts_alone_are_news(self) -> None:
        # This client wants to hear of nothing but counts.
        nothing = {"types": []}
        wanted = {"room": {"timeline": nothing, "ephemeral": nothing, "account_data": nothing}}
        self.alice.sync(filter=wanted)
        waiting = self.alice.start_sync(filter=wanted)
        event_id = self.post(self.bob)
        room = self.room_in(self.alice.finish_sync(waiting))
        self.assertEqual(room["unread_notifications"]["notification_count"], 1)
        for kind in ("m.read.private", "m.read"):
            waiting = self.alice.start_sync(filter=wanted)
            self.read(event_id, kind=kind)
            room = self.room_in(self.alice.finish_sync(waiting))
            self.assertEqual(room["unread_notifications"]["notification_count"], 0)
            event_id = self.post(self.bob)
            self.alice.sync(filter=wanted)
        waiting = self.alice.start_sync(filter=wanted)
        self.post(self.alice)
        room = self.room_in(self.alice.finish_sync(waiting))
        self.assertEqual(room["unread_notifications"]["notification_count"], 0)
        waiting = self.alice.start_sync(filter=wanted)
        self.post(self.bob, msgtype="m.notice")
        self.assertIsNone(waiting.answer())
        waiting.disconnect()

    def test_receipts_of_others_change_nothing(self) -> None:
        event_id = self.post(self.bob)
        self.alice.sync()
        self.bob.ok("POST", f"rooms/{self.room_id}/receipt/m.read/{event_id}", {})
        self.assertEqual(self.shown(), (1, 0))

    def test_following_costs_no_query(self) -> None:
        self.post(self.bob)
        self.alice.sync()
        self.post(self.bob)
        before = self.door.db.counts.statements
        self.alice.sync()
        # The event itself is read once, for everybody; the master has it already.
        self.assertLessEqual(self.door.db.counts.statements - before, 1 if self.at_worker else 0)
        event_id = self.post(self.bob)
        self.alice.sync()
        self.read(event_id)
        before = self.door.db.counts.statements
        self.assertEqual(self.shown(), (0, 0))
        self.assertEqual(self.door.db.counts.statements, before)
        self.alice.sync()
        self.assertEqual(self.door.db.counts.statements, before)

    def test_rows_that_are_caught_up_with_are_counted_anew(self) -> None:
        self.alice.sync()
        self.assertEqual(self.counts(), (0, 0))
        self.post(self.bob)
        token = self.master.store.current_token(EVENTS)
        rows = now(self.master.store.rows_between(EVENTS, token - 1, token, 10))
        self.assertIsNone(rows[0][1].notice)
        counts = self.door.hs.part(UnreadCounts)
        counts._on_rows(EVENTS, token, [row for _, row in rows])
        self.assertEqual(self.counts(), (1, 0))

    def test_more_than_is_looked_at(self) -> None:
        self.patch(unread_storage, "EXACT_EVENTS", 3)
        self.rule("content", "cake", ["notify", {"set_tweak": "highlight"}], pattern="cake")
        self.post(self.bob, body="cake")  # too long ago for keywords
        self.post(self.bob, body="cake", **{"m.mentions": {"user_ids": ["@alice:test"]}})
        for body in ("bread", "cake", "bread"):
            self.post(self.bob, body=body)
        self.assertEqual(self.shown(), (5, 2))

    def test_every_process_counts_alike(self) -> None:
        self._compare_processes()

    def test_every_process_counts_alike_by_own_rules(self) -> None:
        self.rule("content", "cake", ["notify", {"set_tweak": "highlight"}], pattern="cake")
        self._compare_processes()

    def test_short_memory_changes_no_count(self) -> None:
        self.rule("content", "cake", ["notify", {"set_tweak": "highlight"}], pattern="cake")
        for limit in (100, 5_000, 20_000):
            self.door.store.caches.budget.limit = limit
            self._compare_processes()
            self.assertLessEqual(self.door.store.caches.budget.used, limit)

    def test_a_tail_that_is_made_anew_while_it_is_read_keeps_no_count(self) -> None:
        counts = self.door.hs.part(UnreadCounts)
        self.post(self.bob)
        get_unread = counts._unread.get_unread

        async def slow_read(*args: Any) -> Any:
            found = await get_unread(*args)
            # A redaction in old history is noted in a tail of which the new one knows nothing.
            counts._tails.forget(self.room_id, 0)
            while len(counts._tails):
                counts._tails.evict_oldest()
            counts._tails.of_room(self.room_id)
            return found

        self.patch(counts._unread, "get_unread", slow_read)
        self._ask(counts)
        self.assertIsNone(counts._kept("@alice:test", self.room_id))
        self.patch(counts._unread, "get_unread", get_unread)
        self._ask(counts)
        self.assertIsNotNone(counts._kept("@alice:test", self.room_id))

    def test_a_tail_that_is_forgotten_while_its_events_are_looked_at(self) -> None:
        self.rule("content", "cake", ["notify", {"set_tweak": "highlight"}], pattern="cake")
        counts = self.door.hs.part(UnreadCounts)
        self.assertEqual(self.counts(), (0, 0))
        event_id = self.post(self.bob, body="cake")
        get_events = counts._events.get_events

        async def slow_read(*args: Any) -> Any:
            found = await get_events(*args)
            self.patch(counts._events, "get_events", get_events)
            while len(counts._tails):
                counts._tails.evict_oldest()
            self.read(event_id)
            return found

        self.patch(counts._events, "get_events", slow_read)
        self.assertEqual(self._ask(counts).whole.notifications, 0)
        self.assertEqual(self.counts(), (0, 0))

    def _compare_processes(self) -> None:
        """A process that starts gives the same answer as one that has followed all the time."""
        generator = random.Random(7)
        root = self.post(self.bob)
        other = make_worker(SYNCHROTRON, self.master)
        sent = [root]
        for _ in range(60):
            sent = self._something(generator, root, sent)
            kept = self._ask(self.door.hs.part(UnreadCounts))
            self.assertEqual(_plain(self._ask(UnreadCounts(self.door.hs))), _plain(kept))
            asked = now(
                other.hs.part(UnreadCounts).of_rooms(
                    "@alice:test", [self.room_id], other.store.current_token(EVENTS)
                )
            )
            self.assertEqual(_plain(asked[self.room_id]), _plain(kept))

    def _something(self, generator: random.Random, root: str, sent: list[str]) -> list[str]:
        """Do one of the things that change counts."""
        sender = self.alice if generator.random() < 0.15 else self.bob
        content = generator.choice(
            (
                {"body": "cake"},
                {"body": "bread"},
                {"m.mentions": {"user_ids": ["@alice:test"]}},
                {"m.mentions": {"room": True}},
            )
        )
        choice = generator.randrange(8)
        if choice < 3:
            return [*sent, self.post(sender, **content)]
        if choice < 5:
            return [*sent, self.in_thread(sender, root, **content)]
        if choice == 5 and sender is self.bob:
            own = [each for each in sent if self.sender_of(each) == "@bob:test"]
            self.redact(generator.choice(own))
        elif choice == 6:
            self.read(generator.choice(sent))
        elif choice == 7:
            event_id = generator.choice(sent)
            relation = self.content_of(event_id).get("m.relates_to")
            thread_id = "main" if relation is None else root
            self.read(event_id, thread_id, generator.choice(("m.read", "m.read.private")))
        return sent

    def sender_of(self, event_id: str) -> str:
        sender: str = now(self.master.store.get_event(event_id)).sender
        return sender

    def content_of(self, event_id: str) -> Any:
        return now(self.master.store.get_event(event_id)).content


class UnreadAtWorkerTests(UnreadTests):
    at_worker = True
