"""The user directory ends the same, wherever its upkeep was interrupted."""

from __future__ import annotations

from typing import Any

from synapse_lite.handlers.user_directory_upkeep import UPKEEP_SECONDS, UserDirectoryUpkeep
from synapse_lite.storage import user_directory_upkeep as upkeep_store
from synapse_lite.storage.background_updates import BackgroundUpdater, get_pending_updates
from synapse_lite.storage.transaction import Transaction
from synapse_lite.streams import CURRENT_STATE_DELTAS, EVENTS, CurrentStateDeltaRow
from synapse_lite.util.json import encode_json_text
from tests.harness.homeserver import now
from tests.rest.client.rooms import ALICE, BOB, CAROL, RoomsCase

DAVE = "@dave:elsewhere"


class UpkeepCase(RoomsCase):
    def setUp(self) -> None:
        super().setUp()
        self.upkeep: UserDirectoryUpkeep | None = None

    def start(self) -> None:
        """A new process begins with what is in the database."""
        if self.upkeep is not None:
            now(self.upkeep.stop())
        now(self.master.hs.part(BackgroundUpdater).stop())
        self.upkeep = UserDirectoryUpkeep(self.master.hs)
        now(self.upkeep.start())

    def catch_up(self) -> None:
        self.master.reactor.pump([UPKEEP_SECONDS] * 8)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        rows = now(self.master.db.read("query", lambda txn: txn.query(sql)))
        return [tuple(row) for row in rows]

    def execute(self, sql: str) -> None:
        now(self.master.db.run("execute", lambda txn: txn.execute(sql)))

    def contents(self) -> list[list[tuple[Any, ...]]]:
        """Everything in the directory; the keys of the index are its own business."""
        return [
            self.query(
                "SELECT user_id, display_name, avatar_url, text, is_local, in_open_room"
                " FROM user_directory ORDER BY user_id"
            ),
            self.query("SELECT room_id FROM user_directory_rooms ORDER BY room_id"),
            self.query("SELECT user_id FROM user_directory_stale"),
        ]

    def users(self) -> dict[str, str | None]:
        return dict(self.query("SELECT user_id, display_name FROM user_directory"))

    def rebuilt(self) -> list[list[tuple[Any, ...]]]:
        """What the directory holds when it is built anew, as an operator can order it."""
        self.execute("DELETE FROM user_directory_position")
        self.start()
        self.catch_up()
        return self.contents()

    def remote(self, room_id: str, user_id: str, membership: str, **content: Any) -> None:
        """The membership of somebody of another server takes effect."""

        def write(txn: Transaction, token: int) -> None:
            event_id = f"$remote{token}"
            pdu = {"content": {"membership": membership, **content}}
            txn.insert(
                "events",
                nid=token,
                event_id=event_id,
                stream_ordering=token,
                room_id=room_id,
                room_version="10",
                type="m.room.member",
                state_key=user_id,
                sender=user_id,
                depth=token,
                origin_server_ts=0,
                received_ts=0,
                contains_url=False,
                outlier=False,
                soft_failed=False,
                in_timeline=False,
                out_of_band=False,
                json=encode_json_text(pdu),
            )
            key = {"room_id": room_id, "type": "m.room.member", "state_key": user_id}
            before = txn.select_one("current_state_events", ("event_id",), **key)
            value = {"event_id": event_id, "membership": membership}
            txn.upsert("current_state_events", key, value)
            txn.insert(
                "current_state_delta_stream",
                stream_id=token,
                **key,
                **value,
                prev_event_id=None if before is None else before[0],
            )
            row = CurrentStateDeltaRow(
                room_id, "m.room.member", user_id, event_id, membership, user_id
            )
            txn.changed(CURRENT_STATE_DELTAS, token, row)

        async def persist() -> None:
            async with self.master.store.writing(EVENTS) as token:
                await self.master.store.db.run("remote", write, token)

        now(persist())

    def life(self, number: int) -> None:
        """Some of everything that changes the directory."""
        open_room, closed_room = self.room(), self.room(preset="private_chat")
        self.join(open_room, self.bob)
        self.remote(open_room, DAVE, "join", displayname=f"Dave {number}")
        self.remote(closed_room, DAVE, "join", displayname=f"Secret {number}")
        self.remote(closed_room, f"@eve{number}:elsewhere", "join")
        self.remote(closed_room, f"@eve{number}:elsewhere", "leave")
        self.remote(closed_room, f"@frank{number}:elsewhere", "join", displayname="a\0b")
        profile = f"profile/{BOB}/displayname"
        self.ok("PUT", profile, {"displayname": f"Bob {number}"}, self.bob)
        rules = f"rooms/{open_room}/state/m.room.join_rules/"
        if number % 2:
            self.ok("PUT", rules, {"join_rule": "invite"})
        if number == 2:
            self.ok("POST", f"rooms/{open_room}/leave", {}, self.bob)
            now(self.master.store.deactivate_user(CAROL, erase=False))


class EveryUpkeepTest:
    def test_what_entries_say(self: Any) -> None:
        self.start()
        self.life(1)
        self.catch_up()
        self.assertEqual(
            self.users(),
            {
                ALICE: "alice",
                BOB: "Bob 1",
                CAROL: "carol",
                DAVE: "Secret 1",
                "@frank1:elsewhere": None,
            },
        )
        self.life(2)
        self.catch_up()
        users = self.users()
        # The name in an open room goes before a newer one in a private room.
        self.assertEqual((users[BOB], users[DAVE]), ("Bob 2", "Dave 2"))
        self.assertNotIn(CAROL, users)

    def test_a_rebuild_gives_the_same(self: Any) -> None:
        self.start()
        for number in range(4):
            self.life(number)
            self.catch_up()
        kept = self.contents()
        self.assertEqual(kept[2], [])
        self.assertEqual(self.rebuilt(), kept)
        self.execute("DELETE FROM user_directory_rooms")
        self.execute("UPDATE user_directory SET display_name = 'wrong'")
        self.assertEqual(self.rebuilt(), kept)

    def test_interrupted_anywhere_it_ends_the_same(self: Any) -> None:
        self.patch(upkeep_store, "POSITIONS_PER_BATCH", 2)
        self.patch(upkeep_store, "USERS_PER_BATCH", 2)
        self.patch(upkeep_store, "_ROOMS_PER_BATCH", 1)
        self.life(0)
        for number in range(1, 4):
            self.start()  # as after SIGKILL: nothing but the database is left
            interruption = self.interrupt(after=number)
            self.life(number)
            self.master.reactor.pump([UPKEEP_SECONDS] * 3)
            self.assertNotEqual(self.contents()[2], [])
            interruption.restore()
        self.start()
        self.master.reactor.pump([UPKEEP_SECONDS] * 40)
        kept = self.contents()
        self.assertEqual(kept[2], [])
        self.assertEqual(self.rebuilt_slowly(), kept)

    def interrupt(self: Any, after: int) -> Any:
        """The process ends after so many transactions."""
        upkeep, left = self.upkeep, [after]
        refresh = self.master.store.refresh_users

        async def refresh_users() -> bool:
            left[0] -= 1
            if left[0] <= 0:
                await upkeep.stop()
                return False
            done: bool = await refresh()
            return done

        return self.patch(self.master.store, "refresh_users", refresh_users)

    def rebuilt_slowly(self: Any) -> Any:
        self.rebuilt()
        self.master.reactor.pump([UPKEEP_SECONDS] * 40)
        return self.contents()

    def test_a_failed_round_is_done_again(self: Any) -> None:
        self.start()
        self.catch_up()
        self.life(0)
        real = upkeep_store._open_rooms_txn

        def fail(*args: Any) -> Any:
            raise RuntimeError("the disk is full")

        self.patch(upkeep_store, "_open_rooms_txn", fail)
        with self.assertLogs(level="ERROR"):
            self.master.reactor.advance(UPKEEP_SECONDS)
        self.patch(upkeep_store, "_open_rooms_txn", real)
        self.catch_up()
        self.assertEqual(self.users()[BOB], "Bob 0")

    def test_no_change_costs_nothing(self: Any) -> None:
        self.start()
        room_id = self.room()
        self.catch_up()
        self.master.send(self.alice, room_id, "a message changes no state")
        before = self.master.db.counts.transactions
        self.master.reactor.pump([UPKEEP_SECONDS] * 5)
        self.assertEqual(self.master.db.counts.transactions, before)

    def test_no_rows_for_pairs_of_users(self: Any) -> None:
        """The directory grows with users, not with who knows whom."""
        self.start()
        for _ in range(3):
            room_id = self.room()
            for token in (self.bob, self.carol):
                self.join(room_id, token)
        self.catch_up()
        tables = ("user_directory", "user_directory_rooms", "user_directory_stale")
        counts = [self.query(f"SELECT COUNT(*) FROM {table}")[0][0] for table in tables]
        self.assertEqual(counts, [3, 3, 0])

    def test_the_update_ends(self: Any) -> None:
        self.start()
        self.catch_up()
        self.assertEqual(now(get_pending_updates(self.master.db)), [])

    def test_the_master_says_that_it_keeps_the_duty(self: Any) -> None:
        upkeep = UserDirectoryUpkeep(self.master.hs)
        upkeep._given_away = True
        with self.assertLogs("synapse_lite.handlers.user_directory_upkeep", "WARNING") as logs:
            now(upkeep.start())
        now(upkeep.stop())
        self.assertIn("update_user_directory", logs.output[0])


class UpkeepTests(EveryUpkeepTest, UpkeepCase):
    pass


class PostgresUpkeepTests(EveryUpkeepTest, UpkeepCase):
    postgres = True
