"""Who syncs: counted where it happens, told to the master over a connection."""

from __future__ import annotations

import contextlib
from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.app.table import SYNCHROTRON
from synapse_lite.handlers.presence import PresenceHandler
from synapse_lite.handlers.syncing_users import SyncingUsers
from synapse_lite.replication.master import ReplicationPublisher
from synapse_lite.replication.worker_commands import WorkerCommands
from synapse_lite.streams import PRESENCE
from tests.harness.homeserver import Master, make_master, now
from tests.harness.linked import LinkedWorker

ALICE, BOB = "@alice:test", "@bob:test"


def disconnect(master: Master) -> None:
    """So that metrics of one test do not show in the next."""
    for connection in list(master.hs.part(ReplicationPublisher).connections):
        connection.connectionLost()


class LinkedCase(TestCase):
    """A master that notes what its worker says, and acts on it."""

    def setUp(self) -> None:
        self.master = make_master()
        self.said: list[str] = []
        commands = self.master.hs.part(WorkerCommands)
        act = commands.user_sync

        async def note(connection_id: str, command: Any) -> None:
            self.said.append(command.to_line().removeprefix("USER_SYNC "))
            await act(connection_id, command)

        self.patch(commands, "user_sync", note)
        self.worker = LinkedWorker(SYNCHROTRON, self.master)
        self.addCleanup(disconnect, self.master)
        self.addCleanup(self.worker.follower.stop)
        self.users = self.worker.hs.part(SyncingUsers)
        self.addCleanup(lambda: now(self.users.stop()))
        self.presence = self.master.hs.part(PresenceHandler)
        now(self.presence.start())
        self.addCleanup(lambda: now(self.presence.stop()))
        self.start_ms = self.ms

    @property
    def ms(self) -> int:
        return int(self.master.reactor.seconds() * 1000)

    def begin(self, user_id: str = ALICE, set_presence: str | None = None) -> contextlib.ExitStack:
        """A sync, which `close` ends."""
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        stack.enter_context(self.users.syncing(user_id, set_presence))
        return stack

    def lines(self) -> list[str]:
        """What the worker has said since the last time; times count from the start of the test."""
        self.worker.flush()
        said = []
        for line in self.said:
            user_id, state, ms, *presence = line.split(" ")
            said.append(" ".join((user_id, state, str(int(ms) - self.start_ms), *presence)))
        self.said.clear()
        return said

    def state(self, user_id: str = ALICE) -> str | None:
        """The presence of a user as the worker shows it."""
        self.worker.flush()
        known = self.worker.store.known_presence(user_id)
        return None if known is None else known.state


class WorkerTests(LinkedCase):
    def test_a_client_that_comes_back_at_once_is_told_once(self) -> None:
        for _ in range(20):
            with self.begin():
                self.worker.advance(15)
            self.worker.advance(1)
        self.assertEqual(self.lines(), [f"{ALICE} start 0"])
        stopped = self.ms - self.start_ms - 1000
        self.worker.advance(20)
        self.assertEqual(self.lines(), [f"{ALICE} end {stopped}"])
        self.assertEqual(self.state(), "unavailable")
        self.worker.advance(20)
        self.assertEqual(self.state(), "offline")

    def test_the_end_is_told_after_ten_to_twenty_seconds(self) -> None:
        self.begin().close()
        self.worker.advance(9)
        self.assertEqual(self.lines(), [f"{ALICE} start 0"])
        self.worker.advance(11)
        self.assertEqual(self.lines(), [f"{ALICE} end 0"])
        self.begin().close()
        self.assertEqual(self.lines(), [f"{ALICE} start 20000"])

    def test_several_clients_of_a_user_are_one(self) -> None:
        first, second = self.begin(), self.begin()
        first.close()
        self.worker.advance(60)
        self.assertEqual(self.lines(), [f"{ALICE} start 0"])
        second.close()
        self.worker.advance(20)
        self.assertEqual(self.lines(), [f"{ALICE} end 60000"])

    def test_set_presence(self) -> None:
        with self.begin(set_presence="offline"):
            self.assertEqual(self.lines(), [])
        with self.begin(set_presence="unavailable"):
            self.assertEqual(self.lines(), [f"{ALICE} start 0 unavailable"])
            self.assertEqual(self.state(), "unavailable")
            with self.begin():
                self.assertEqual(self.lines(), [f"{ALICE} start 0"])
            with self.begin(set_presence="online"):
                self.assertEqual(self.lines(), [f"{ALICE} start 0 online"])
                self.worker.advance(600)
                self.assertEqual(self.state(), "online")
            self.worker.advance(20)
            self.assertEqual(self.lines(), [f"{ALICE} start 600000 unavailable"])
            self.assertEqual(self.state(), "unavailable")

    def test_a_sync_that_fails_has_ended(self) -> None:
        with self.assertRaises(RuntimeError), self.users.syncing(ALICE, None):
            raise RuntimeError
        self.worker.advance(20)
        self.assertEqual(len(self.lines()), 2)

    def test_nothing_is_left_of_who_has_gone(self) -> None:
        self.begin().close()
        self.begin(BOB, "unavailable").close()
        self.worker.advance(60)
        self.assertEqual(self.users._users, {})
        self.assertIsNone(self.users._timer)


class ReconnectingTests(LinkedCase):
    def test_who_syncs_is_told_on_each_connection(self) -> None:
        self.begin()
        self.begin(BOB, "unavailable").close()
        self.lines()
        self.worker.link.cut()
        self.worker.advance(5)
        self.assertEqual(
            [line.split(" ")[::3] for line in self.lines()], [[ALICE], [BOB, "unavailable"]]
        )
        self.worker.advance(60)
        self.assertEqual(self.state(), "online")
        self.assertEqual(self.state(BOB), "offline")

    def test_what_happens_without_a_connection_is_not_told_later(self) -> None:
        self.worker.link.refuses = True
        self.worker.link.cut()
        alice = self.begin()
        self.begin(BOB).close()
        self.worker.advance(30)
        self.worker.link.refuses = False
        self.worker.advance(6)
        self.assertEqual([line.split(" ")[:2] for line in self.lines()], [[ALICE, "start"]])
        alice.close()

    def test_the_users_of_a_worker_that_is_gone_go_offline(self) -> None:
        self.begin()
        self.assertEqual(self.state(), "online")
        self.worker.link.refuses = True
        self.worker.link.cut()
        self.worker.advance(29)
        self.assertEqual(self.master.store.known_presence(ALICE).state, "online")
        self.worker.advance(12)
        self.assertEqual(self.master.store.known_presence(ALICE).state, "offline")

    def test_a_new_master_is_told_and_tells(self) -> None:
        self.begin()
        self.presence.set_status(ALICE, "online", "here")
        now(self.presence.write())
        before = self.worker.store.current_token(PRESENCE)
        self.worker.link.cut()
        now(self.master.store.load_positions())
        self.worker.advance(5)
        self.assertEqual(self.state(), "online")
        self.assertGreater(self.worker.store.current_token(PRESENCE), before)
        self.assertEqual(
            self.worker.store.current_token(PRESENCE), self.master.store.current_token(PRESENCE)
        )


class MasterTests(TestCase):
    def test_the_master_tells_itself(self) -> None:
        master = make_master()
        users = master.hs.part(SyncingUsers)
        with users.syncing(ALICE, None):
            self.assertEqual(master.store.known_presence(ALICE).state, "online")
        now(users.stop())

    def test_where_presence_is_not_tracked_nothing_is_counted(self) -> None:
        master = make_master({"presence": {"enabled": False}})
        with master.hs.part(SyncingUsers).syncing(ALICE, None):
            self.assertIsNone(master.store.known_presence(ALICE))
        self.assertEqual(master.reactor.getDelayedCalls(), [])
