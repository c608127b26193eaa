"""The presence section of /sync: of a master, and of a synchrotron that follows one."""

from __future__ import annotations

from typing import Any

from synapse_lite.app.table import SYNCHROTRON
from synapse_lite.handlers.presence import PresenceHandler
from synapse_lite.replication.commands import Command, UserSync
from synapse_lite.replication.worker import ReplicationFollower
from synapse_lite.replication.worker_commands import WorkerCommands
from synapse_lite.streams import EPOCH_SHIFT, PRESENCE
from synapse_lite.types.tokens import StreamToken
from synapse_lite.util.background import start
from tests.harness.homeserver import make_master, make_worker, now
from tests.harness.http import Connection
from tests.sync.support import Client, SyncCase


def presence_of(answer: Any) -> dict[str, Any]:
    """What an answer says: by user, each once."""
    found: dict[str, Any] = {}
    for event in answer.get("presence", {"events": []})["events"]:
        assert event["type"] == "m.presence" and event["sender"] not in found
        found[event["sender"]] = event["content"]
    return found


def states(answer: Any) -> dict[str, str]:
    return {user_id: content["presence"] for user_id, content in presence_of(answer).items()}


class EveryPresenceSync(SyncCase):
    def setUp(self) -> None:
        super().setUp()
        if self.at_worker:
            commands = self.master.hs.part(WorkerCommands)
            follower = self.door.hs.part(ReplicationFollower)

            def send(command: Command) -> None:
                if isinstance(command, UserSync):
                    start(commands.user_sync("w", command))

            self.patch(follower, "send", send)
        self.presence = self.master.hs.part(PresenceHandler)

    def room_of_two(self) -> tuple[Client, Client, str]:
        alice, bob = self.client("alice"), self.client("bob")
        room_id = alice.create_room()
        bob.join(room_id)
        return alice, bob, room_id

    def set(self, client: Client, presence: str = "online", message: str | None = None) -> None:
        """Set a status; enough time passes before that it is told at once."""
        self.master.reactor.advance(6)
        self.presence.set_status(client.user_id, presence, message)

    def waits(self, connection: Connection) -> bool:
        self.addCleanup(connection.disconnect)
        connection.pump(rounds=20)
        return connection.answer() is None

    # Contents

    def test_initial_sync_shows_those_who_are_there(self) -> None:
        alice, bob, _ = self.room_of_two()
        carol = self.client("carol")
        self.assertNotIn("presence", alice.sync())
        self.set(bob, "unavailable", "at lunch")
        self.set(carol)
        self.master.reactor.advance(3)
        alice.since = None
        answer = alice.sync()
        expected = {"presence": "unavailable", "status_msg": "at lunch", "last_active_ago": 9000}
        self.assertEqual(presence_of(answer), {bob.user_id: expected})
        self.set(bob, "offline")
        alice.since = None
        self.assertNotIn("presence", alice.sync())

    def test_incremental_sync_shows_who_has_changed(self) -> None:
        alice, bob, _ = self.room_of_two()
        carol = self.client("carol")
        alice.sync()
        carol.sync()
        self.set(bob)
        self.assertEqual(states(alice.sync()), {bob.user_id: "online"})
        self.assertNotIn("presence", alice.sync())
        self.assertNotIn("presence", carol.sync())
        self.set(bob, "offline")
        self.assertEqual(states(alice.sync()), {bob.user_id: "offline"})

    def test_syncing_makes_online_unless_told_otherwise(self) -> None:
        alice, bob, _ = self.room_of_two()
        alice.sync()
        bob.sync(set_presence="offline")
        self.assertNotIn("presence", alice.sync())
        bob.sync(set_presence="unavailable")
        self.assertEqual(states(alice.sync()), {bob.user_id: "unavailable"})
        self.master.reactor.advance(6)
        bob.sync(set_presence="online")
        self.assertEqual(states(alice.sync()), {bob.user_id: "online"})

    def test_without_set_presence_too(self) -> None:
        alice, bob, _ = self.room_of_two()
        path = "/_matrix/client/v3/sync"
        answer = self.door.request("GET", path, access_token=bob.token)
        self.assertEqual(states(answer.json), {bob.user_id: "online"})
        self.assertEqual(states(alice.sync()), {bob.user_id: "online"})

    def test_ignored_users_are_not_shown(self) -> None:
        alice, bob, _ = self.room_of_two()
        ignored = {"ignored_users": {bob.user_id: {}}}
        path = f"user/{alice.user_id}/account_data/m.ignored_user_list"
        alice.ok("PUT", path, ignored)
        self.set(bob)
        self.assertNotIn("presence", alice.sync())

    # Memberships

    def test_newcomers_are_shown_to_each_other(self) -> None:
        alice, bob = self.client("alice"), self.client("bob")
        room_id = alice.create_room()
        self.set(alice)
        self.set(bob, "unavailable")
        alice.sync()
        bob.sync()
        waiting = alice.start_sync()
        bob.join(room_id)
        shown = states(alice.finish_sync(waiting))
        self.assertEqual(shown, {bob.user_id: "unavailable"})
        shown = states(bob.sync())
        self.assertEqual(shown, {alice.user_id: "online", bob.user_id: "unavailable"})
        self.assertNotIn("presence", bob.sync())

    def test_who_has_left_hears_nothing_more(self) -> None:
        alice, bob, room_id = self.room_of_two()
        alice.sync()
        bob.leave(room_id)
        alice.sync()
        self.set(bob)
        self.assertNotIn("presence", alice.sync())

    # Filters

    def test_filters(self) -> None:
        alice, bob, room_id = self.room_of_two()
        carol = self.client("carol")
        carol.join(room_id)
        alice.sync()
        since = alice.since
        self.set(bob)
        self.set(carol)
        both = {bob.user_id, carol.user_id}
        for wanted, expected in (
            ({}, both),
            ({"types": ["m.presence"]}, both),
            ({"types": ["m.*"]}, both),
            ({"types": ["m.other"]}, set()),
            ({"not_types": ["*"]}, set()),
            ({"senders": [bob.user_id]}, {bob.user_id}),
            ({"not_senders": [bob.user_id]}, {carol.user_id}),
            ({"limit": 1}, {carol.user_id}),
            ({"limit": 0}, set()),
            ({"limit": 5}, both),
        ):
            for begin in (None, since):
                alice.since = begin
                answer = alice.sync(filter={"presence": wanted})
                self.assertEqual(set(states(answer)), expected, wanted)

    # Waiting

    def test_a_change_wakes_those_who_share_a_room(self) -> None:
        alice, bob, _ = self.room_of_two()
        carol = self.client("carol")
        alice.sync()
        carol.sync()
        waiting, other = alice.start_sync(), carol.start_sync()
        self.set(bob)
        self.assertEqual(states(alice.finish_sync(waiting)), {bob.user_id: "online"})
        self.assertTrue(self.waits(other))

    def test_a_burst_is_one_answer(self) -> None:
        alice, _, room_id = self.room_of_two()
        others = [self.client(f"user{number}") for number in range(20)]
        for other in others:
            other.join(room_id)
        alice.sync()
        waiting = alice.start_sync()
        for other in others:
            self.presence.set_status(other.user_id, "online", None)
        self.assertEqual(len(states(alice.finish_sync(waiting))), 20)
        waiting = alice.start_sync()
        self.assertTrue(self.waits(waiting))

    def test_after_an_answer_there_is_a_pause(self) -> None:
        alice, bob, room_id = self.room_of_two()
        carol = self.client("carol")
        carol.join(room_id)
        alice.sync()
        waiting = alice.start_sync()
        self.presence.set_status(bob.user_id, "online", None)
        alice.finish_sync(waiting)
        waiting = alice.start_sync()
        self.presence.set_status(carol.user_id, "online", None)
        self.assertTrue(self.waits(waiting))
        self.master.reactor.advance(1)
        self.assertEqual(states(alice.finish_sync(waiting)), {carol.user_id: "online"})

    def test_a_filter_that_hides_presence_lets_wait(self) -> None:
        alice, bob, _ = self.room_of_two()
        alice.sync()
        waiting = alice.start_sync(filter={"presence": {"not_types": ["*"]}})
        self.set(bob)
        self.assertTrue(self.waits(waiting))

    # Positions

    def test_tokens_of_before_this_version_show_everybody_once(self) -> None:
        alice, bob, _ = self.room_of_two()
        alice.sync()
        self.set(bob)
        assert alice.since is not None
        old = StreamToken.from_text(alice.since).to_text().rpartition("_")[0]
        alice.since = old
        self.assertEqual(states(alice.sync()), {bob.user_id: "online"})
        self.assertNotIn("presence", alice.sync())

    def test_after_a_restart_of_the_master_nobody_is_online_for_ever(self) -> None:
        alice, bob, room_id = self.room_of_two()
        carol = self.client("carol")
        carol.join(room_id)
        self.set(carol)
        now(self.presence.write())
        self.set(bob)
        alice.sync()
        self.restart_master()
        shown = states(alice.sync())
        self.assertEqual(shown.pop(bob.user_id), "offline")
        # Carol is as before, which a worker that has followed it all knows.
        self.assertEqual(shown, {} if self.at_worker else {carol.user_id: "online"})
        self.assertNotIn("presence", alice.sync())

    def restart_master(self) -> None:
        """A new master on what was written; the worker is told as over a new connection."""
        if not self.at_worker:
            now(self.master.store.load_positions())
            return
        held = self.patch(self.door.store, "process_rows", lambda *row: None)
        now(self.master.store.load_positions())
        held.restore()
        token = self.master.store.current_token(PRESENCE)
        begin = token >> EPOCH_SHIFT << EPOCH_SHIFT
        self.door.store.start_at(PRESENCE, begin)
        rows = now(self.master.store.rows_between(PRESENCE, begin, token, 10))
        self.door.store.process_rows(PRESENCE, token, [row for _, row in rows])

    # Costs

    def test_no_news_cost_nothing(self) -> None:
        alice, bob, _ = self.room_of_two()
        self.set(bob)
        alice.sync(set_presence="online")
        alice.sync(set_presence="online")
        told = self.master.store.current_token(PRESENCE)
        for _ in range(5):
            before = self.transactions, self.master.db.counts.transactions
            self.assertNotIn("presence", alice.sync(set_presence="online"))
            self.assertEqual((self.transactions, self.master.db.counts.transactions), before)
        self.assertEqual(self.master.store.current_token(PRESENCE), told)

    def test_a_change_costs_no_transaction(self) -> None:
        alice, bob, _ = self.room_of_two()
        alice.sync()
        self.set(bob)
        alice.sync()
        before = self.transactions, self.master.db.counts.transactions
        waiting = alice.start_sync()
        self.set(bob, "unavailable")
        self.assertEqual(states(alice.finish_sync(waiting)), {bob.user_id: "unavailable"})
        self.assertEqual((self.transactions, self.master.db.counts.transactions), before)


class MasterPresenceTests(EveryPresenceSync):
    at_worker = False


class WorkerPresenceTests(EveryPresenceSync):
    at_worker = True

    def test_the_position_of_a_process_that_stays_ahead(self) -> None:
        alice, bob, _ = self.room_of_two()
        alice.sync()
        held: list[Any] = []
        self.patch(self.door.store, "process_rows", lambda *row: held.append(row))
        self.set(bob)
        alice.door = self.master
        self.assertEqual(states(alice.sync()), {bob.user_id: "online"})
        alice.door = self.door
        waiting = alice.start_sync()
        self.master.reactor.advance(2)
        # Nothing is known here of Bob; he is not shown as anything until it is.
        self.assertTrue(self.waits(waiting))


class DisabledTests(SyncCase):
    def setUp(self) -> None:
        self.master = make_master({"presence": {"enabled": False}})
        self.door = make_worker(SYNCHROTRON, self.master)

    def test_no_section(self) -> None:
        alice, bob = self.client("alice"), self.client("bob")
        room_id = alice.create_room()
        bob.join(room_id)
        bob.sync(set_presence="online")
        self.assertNotIn("presence", alice.sync(set_presence="online"))
        self.assertNotIn("presence", alice.sync(set_presence="online"))


del EveryPresenceSync
