"""Where requests come from: noted seldom, written in batches, told by workers."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.app.kinds.client_reader import CLIENT_READER
from synapse_lite.handlers import client_ips
from synapse_lite.handlers.client_ips import MasterClientIps
from synapse_lite.replication.commands import UserIp
from synapse_lite.replication.worker import ReplicationFollower
from synapse_lite.replication.worker_commands import WorkerCommands
from synapse_lite.storage.client_ips import KEPT_MS
from tests.harness.homeserver import make_master, make_worker, now


class MasterClientIpsTests(TestCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.token = self.master.register("alice")
        self.part = self.master.hs.part(MasterClientIps)
        now(self.part.start())
        self.addCleanup(lambda: now(self.part.stop()))

    def whoami(self, ip: str = "127.0.0.1", agent: str = "agent") -> None:
        self.master.request(
            "GET",
            "account/whoami",
            access_token=self.token,
            client_ip=ip,
            headers={"User-Agent": agent},
        )

    def written(self) -> list[tuple[Any, ...]]:
        return [
            (seen.ip, seen.user_agent, seen.last_seen_ms)
            for seen in now(self.master.store.get_client_ips("@alice:test"))
        ]

    def test_a_busy_client_is_written_once_in_two_minutes(self) -> None:
        self.whoami()
        with self.master.db.recording() as statements:
            for _ in range(119):
                self.master.reactor.advance(1)
                self.whoami()
        self.assertEqual(len([each for each in statements if "user_ips" in each]), 1)
        first = self.written()
        self.assertEqual(first, [("127.0.0.1", "agent", 1_700_000_000_000)])
        self.master.reactor.advance(1)
        self.whoami()
        self.master.reactor.advance(5)
        self.assertEqual(self.written(), [("127.0.0.1", "agent", 1_700_000_120_000)])

    def test_each_address_is_a_client(self) -> None:
        for ip in ("192.0.2.1", "192.0.2.2"):
            self.whoami(ip)
        self.master.reactor.advance(5)
        self.assertEqual({row[0] for row in self.written()}, {"192.0.2.1", "192.0.2.2"})

    def test_a_batch_is_one_transaction_of_two_statements(self) -> None:
        for number in range(50):
            self.whoami(f"192.0.2.{number}")
        before = (self.master.db.counts.transactions, self.master.db.counts.statements)
        self.master.reactor.advance(5)
        after = (self.master.db.counts.transactions, self.master.db.counts.statements)
        self.assertEqual((after[0] - before[0], after[1] - before[1]), (1, 2))

    def test_nothing_to_write_is_no_transaction(self) -> None:
        before = self.master.db.counts.transactions
        self.master.reactor.advance(60)
        self.assertEqual(self.master.db.counts.transactions, before)

    def test_the_rest_is_written_at_the_end(self) -> None:
        self.whoami()
        now(self.part.stop())
        self.assertEqual(len(self.written()), 1)

    def test_the_device_remembers(self) -> None:
        self.whoami()
        self.master.reactor.advance(5)
        device = now(self.master.store.get_devices("@alice:test"))[0]
        self.assertEqual(device.last_seen_ip, "127.0.0.1")
        self.assertEqual(device.last_seen_user_agent, "agent")

    def test_a_failed_write_is_tried_again(self) -> None:
        self.whoami()
        write = self.master.store.write_client_ips

        async def fail(seen: object) -> None:
            raise RuntimeError("the database is away")

        self.patch(self.master.store, "write_client_ips", fail)
        with self.assertLogs("synapse_lite.util.background", "ERROR"):
            self.master.reactor.advance(5)
        self.assertEqual(len(self.part.pending("@alice:test")), 1)
        self.patch(self.master.store, "write_client_ips", write)
        self.master.reactor.advance(5)
        self.assertEqual(len(self.written()), 1)

    def test_notes_are_bounded(self) -> None:
        self.patch(client_ips, "MAX_PENDING", 3)
        for number in range(5):
            self.whoami(f"192.0.2.{number}")
        self.assertEqual(len(self.part.pending("@alice:test")), 3)

    def test_old_addresses_are_forgotten(self) -> None:
        self.whoami()
        self.master.reactor.advance(5)
        self.master.reactor.pump([3600] * (KEPT_MS // 3_600_000 + 1))
        self.assertEqual(self.written(), [])


class WorkerClientIpsTests(TestCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.token = self.master.register("alice")
        self.worker = make_worker(CLIENT_READER, self.master)
        self.sent: list[UserIp] = []
        follower = self.worker.hs.part(ReplicationFollower)
        self.patch(follower, "send", self.sent.append)

    def test_fifty_requests_are_one_command(self) -> None:
        for _ in range(50):
            self.worker.request("GET", "account/whoami", access_token=self.token)
            self.worker.reactor.advance(0.2)
        self.assertEqual(len(self.sent), 1)
        self.assertNotIn(self.token, self.sent[0].to_line())
        self.worker.reactor.advance(120)
        self.worker.request("GET", "account/whoami", access_token=self.token)
        self.assertEqual(len(self.sent), 2)

    def test_the_master_writes_what_it_is_told(self) -> None:
        part = self.master.hs.part(MasterClientIps)
        now(part.stop())
        self.worker.request("GET", "account/whoami", access_token=self.token, client_ip="192.0.2.9")
        told = UserIp.from_line(self.sent[0].payload())
        now(self.master.hs.part(WorkerCommands).user_ip("connection", told))
        now(part.write())
        seen = now(self.master.store.get_client_ips("@alice:test"))
        self.assertEqual([each.ip for each in seen], ["192.0.2.9"])
