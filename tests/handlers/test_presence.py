"""Presence on the master, with time passing: what is told, how often, and what is written."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.handlers.presence import QUIET_MS, PresenceHandler, Syncing
from synapse_lite.streams import EPOCH_SHIFT, PRESENCE, PresenceRow
from tests.harness.homeserver import make_master, now

ALICE, BOB = "@alice:test", "@bob:test"
START_MS = 1_700_000_000_000


class PresenceCase(TestCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.told: list[PresenceRow] = []
        self.master.store.follow(
            lambda stream, token, rows: self.told.extend(rows) if stream is PRESENCE else None
        )
        self.presence = self.begin()

    def begin(self) -> PresenceHandler:
        """A handler, as at the start of a master."""
        presence = PresenceHandler(self.master.hs)
        now(presence.start())
        self.addCleanup(lambda: now(presence.stop()))
        return presence

    def advance(self, seconds: float) -> None:
        """Let time pass in steps in which timers can work."""
        while seconds > 0:
            self.master.reactor.advance(min(1.0, seconds))
            seconds -= 1.0

    @property
    def now_ms(self) -> int:
        return int(self.master.reactor.seconds() * 1000)

    def sync(self, syncing: Syncing, user_id: str = ALICE, process: str = "w") -> None:
        self.presence.set_syncing(process, user_id, syncing, self.now_ms)

    def states(self, user_id: str = ALICE) -> list[tuple[str, bool]]:
        """What was told of a user since the last time."""
        states = [(row.state, row.currently_active) for row in self.told if row.user_id == user_id]
        self.told.clear()
        return states

    def stored(self) -> dict[str, tuple[str, int]]:
        rows = now(
            self.master.db.read(
                "all", lambda txn: txn.query("SELECT user_id, state, last_active_ts FROM presence")
            )
        )
        return {row[0]: (row[1], row[2] - START_MS) for row in rows}


class PresenceTests(PresenceCase):
    def test_a_day_of_a_user(self) -> None:
        self.sync(Syncing.PLAIN)
        self.assertEqual(self.states(), [("online", True)])
        self.advance(59)
        self.assertEqual(self.states(), [])
        self.advance(7)
        self.assertEqual(self.states(), [("online", False)])
        self.advance(230)
        self.assertEqual(self.states(), [])
        self.advance(10)
        self.assertEqual(self.states(), [("unavailable", False)])
        self.advance(3600)
        self.assertEqual(self.states(), [])
        self.presence.active(ALICE)
        self.assertEqual(self.states(), [("online", True)])
        self.sync(Syncing.NO)
        self.advance(29)
        self.assertEqual(self.states(), [])
        self.advance(11)
        self.assertEqual(self.states(), [("offline", False)])
        self.advance(3600)
        self.assertEqual(self.states(), [])

    def test_activity_puts_off_idleness_and_tells_nothing(self) -> None:
        self.sync(Syncing.PLAIN)
        self.states()
        for _ in range(20):
            self.advance(50)
            self.presence.active(ALICE)
        self.assertEqual(self.states(), [])

    def test_who_does_not_sync_is_not_made_online_by_what_they_do(self) -> None:
        self.presence.active(ALICE)
        self.assertEqual(self.states(), [])

    def test_who_wishes_to_be_taken_for_offline_is(self) -> None:
        self.sync(Syncing.PLAIN)
        self.advance(10)
        self.presence.set_status(ALICE, "offline", None)
        self.presence.active(ALICE)
        self.assertEqual(self.states(), [("online", True), ("offline", False)])
        self.advance(100)
        self.assertEqual(self.states(), [])

    def test_a_status_without_sync_lasts_half_a_minute(self) -> None:
        self.presence.set_status(ALICE, "unavailable", "lunch")
        self.assertEqual(self.told[0].status_msg, "lunch")
        self.advance(41)
        self.assertEqual(self.states(), [("unavailable", False), ("offline", False)])

    def test_two_processes(self) -> None:
        self.sync(Syncing.PLAIN, process="one")
        self.sync(Syncing.PLAIN, process="two")
        self.sync(Syncing.PLAIN, BOB, process="one")
        self.states()
        self.presence.process_lost("one")
        self.advance(50)
        told = {row.user_id: row.state for row in self.told}
        self.assertEqual(told, {BOB: "offline"})
        self.told.clear()
        self.presence.process_lost("two")
        self.advance(41)
        self.assertEqual(self.states()[-1], ("offline", False))

    def test_a_worker_that_comes_back_in_time_is_not_noticed(self) -> None:
        self.sync(Syncing.PLAIN, process="old")
        self.states()
        self.presence.process_lost("old")
        self.advance(20)
        self.sync(Syncing.PLAIN, process="new")
        self.advance(30)
        self.assertEqual(self.states(), [])

    def test_the_strongest_sync_counts(self) -> None:
        self.sync(Syncing.ACTIVE, process="desk")
        self.sync(Syncing.IDLE, process="phone")
        self.advance(3600)
        self.assertEqual(self.states(), [("online", True)])
        self.sync(Syncing.NO, process="desk")
        self.assertEqual(self.states(), [("unavailable", False)])

    def test_users_of_other_servers_are_not_taken_from_workers(self) -> None:
        self.sync(Syncing.PLAIN, "@eve:elsewhere")
        self.assertEqual(self.told, [])

    def test_clocks_that_are_ahead_are_not_believed(self) -> None:
        self.presence.set_syncing("w", ALICE, Syncing.PLAIN, self.now_ms + 10**9)
        self.assertEqual(self.told[0].last_active_ts, self.now_ms)


class FlappingTests(PresenceCase):
    def test_many_changes_are_one_row(self) -> None:
        self.presence.set_status(ALICE, "online", None)
        for number in range(100):
            self.presence.set_status(ALICE, "unavailable", f"{number}")
            self.presence.set_status(ALICE, "online", f"{number}")
        self.assertEqual(self.states(), [("online", True)])
        self.advance(QUIET_MS / 1000 + 6)
        self.assertEqual([row.status_msg for row in self.told], ["99"])

    def test_what_comes_to_nothing_is_not_told(self) -> None:
        self.sync(Syncing.PLAIN)
        self.presence.set_status(ALICE, "unavailable", None)
        self.presence.set_status(ALICE, "online", None)
        self.advance(20)
        self.assertEqual(self.states(), [("online", True)])

    def test_who_comes_and_goes_is_gone_in_the_end(self) -> None:
        self.presence.set_status(ALICE, "online", None)
        self.presence.set_status(ALICE, "offline", None)
        self.assertEqual(self.states(), [("online", True)])
        self.advance(11)
        self.assertEqual(self.states(), [("offline", False)])

    def test_nothing_is_kept_of_who_is_gone(self) -> None:
        self.presence.set_status(ALICE, "online", None)
        self.sync(Syncing.PLAIN, BOB)
        self.sync(Syncing.NO, BOB)
        self.advance(60)
        self.assertEqual(self.presence._users, {})
        self.assertEqual(len(self.presence._wheel), 0)


class WritingTests(PresenceCase):
    def test_a_change_costs_no_transaction(self) -> None:
        before = self.master.db.counts.transactions
        self.sync(Syncing.PLAIN)
        self.presence.set_status(ALICE, "unavailable", "x")
        self.presence.active(ALICE)
        self.assertEqual(self.master.db.counts.transactions, before)

    def test_all_that_changed_is_one_transaction(self) -> None:
        for number in range(50):
            self.sync(Syncing.PLAIN, f"@user{number}:test")
        before = self.master.db.counts.transactions
        self.advance(11)
        self.assertEqual(self.master.db.counts.transactions, before + 1)
        self.advance(11)
        self.assertEqual(self.master.db.counts.transactions, before + 1)
        self.assertEqual(len(self.stored()), 50)

    def test_activity_that_was_not_told_is_written_too(self) -> None:
        self.sync(Syncing.PLAIN)
        self.advance(40)
        self.presence.active(ALICE)
        self.advance(11)
        self.assertEqual(self.stored(), {ALICE: ("online", 40_000)})

    def test_the_rest_is_written_at_the_end(self) -> None:
        self.sync(Syncing.PLAIN)
        now(self.presence.stop())
        self.assertEqual(self.stored(), {ALICE: ("online", 0)})

    def test_what_could_not_be_written_waits(self) -> None:
        self.sync(Syncing.PLAIN)

        async def fail(rows: Any) -> None:
            raise RuntimeError("no space")

        patch = self.patch(self.master.store, "write_presence", fail)
        with self.assertRaises(RuntimeError):
            now(self.presence.write())
        patch.restore()
        now(self.presence.write())
        self.assertEqual(self.stored(), {ALICE: ("online", 0)})


class RestartTests(PresenceCase):
    def kill(self) -> None:
        """A new master, on what the old one has written."""
        for timer in self.presence._timers:
            timer.stop()
        self.told.clear()
        now(self.master.store.load_positions())
        self.presence = self.begin()

    def test_who_was_online_is_so_again_and_times_out(self) -> None:
        self.sync(Syncing.PLAIN)
        self.sync(Syncing.PLAIN, BOB)
        self.advance(15)
        before = self.master.store.current_token(PRESENCE)
        self.kill()
        self.assertGreater(
            self.master.store.current_token(PRESENCE) >> EPOCH_SHIFT, before >> EPOCH_SHIFT
        )
        self.assertEqual(self.master.store.present_users(), {ALICE, BOB})
        self.sync(Syncing.PLAIN, BOB)
        self.told.clear()
        self.advance(29)
        self.assertEqual(self.states(), [])
        self.advance(12)
        self.assertEqual(self.states(), [("offline", False)])
        self.assertEqual(self.master.store.present_users(), {BOB})

    def test_what_was_not_written_is_lost_until_the_user_is_heard_of(self) -> None:
        self.sync(Syncing.PLAIN)
        self.kill()
        self.assertEqual(self.states(), [])
        # Whoever was told that she is online must be told that she is not.
        self.assertEqual(self.master.store.known_presence(ALICE).state, "offline")
        self.sync(Syncing.PLAIN)
        self.assertEqual(self.states(), [("online", True)])


class DisabledTests(TestCase):
    def test_nothing_is_tracked(self) -> None:
        master = make_master({"presence": {"enabled": False}})
        presence = master.hs.part(PresenceHandler)
        before = master.store.current_token(PRESENCE)
        now(presence.start())
        presence.set_status(ALICE, "online", None)
        presence.set_syncing("w", ALICE, Syncing.PLAIN, 5)
        presence.active(ALICE)
        presence.process_lost("w")
        self.assertEqual(master.reactor.getDelayedCalls(), [])
        self.assertEqual(master.store.current_token(PRESENCE), before)
        now(presence.stop())
