"""One holder at a time, and a new one as soon as that is safe."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, DeferredList

from synapse_lite.storage.leases import (
    LeaseHeldError,
    LeaseKeeper,
    LeaseLostError,
    get_leases,
    wait_for_former_writers,
)
from synapse_lite.storage.processes import ProcessIdentity
from synapse_lite.storage.transaction import Transaction
from tests.harness.databases import DatabaseCase, FileDatabase, MemoryDatabase, PostgresDatabase

HERE = ProcessIdentity.of_this_process("master")


def elsewhere(name: str) -> ProcessIdentity:
    """A process on another machine."""
    return attrs.evolve(HERE, name=name, host="other", boot_id=f"boot of {name}")


class LeaseCase(MemoryDatabase):
    """Keepers of one lease, on fake time."""

    def keeper(self, identity: ProcessIdentity) -> LeaseKeeper:
        self.lost: list[str]
        if not hasattr(self, "lost"):
            self.lost = []
        return LeaseKeeper(
            self.db,
            self.clock,
            "master",
            identity,
            lambda: self.lost.append(identity.name),
            duration=9.0,
        )

    def run_seconds(self, seconds: float) -> None:
        for _ in range(int(seconds * 2)):
            self.reactor.advance(0.5)

    def start(self, coroutine: Any) -> Deferred[Any]:
        return Deferred.fromCoroutine(coroutine)


class TestLeases(LeaseCase):
    """Taking, renewing, losing."""

    def test_a_free_lease_is_taken_at_once_and_numbers_rise(self) -> None:
        keeper = self.keeper(HERE)
        self.assertEqual(self.await_now(keeper.acquire()), 1)
        self.assertTrue(keeper.is_held)
        self.await_now(keeper.release())
        self.assertFalse(keeper.is_held)
        self.assertEqual(self.await_now(self.keeper(elsewhere("b")).acquire()), 2)

    def test_a_second_process_on_the_machine_is_refused_at_once(self) -> None:
        self.await_now(self.keeper(HERE).acquire())
        second = self.start(self.keeper(attrs.evolve(HERE, name="second")).acquire())
        error = self.failureResultOf(second, LeaseHeldError)
        self.assertIn(f"held by master (pid {os.getpid()} on ", str(error.value))

    def test_a_process_elsewhere_is_refused_once_the_holder_shows_life(self) -> None:
        self.await_now(self.keeper(HERE).acquire())
        second = self.start(self.keeper(elsewhere("second")).acquire())
        self.assertNoResult(second)
        self.run_seconds(4)
        self.failureResultOf(second, LeaseHeldError)

    def test_a_silent_holder_elsewhere_loses_the_lease_after_its_duration(self) -> None:
        holder = self.keeper(elsewhere("holder"))
        self.await_now(holder.acquire())
        holder._stop_renewing()
        second = self.start(self.keeper(HERE).acquire())
        self.run_seconds(8)
        self.assertNoResult(second)
        self.run_seconds(2)
        self.assertEqual(self.successResultOf(second), 2)

    def test_a_standby_waits_for_as_long_as_the_holder_renews(self) -> None:
        holder = self.keeper(elsewhere("holder"))
        self.await_now(holder.acquire())
        standby = self.start(self.keeper(HERE).wait())
        self.run_seconds(120)
        self.assertNoResult(standby)
        self.await_now(holder.release())
        self.run_seconds(2)
        self.assertEqual(self.successResultOf(standby), 2)

    def test_a_holder_that_was_killed_is_replaced_at_once(self) -> None:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.addCleanup(child.communicate)
        stat = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        killed = attrs.evolve(HERE, pid=child.pid, pid_started=int(stat[19]))
        self.await_now(self.keeper(killed).acquire())
        self.failureResultOf(self.start(self.keeper(HERE).acquire()), LeaseHeldError)
        child.kill()
        child.wait()
        self.assertEqual(self.await_now(self.keeper(HERE).acquire()), 2)

    def test_a_pid_that_is_used_again_is_not_the_holder(self) -> None:
        before = attrs.evolve(HERE, pid_started=HERE.pid_started - 1)
        self.await_now(self.keeper(before).acquire())
        self.assertEqual(self.await_now(self.keeper(HERE).acquire()), 2)

    def test_losing_the_lease_is_told_once(self) -> None:
        sleeper = self.keeper(elsewhere("sleeper"))
        self.await_now(sleeper.acquire())
        self.await_now(
            self.db.run("take", lambda txn: txn.execute("UPDATE leases SET fencing = fencing + 1"))
        )
        self.run_seconds(20)
        self.assertEqual(self.lost, ["sleeper"])
        self.assertFalse(sleeper.is_held)

    def test_leases_can_be_listed(self) -> None:
        self.await_now(self.keeper(HERE).acquire())
        self.assertEqual(self.await_now(get_leases(self.db))["master"].holder, HERE)


class TestFence(LeaseCase):
    """A holder that slept must not write."""

    def setUp(self) -> None:
        super().setUp()
        self.sleeper = self.keeper(elsewhere("sleeper"))
        self.await_now(self.sleeper.acquire())
        self.db.fence = self.sleeper.fence
        # Its process is stopped: nothing is renewed, while time goes on for others.
        self.sleeper._stop_renewing()

    def write(self) -> Deferred[Any]:
        return self.start(
            self.db.run("write", lambda txn: txn.execute("UPDATE replication_epoch SET epoch = 9"))
        )

    def test_who_has_given_the_lease_back_may_not_write(self) -> None:
        self.await_now(self.sleeper.release())
        self.failureResultOf(self.write(), LeaseLostError)

    def test_a_write_while_renewals_are_on_time_asks_nothing(self) -> None:
        before = self.db.counts.statements
        self.successResultOf(self.write())
        self.assertEqual(self.db.counts.statements - before, 1)

    def test_a_wall_clock_that_was_set_back_does_not_hide_how_late_it_is(self) -> None:
        wall = iter([100.0])
        self.patch(self.clock, "time", lambda: next(wall, 50.0))
        self.await_now(self.sleeper.renew())
        self.reactor.advance(100)
        before = self.db.counts.statements
        self.successResultOf(self.write())
        self.assertEqual(self.db.counts.statements - before, 2)

    def test_a_late_holder_that_still_has_the_lease_may_write(self) -> None:
        self.reactor.advance(100)
        self.successResultOf(self.write())

    def test_a_holder_whose_lease_was_taken_may_not_write(self) -> None:
        other = self.db.sharing()
        keeper = LeaseKeeper(other, self.clock, "master", HERE, lambda: None)
        taking = self.start(keeper.acquire())
        self.run_seconds(12)
        self.successResultOf(taking)
        self.failureResultOf(self.write(), LeaseLostError)
        row = self.await_now(
            other.read("read", lambda txn: txn.query_one("SELECT epoch FROM replication_epoch"))
        )
        self.assertEqual(row, (0,))

    def test_a_holder_that_wakes_up_too_late_learns_that_it_lost(self) -> None:
        other = self.db.sharing()
        taking = self.start(LeaseKeeper(other, self.clock, "master", HERE, lambda: None).acquire())
        self.run_seconds(12)
        self.successResultOf(taking)
        self.await_now(self.sleeper.renew())
        self.assertEqual(self.lost, ["sleeper"])
        self.await_now(self.sleeper.release())

    def test_giving_back_a_lease_that_was_taken_harms_nobody(self) -> None:
        other = self.db.sharing()
        taking = self.start(LeaseKeeper(other, self.clock, "master", HERE, lambda: None).acquire())
        self.run_seconds(12)
        self.successResultOf(taking)
        self.await_now(self.sleeper.release())
        self.assertEqual(self.await_now(get_leases(other))["master"].holder, HERE)


class TestProcessIdentity(MemoryDatabase):
    """What can be seen of other processes."""

    def test_this_process_is_alive(self) -> None:
        self.assertIs(HERE.is_alive(HERE), True)

    def test_other_machines_and_namespaces_cannot_be_seen(self) -> None:
        self.assertIsNone(elsewhere("x").is_alive(HERE))
        self.assertIsNone(attrs.evolve(HERE, pid_namespace="pid:[1]").is_alive(HERE))
        nowhere = attrs.evolve(HERE, boot_id="")
        self.assertIsNone(nowhere.is_alive(nowhere))


class EveryLease(DatabaseCase):
    """The statements work on each database."""

    async def test_take_renew_fence_release(self) -> None:
        keeper = LeaseKeeper(self.db, self.clock, "duty", HERE, lambda: None)
        other = LeaseKeeper(self.make_pool(), self.clock, "duty", HERE, lambda: None)
        self.assertEqual(await keeper.acquire(), 1)
        with self.assertRaises(LeaseHeldError):
            await other.acquire()
        await keeper.renew()
        keeper._renewed_at = -math.inf
        await self.db.run("fence", keeper.fence)
        await keeper.release()
        with self.assertRaises(LeaseLostError):
            await self.db.run("fence", keeper.fence)
        self.assertEqual(await other.acquire(), 2)
        await other.release()

    async def test_two_that_come_at_once(self) -> None:
        keepers = [
            LeaseKeeper(pool, self.clock, "duty", HERE, lambda: None)
            for pool in (self.db, self.make_pool())
        ]
        both = [Deferred.fromCoroutine(keeper.acquire()) for keeper in keepers]
        outcomes = await DeferredList(both, consumeErrors=True)
        self.assertEqual(sorted(succeeded for succeeded, _ in outcomes), [False, True])
        self.assertEqual([keeper.fencing for keeper in keepers if keeper.is_held], [1])
        for keeper in keepers:
            await keeper.release()

    async def test_nothing_is_left_to_wait_for(self) -> None:
        self.db.fence = lambda txn: None
        await self.db.run("write", lambda txn: txn.query("SELECT 1"))
        await wait_for_former_writers(self.make_pool(), self.clock)


class TestLeaseFile(EveryLease, FileDatabase):
    """In a file."""


class TestLeasePostgres(EveryLease, PostgresDatabase):
    """On PostgreSQL."""


class TestFormerWriters(PostgresDatabase):
    """A server goes on with the transactions of a master that has died."""

    def begin(self, *, marked: bool) -> Any:
        """A connection that has written something that nobody can see yet."""
        connection = self.engine.connect(read_only=False)
        self.addCleanup(connection.close)
        self.engine.begin(connection, read_only=False, relaxed=False, marked=marked)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE replication_epoch SET epoch = epoch + 1")
        return connection

    async def epoch(self) -> Any:
        row = await self.db.read(
            "epoch", lambda txn: txn.query_one("SELECT * FROM replication_epoch")
        )
        assert row is not None
        return row[0]

    async def test_a_commit_that_is_under_way_is_waited_for(self) -> None:
        connection = self.begin(marked=True)
        waiting = Deferred.fromCoroutine(wait_for_former_writers(self.db, self.clock))
        await self.clock.sleep(0.3)
        self.assertFalse(waiting.called)
        self.engine.commit(connection)
        await waiting
        self.assertEqual(await self.epoch(), 1)

    async def test_what_does_not_end_is_ended(self) -> None:
        connection = self.begin(marked=True)
        await wait_for_former_writers(self.db, self.clock, patience=0.1)
        self.assertEqual(await self.epoch(), 0)
        with self.assertRaises(self.engine.driver_error):
            self.engine.commit(connection)

    async def test_transactions_of_others_are_not_waited_for(self) -> None:
        self.begin(marked=False)
        await wait_for_former_writers(self.db, self.clock)

    async def test_the_transactions_of_a_master_are_marked(self) -> None:
        found: list[int] = []

        def look(txn: Transaction) -> None:
            found.append(txn.marked_transactions())

        await self.db.run("look", look)
        self.db.fence = lambda txn: None
        await self.db.run("look", look)
        await self.db.read("look", look)
        self.assertEqual(found, [0, 1, 0])
