"""From one presence to the next."""

from __future__ import annotations

import itertools
from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.handlers.presence_states import (
    IDLE_MS,
    OFFLINE_MS,
    REMOTE_OFFLINE_MS,
    Syncing,
    after_activity,
    after_status,
    after_sync_change,
    after_time,
    is_notable,
    next_change_at,
)
from synapse_lite.storage.presence import CURRENTLY_ACTIVE_MS, offline, with_changes
from synapse_lite.streams import PresenceRow

NOW = 1_000_000_000
ALICE = "@alice:test"

NO, IDLE, PLAIN, ACTIVE = Syncing.NO, Syncing.IDLE, Syncing.PLAIN, Syncing.ACTIVE

NOBODY = offline(ALICE)
ONLINE = PresenceRow(ALICE, "online", NOW, 0, NOW, "hello", True)
RESTING = with_changes(ONLINE, currently_active=False)
AWAY = with_changes(ONLINE, state="unavailable", currently_active=False)


class ActivityTests(TestCase):
    def test_an_idle_user_is_online_again(self) -> None:
        state = after_activity(AWAY, NOW + 7)
        self.assertEqual(state, with_changes(ONLINE, last_active_ts=NOW + 7))
        self.assertEqual(after_activity(RESTING, NOW + 7), state)

    def test_a_busy_user_stays_as_they_are(self) -> None:
        self.assertIs(after_activity(ONLINE, NOW + 5_000), ONLINE)
        self.assertEqual(after_activity(ONLINE, NOW + 20_000).last_active_ts, NOW + 20_000)

    def test_who_is_offline_stays_so(self) -> None:
        self.assertEqual(after_activity(NOBODY, NOW), with_changes(NOBODY, last_active_ts=NOW))


class StatusTests(TestCase):
    def test_each_status(self) -> None:
        state = after_status(NOBODY, "online", "hi", NOW)
        self.assertEqual(state, PresenceRow(ALICE, "online", NOW, 0, 0, "hi", True))
        state = after_status(ONLINE, "unavailable", "lunch", NOW + 1)
        self.assertEqual(state, PresenceRow(ALICE, "unavailable", NOW + 1, 0, NOW, "lunch", False))
        state = after_status(ONLINE, "online", None, NOW + 1)
        self.assertIsNone(state.status_msg)

    def test_a_message_goes_with_its_user(self) -> None:
        state = after_status(ONLINE, "offline", "bye", NOW + 1)
        self.assertEqual(state, PresenceRow(ALICE, "offline", NOW + 1, 0, NOW, None, False))


class SyncChangeTests(TestCase):
    def change(self, state: PresenceRow, before: Syncing, now: Syncing) -> PresenceRow:
        return after_sync_change(state, before, now, NOW + 100)

    def test_who_begins_to_sync_is_online(self) -> None:
        for syncing in (PLAIN, ACTIVE):
            state = self.change(NOBODY, NO, syncing)
            self.assertEqual(
                state, PresenceRow(ALICE, "online", NOW + 100, 0, NOW + 100, None, True)
            )

    def test_or_idle_if_the_client_says_so(self) -> None:
        state = self.change(NOBODY, NO, IDLE)
        self.assertEqual(state, PresenceRow(ALICE, "unavailable", 0, 0, NOW + 100, None, False))
        self.assertEqual(self.change(ONLINE, NO, IDLE).state, "unavailable")
        self.assertEqual(self.change(ONLINE, PLAIN, IDLE).state, "unavailable")

    def test_to_sync_again_is_no_activity(self) -> None:
        state = self.change(AWAY, NO, PLAIN)
        self.assertEqual(state, with_changes(AWAY, last_user_sync_ts=NOW + 100))

    def test_unless_the_client_says_that_the_user_is_there(self) -> None:
        state = self.change(AWAY, PLAIN, ACTIVE)
        self.assertEqual((state.state, state.last_active_ts), ("online", NOW + 100))

    def test_until_the_end_of_such_a_sync_the_user_was_active(self) -> None:
        for now in (NO, IDLE, PLAIN):
            self.assertEqual(self.change(ONLINE, ACTIVE, now).last_active_ts, NOW + 100)
        self.assertEqual(self.change(ONLINE, PLAIN, NO).last_active_ts, NOW)

    def test_a_client_that_goes_does_not_bring_back_who_is_taken_for_offline(self) -> None:
        self.assertEqual(self.change(NOBODY, ACTIVE, PLAIN).state, "offline")

    def test_times_do_not_go_back(self) -> None:
        state = after_sync_change(ONLINE, PLAIN, NO, NOW - 50)
        self.assertEqual((state.last_user_sync_ts, state.last_active_ts), (NOW, NOW))


class TimeTests(TestCase):
    def after(self, state: PresenceRow, syncing: Syncing, ms: int, **more: Any) -> PresenceRow:
        return after_time(state, syncing, NOW + ms, **more)

    def test_active_now_then_idle(self) -> None:
        self.assertIs(self.after(ONLINE, PLAIN, CURRENTLY_ACTIVE_MS - 1), ONLINE)
        self.assertEqual(self.after(ONLINE, PLAIN, CURRENTLY_ACTIVE_MS), RESTING)
        self.assertIs(self.after(RESTING, PLAIN, IDLE_MS - 1), RESTING)
        self.assertEqual(self.after(RESTING, PLAIN, IDLE_MS), AWAY)
        self.assertEqual(self.after(ONLINE, PLAIN, IDLE_MS), AWAY)

    def test_whose_client_says_so_is_not_idle(self) -> None:
        self.assertIs(self.after(ONLINE, ACTIVE, IDLE_MS * 10), ONLINE)

    def test_without_sync_offline(self) -> None:
        self.assertIs(self.after(ONLINE, NO, OFFLINE_MS - 1), ONLINE)
        gone = PresenceRow(ALICE, "offline", NOW, 0, NOW, None, False)
        self.assertEqual(self.after(ONLINE, NO, OFFLINE_MS), gone)
        self.assertEqual(self.after(AWAY, NO, OFFLINE_MS), gone)
        just_active = with_changes(ONLINE, last_active_ts=NOW + 20_000)
        self.assertIs(self.after(just_active, NO, OFFLINE_MS), just_active)

    def test_offline_is_for_ever(self) -> None:
        self.assertIs(self.after(NOBODY, NO, 10**12), NOBODY)
        self.assertIsNone(next_change_at(NOBODY, NO))

    def test_users_of_other_servers_live_by_what_these_say(self) -> None:
        told = with_changes(ONLINE, last_federation_update_ts=NOW)
        self.assertIs(self.after(told, NO, REMOTE_OFFLINE_MS - 1, is_mine=False), told)
        gone = self.after(told, NO, REMOTE_OFFLINE_MS, is_mine=False)
        self.assertEqual((gone.state, gone.status_msg), ("offline", None))
        self.assertEqual(next_change_at(told, NO, is_mine=False), NOW + REMOTE_OFFLINE_MS)

    def test_nothing_happens_to_some(self) -> None:
        self.assertIsNone(next_change_at(ONLINE, ACTIVE))
        self.assertIsNone(next_change_at(AWAY, PLAIN))

    def test_nothing_changes_before_its_time(self) -> None:
        states = (ONLINE, RESTING, AWAY, NOBODY)
        for state, syncing, is_mine in itertools.product(states, Syncing, (True, False)):
            due = next_change_at(state, syncing, is_mine=is_mine)
            for ms in range(0, 2 * IDLE_MS, 500):
                later = self.after(state, syncing, ms, is_mine=is_mine)
                if due is None or NOW + ms < due:
                    self.assertIs(later, state)
                else:
                    self.assertNotEqual(later, state)


class NotableTests(TestCase):
    def test_what_others_see(self) -> None:
        for told, state in (
            (NOBODY, ONLINE),
            (ONLINE, AWAY),
            (ONLINE, RESTING),
            (RESTING, ONLINE),
            (ONLINE, with_changes(ONLINE, status_msg="other")),
            (RESTING, with_changes(RESTING, last_active_ts=NOW + CURRENTLY_ACTIVE_MS + 1)),
        ):
            self.assertTrue(is_notable(told, state))

    def test_what_they_need_not_be_told(self) -> None:
        later = NOW + 10 * CURRENTLY_ACTIVE_MS
        for told, state in (
            (ONLINE, with_changes(ONLINE, last_active_ts=later)),
            (NOBODY, with_changes(NOBODY, last_active_ts=later)),
            (RESTING, with_changes(RESTING, last_active_ts=NOW + CURRENTLY_ACTIVE_MS)),
            (ONLINE, with_changes(ONLINE, last_user_sync_ts=later)),
            (ONLINE, with_changes(ONLINE, last_federation_update_ts=later)),
        ):
            self.assertFalse(is_notable(told, state))
