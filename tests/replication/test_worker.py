from __future__ import annotations

import itertools
from typing import Any
from unittest import mock

from synapse_lite.replication import commands
from synapse_lite.replication.commands import CommandError, UserIp, UserSync
from synapse_lite.replication.worker import MAX_OFFLINE_COMMANDS
from synapse_lite.streams import CACHES, RECEIPTS, TYPING, ReceiptRow, TypingRow
from synapse_lite.util.background import start
from tests.harness.replication import MemoryEndpoint, connect_in_memory

from .support import ReplicationCase, SomeFollowerStore, receipt


def user_ip(number: int) -> UserIp:
    return UserIp("@a:test", number, "127.0.0.1", "An Agent", None, number)


class FollowingTests(ReplicationCase):
    def test_a_worker_begins_with_what_is_now(self) -> None:
        self.now(self.master.add([receipt(1)], [receipt(2)]))
        self.master.publish_live(TYPING, [TypingRow("!room:test", ["@a:test"])])
        store, follower, _ = self.worker()
        self.now(follower.ready())
        self.assertEqual(store.applied, [])
        self.assertEqual(store.reset_to[0], ("receipts", 2))
        self.assertEqual(store.token_of(RECEIPTS), 2)
        self.assertEqual(store.typing, {"!room:test": ["@a:test"]})

    def test_it_is_ready_only_once_every_stream_has_a_position(self) -> None:
        store, follower = self.make_follower()
        link = MemoryEndpoint(self.publisher, self.reactor)
        link.refuses = True
        follower.start(link)
        waiting = start(follower.ready())
        self.advance(20, link)
        self.assertNoResult(waiting)
        link.refuses = False
        self.advance(6, link)
        self.successResultOf(waiting)
        self.assertEqual(store.token_of(TYPING), self.master.current_token(TYPING))

    def test_rows_reach_the_store_and_then_its_listeners(self) -> None:
        store, _, link = self.worker()
        heard: list[tuple[str, int, int]] = []

        def listener(stream: Any, token: int, rows: Any) -> None:
            self.assertEqual(store.token_of(stream), token)
            heard.append((stream.name, token, len(rows)))

        store.follow(listener)
        self.now(self.master.add([receipt(1), receipt(2)], [receipt(3)]))
        link.flush()
        self.assertEqual(heard, [("receipts", 1, 2), ("receipts", 2, 1)])

    def test_listeners_hear_of_moves_without_rows(self) -> None:
        store, _, link = self.worker()
        heard: list[tuple[str, int, int]] = []
        store.follow(lambda stream, token, rows: heard.append((stream.name, token, len(rows))))

        async def fail() -> None:
            async with self.master.writing(RECEIPTS):
                raise RuntimeError("rolled back")

        self.failureResultOf(start(fail()), RuntimeError)
        link.flush()
        self.assertEqual(heard, [("receipts", 1, 0)])

    def test_cached_reads_become_stale(self) -> None:
        store, _, link = self.worker()
        self.assertEqual(self.now(store.get_receipts_for_room("!room:test")), 0)
        self.now(self.master.add([receipt(1)]))
        link.flush()
        self.assertEqual(self.now(store.get_receipts_for_room("!room:test")), 1)

    def test_lines_are_sent_in_the_documented_order(self) -> None:
        _, follower = self.make_follower()
        follower.send(user_ip(1))
        follower.announce(lambda: [UserSync("@a:test", True, 5)])
        sent: list[bytes] = []
        link = MemoryEndpoint(self.publisher, self.reactor)
        follower.start(link)
        [pump] = link.pumps
        deliver = pump.server.dataReceived
        pump.server.dataReceived = lambda data: (sent.append(data), deliver(data))
        link.flush()
        lines = b"".join(sent).decode().splitlines()
        self.assertEqual(
            [line.split(" ")[0] for line in lines],
            ["VERSION", "NAME", "USER_IP", "PING", *["REPLICATE"] * 3, "USER_SYNC"],
        )
        self.assertEqual(lines[1], "NAME worker1")
        self.assertEqual(
            lines[4:7], ["REPLICATE caches NOW", "REPLICATE receipts NOW", "REPLICATE typing 0"]
        )

    def test_a_barrier_comes_behind_the_rows(self) -> None:
        store, follower, link = self.worker()
        reached = start(follower.synced("here"))
        self.now(self.master.add([receipt(1)]))
        self.publisher.sync("elsewhere")
        link.flush()
        self.assertNoResult(reached)
        self.now(self.master.add([receipt(2)]))
        self.publisher.sync("here")
        self.assertEqual(len(store.applied), 1)
        link.flush()
        self.successResultOf(reached)
        self.assertEqual(len(store.applied), 2)


class ReconnectingTests(ReplicationCase):
    def test_missed_rows_come_once_after_a_lost_connection(self) -> None:
        store, follower, link = self.worker()
        self.now(self.master.add([receipt(1)]))
        link.flush()
        link.cut()
        self.assertFalse(follower.is_connected)
        self.now(self.master.add([receipt(2)], [receipt(3)]))
        self.advance(2, link)
        self.assertEqual(store.applied, [(1, "$event1"), (2, "$event2"), (3, "$event3")])

    def test_reconnecting_costs_no_query_when_nothing_was_missed(self) -> None:
        store, _, link = self.worker()
        self.now(self.master.add([receipt(1)]))
        link.flush()
        before = self.master.db.counts.transactions
        link.cut()
        self.advance(2, link)
        self.assertEqual(store.token_of(RECEIPTS), 1)
        self.assertEqual(self.master.db.counts.transactions, before)

    def test_a_cut_batch_is_asked_for_again(self) -> None:
        store, _, link = self.worker()
        self.now(self.master.add([receipt(1), receipt(2), receipt(3)]))
        link.cut(bytes_from_master=200)
        self.assertEqual(store.applied, [])
        self.assertEqual(store.token_of(RECEIPTS), 0)
        self.advance(2, link)
        self.assertEqual(store.applied, [(1, f"$event{number}") for number in (1, 2, 3)])

    def test_cuts_anywhere_lose_and_repeat_nothing(self) -> None:
        store, _, link = self.worker()
        for number in range(100):
            self.now(self.master.add([receipt(2 * number), receipt(2 * number + 1)]))
            link.cut(bytes_from_master=number * 7)
            self.advance(2, link)
        link.flush()
        expected = [(number // 2 + 1, f"$event{number}") for number in range(200)]
        self.assertEqual(store.applied, expected)

    def test_the_pauses_grow_to_five_seconds(self) -> None:
        _, _, link = self.worker()
        link.refuses = True
        link.cut()
        attempts: list[float] = []
        began = self.clock.time()
        seen = link.attempts
        for _ in range(300):
            self.reactor.advance(0.1)
            if link.attempts > seen:
                seen = link.attempts
                attempts.append(self.clock.time() - began)
        pauses = [second - first for first, second in itertools.pairwise(attempts)]
        self.assertApproximates(attempts[0], 1, 0.3)
        self.assertEqual(pauses, sorted(pauses))
        self.assertApproximates(pauses[-1], 5, 0.3)

    def test_the_pause_is_short_again_after_success(self) -> None:
        _, follower, link = self.worker()
        link.refuses = True
        link.cut()
        self.advance(30, link)
        link.refuses = False
        self.advance(6, link)
        self.assertTrue(follower.is_connected)
        link.cut()
        self.advance(1.1, link, step=0.1)
        self.assertTrue(follower.is_connected)

    def test_a_silent_master_is_left(self) -> None:
        _, follower, link = self.worker()
        [pump] = link.pumps
        with self.logged("WARNING") as logged:
            for _ in range(31):
                self.reactor.advance(1)
                pump.serverIO.getOutBuffer()
        self.assertFalse(follower.is_connected and pump.client.is_open)
        self.assertIn("Ping timeout", "".join(logged.output))

    def test_somebody_who_never_greets_is_left(self) -> None:
        _, follower = self.make_follower()
        link = MemoryEndpoint(self.publisher, self.reactor)
        follower.start(link)
        [pump] = link.pumps
        with self.logged("WARNING"):
            self.advance(10)
        self.assertFalse(pump.client.is_open)

    def test_a_stopped_follower_stays_away(self) -> None:
        _, follower, link = self.worker()
        self.now(follower.stop())
        link.flush()
        attempts = link.attempts
        self.advance(60, link)
        self.assertEqual(link.attempts, attempts)
        self.assertEqual(self.publisher.connections, set())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_follower_can_be_stopped_while_it_waits(self) -> None:
        _, follower, link = self.worker()
        link.refuses = True
        link.cut()
        self.now(follower.stop())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_restarted_master_is_followed_from_where_the_worker_stood(self) -> None:
        store, _, link = self.worker()
        self.now(self.master.add([receipt(1)]))
        self.master.publish_live(TYPING, [TypingRow("!old:test", ["@a:test"])])
        link.flush()
        before = store.token_of(TYPING)
        with self.logged():
            self.now(self.publisher.stop())
            link.flush()
        self.start_master()
        link.publisher = self.publisher
        self.now(self.master.add([receipt(2)]))
        self.master.publish_live(TYPING, [TypingRow("!new:test", ["@b:test"])])
        self.advance(3, link)
        self.assertEqual([event_id for _, event_id in store.applied], ["$event1", "$event2"])
        self.assertGreater(store.applied[1][0], store.applied[0][0])
        self.assertEqual(store.typing, {"!new:test": ["@b:test"]})
        self.assertGreater(store.token_of(TYPING), before)
        self.assertEqual(store.token_of(TYPING), self.master.current_token(TYPING))

    def test_the_master_of_another_server_is_refused(self) -> None:
        store, follower = self.make_follower(server_name="other.test")
        with self.logged() as logged:
            link = connect_in_memory(self.publisher, follower, self.reactor)
            self.now(self.master.add([receipt(1)]))
            self.advance(30, link)
        self.assertIn("Wrong remote", "".join(logged.output))
        self.assertFalse(follower.is_connected)
        self.assertEqual(store.applied, [])
        # The pauses grow: such a master is not hammered.
        self.assertLess(link.attempts, 12)

    def test_the_master_hears_that_it_is_the_wrong_one(self) -> None:
        with self.assertLogs("synapse_lite.replication.protocol", "ERROR") as logged:
            self.worker(server_name="other.test")
        self.assertTrue(any("Error from" in line for line in logged.output))


class RowTypeTests(ReplicationCase):
    """Rows that do not fit are never skipped."""

    def broken(self, data: object) -> ReceiptRow:
        return ReceiptRow("!room:test", "m.read", "@user:test", "$broken", data)  # type: ignore[arg-type]  # that is the point

    def test_a_row_of_the_wrong_type_closes_and_is_asked_for_again(self) -> None:
        store, follower, link = self.worker()
        with self.logged():
            self.now(self.master.add([self.broken("text")], [receipt(2)]))
            link.flush()
            self.assertFalse(follower.is_connected)
            self.assertEqual(store.token_of(RECEIPTS), 0)
            self.assertEqual(store.applied, [])
            attempts = link.attempts
            self.advance(30, link)
            self.assertGreater(link.attempts, attempts)
        # Once the master sends what fits, the worker goes on where it stopped.
        self.now(
            self.master.db.run("mend", lambda txn: txn.execute("UPDATE receipts SET data='{}'"))
        )
        self.advance(6, link)
        self.assertEqual(store.applied, [(1, "$broken"), (2, "$event2")])

    def test_a_row_that_cannot_be_applied_is_asked_for_again(self) -> None:
        store, _, link = self.worker()
        store.failing = True
        with self.logged():
            self.now(self.master.add([receipt(1)]))
            link.flush()
            self.now(self.master.add([receipt(2)]))
            self.advance(10, link)
        self.assertEqual(store.token_of(RECEIPTS), 0)
        store.failing = False
        self.advance(6, link)
        self.assertEqual(store.applied, [(1, "$event1"), (2, "$event2")])

    def test_a_row_that_cannot_be_read_is_asked_for_again(self) -> None:
        store, _, link = self.worker()
        with self.logged(), mock.patch.object(RECEIPTS, "from_wire", side_effect=KeyError("bug")):
            self.now(self.master.add([receipt(1)]))
            link.flush()
        self.now(self.master.add([receipt(2)]))
        self.advance(6, link)
        self.assertEqual(store.applied, [(1, "$event1"), (2, "$event2")])

    def test_a_row_that_cannot_be_sent_is_asked_for(self) -> None:
        store, _, link = self.worker()
        broken = mock.patch(
            "synapse_lite.replication.master.lines_for", side_effect=ValueError("bug")
        )
        with self.logged(), broken:
            self.now(self.master.add([receipt(1)]))
        self.now(self.master.add([receipt(2)]))
        self.advance(6, link)
        self.assertEqual(store.applied, [(1, "$event1"), (2, "$event2")])

    def test_such_rows_are_not_asked_for_every_second(self) -> None:
        store, _, link = self.worker()
        store.failing = True
        self.now(self.master.add([receipt(1)]))
        with self.logged():
            self.advance(60, link)
        self.assertLess(link.attempts, 18)

    def test_rows_of_a_newer_master_have_more_columns(self) -> None:
        store, _, link = self.worker()
        [pump] = link.pumps
        row = '["!r","m.read","@u","$new",{},"",7,"a column of the future"]'
        pump.client.dataReceived(f"RDATA receipts 1 {row}\n".encode())
        self.assertEqual(store.applied, [(1, "$new")])

    def test_rows_of_an_older_master_have_fewer(self) -> None:
        store, _, link = self.worker()
        [pump] = link.pumps
        pump.client.dataReceived(b'RDATA receipts 1 ["!r","m.read","@u","$old",{}]\n')
        self.assertEqual(store.applied, [(1, "$old")])

    def test_streams_that_were_not_asked_for_are_refused(self) -> None:
        _, _, link = self.worker()
        [pump] = link.pumps
        with self.logged():
            pump.client.dataReceived(b'RDATA events 1 ["a"]\n')
        self.assertFalse(pump.client.is_open)

    def test_rows_before_the_greeting_are_refused(self) -> None:
        store, follower = self.make_follower()
        link = MemoryEndpoint(self.publisher, self.reactor)
        follower.start(link)
        [pump] = link.pumps
        with self.logged():
            pump.client.dataReceived(b'RDATA receipts 1 ["!r","m.read","@u","$e",{}]\n')
        self.assertFalse(pump.client.is_open)
        self.assertEqual(store.applied, [])

    def test_rows_between_greeting_and_admission_are_refused(self) -> None:
        store, follower = self.make_follower()
        link = MemoryEndpoint(self.publisher, self.reactor)
        follower.start(link)
        [pump] = link.pumps
        with self.logged():
            pump.client.dataReceived(
                b'SERVER test\nVERSION 1\nRDATA receipts 1 ["!r","m.read","@u","$e",{}]\n'
            )
        self.assertFalse(pump.client.is_open)
        self.assertEqual(store.applied, [])

    def test_rows_of_several_streams_may_be_interleaved(self) -> None:
        store, _, link = self.worker()
        [pump] = link.pumps
        pump.client.dataReceived(
            b'RDATA receipts batch ["!r","m.read","@u","$1",{}]\n'
            b'RDATA typing 99999999999 ["!r",[]]\n'
            b'RDATA receipts 1 ["!r","m.read","@u","$2",{}]\n'
        )
        self.assertEqual(store.applied, [(1, "$1"), (1, "$2")])
        self.assertEqual(store.typing, {"!r": []})


class CommandTests(ReplicationCase):
    def said(self) -> list[Any]:
        return [command for _, command in self.commands.said]

    def test_commands_reach_the_master(self) -> None:
        _, follower, link = self.worker()
        sent = [
            UserSync("@a:test", True, 5),
            user_ip(1),
            commands.FederationAck(9),
            commands.RemovePusher("an app", "a key", "@a:test"),
        ]
        for command in sent:
            follower.send(command)
        link.flush()
        self.assertEqual(self.said(), sent)
        [connection] = self.publisher.connections
        self.assertEqual({key for key, _ in self.commands.said}, {connection.connection_id})

    def test_the_master_learns_that_a_worker_has_gone(self) -> None:
        _, _, link = self.worker()
        [connection] = self.publisher.connections
        link.cut()
        self.assertEqual(self.commands.lost, [connection.connection_id])

    def test_commands_wait_for_a_connection(self) -> None:
        _, follower, link = self.worker()
        link.cut()
        sent = [user_ip(1), commands.FederationAck(9), user_ip(2)]
        for command in sent:
            follower.send(command)
        self.advance(2, link)
        self.assertEqual(self.said(), sent)

    def test_who_syncs_is_said_anew_instead_of_replayed(self) -> None:
        _, follower, link = self.worker()
        syncing = [UserSync("@b:test", True, 6)]
        follower.announce(lambda: syncing)
        link.cut()
        follower.send(UserSync("@a:test", True, 5))
        self.advance(2, link)
        self.assertEqual(self.said(), syncing)

    def test_what_waits_is_bounded_and_what_matters_least_goes_first(self) -> None:
        _, follower, link = self.worker()
        link.cut()
        pusher = commands.RemovePusher("an app", "a key", "@a:test")
        follower.send(pusher)
        for number in range(MAX_OFFLINE_COMMANDS + 5):
            follower.send(user_ip(number))
        self.advance(2, link)
        said = self.said()
        self.assertEqual(len(said), MAX_OFFLINE_COMMANDS)
        self.assertEqual(said[0], pusher)
        self.assertEqual(said[1], user_ip(6))
        self.assertEqual(said[-1], user_ip(MAX_OFFLINE_COMMANDS + 4))

    def test_a_command_that_cannot_stand_on_a_line_is_refused_at_once(self) -> None:
        _, follower, link = self.worker()
        for _ in range(2):
            with self.assertRaises(CommandError):
                follower.send(UserSync("@a b:test", True, 5))
            link.cut()

    def test_a_worker_makes_a_cached_read_stale_everywhere(self) -> None:
        _, sender, link = self.worker()
        other, _, other_link = self.worker(name="worker2")
        for store in (self.master, other):
            self.now(store.get_destination_retry_timings("a.test"))
            self.now(store.get_destination_retry_timings("b.test"))
        sender.send(commands.InvalidateCache("get_destination_retry_timings", ("a.test",)))
        link.flush()
        other_link.flush()
        for store in (self.master, other):
            before = store.db.counts.transactions
            self.now(store.get_destination_retry_timings("b.test"))
            self.assertEqual(store.db.counts.transactions, before)
            self.now(store.get_destination_retry_timings("a.test"))
            self.assertEqual(store.db.counts.transactions, before + 1)

    def test_other_cached_reads_are_not_open_to_workers(self) -> None:
        _, follower, link = self.worker()
        token = self.master.current_token(CACHES)
        with self.logged("WARNING"):
            follower.send(commands.InvalidateCache("get_receipts_for_room", None))
            link.flush()
        self.assertEqual(self.master.current_token(CACHES), token)
        self.assertTrue(follower.is_connected)


class LagTests(ReplicationCase):
    def test_a_level_worker_has_no_lag(self) -> None:
        _, follower, _ = self.worker()
        self.assertEqual(follower.lag()["receipts"], {"rows": 0, "ms": 0})

    def test_without_connection_the_time_counts(self) -> None:
        _, follower, link = self.worker()
        link.refuses = True
        link.cut()
        self.advance(7)
        self.assertEqual(follower.lag()["receipts"]["ms"], 7000)

    def test_while_catching_up_rows_count(self) -> None:
        _, follower, link = self.worker()
        link.cut()
        self.now(self.master.add(*([receipt(number)] for number in range(1200))))
        self.master.read_seconds = 10
        self.advance(3, link)
        self.assertEqual(follower.lag()["receipts"], {"rows": 1200, "ms": 3000})
        self.advance(10, link)
        self.assertLess(follower.lag()["receipts"]["rows"], 1200)
        self.advance(60, link)
        self.assertEqual(follower.lag()["receipts"], {"rows": 0, "ms": 0})

    def test_lines_that_travel_long_count(self) -> None:
        _, follower, link = self.worker()
        self.reactor.advance(5)
        self.reactor.advance(2)
        link.flush()
        self.assertEqual(follower.lag()["receipts"], {"rows": 0, "ms": 2000})

    def test_every_followed_stream_is_there(self) -> None:
        store, follower, _ = self.worker()
        assert isinstance(store, SomeFollowerStore)
        self.assertEqual(set(follower.lag()), {stream.name for stream in store.followed})
