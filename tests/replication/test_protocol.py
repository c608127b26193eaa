"""Lines, keep-alive and back-pressure, seen by somebody who talks to the master by hand."""

from __future__ import annotations

from typing import Any

from synapse_lite.replication import commands
from synapse_lite.replication.commands import CommandError
from synapse_lite.replication.protocol import (
    MAX_LINE_BYTES,
    MAX_QUEUED_BYTES,
    MAX_QUEUED_COMMANDS,
    PROTOCOL_VERSION,
)
from synapse_lite.streams import RECEIPTS

from .support import Client, ReplicationCase, receipt


class GreetingTests(ReplicationCase):
    def test_the_master_says_who_it_is_and_pings_at_once(self) -> None:
        client = self.client()
        self.assertEqual(
            client.heard(), ["SERVER test", "VERSION 1", f"PING {self.clock.time_ms()}"]
        )

    def test_peers_one_version_apart_understand_each_other(self) -> None:
        for number in (PROTOCOL_VERSION - 1, PROTOCOL_VERSION, PROTOCOL_VERSION + 1):
            client = self.client()
            client.say(f"VERSION {number}")
            self.assertFalse(client.is_closed, number)

    def test_peers_further_apart_do_not(self) -> None:
        client = self.client()
        with self.logged():
            client.say(f"VERSION {PROTOCOL_VERSION + 2}")
        self.assertTrue(client.is_closed)


class LineTests(ReplicationCase):
    def setUp(self) -> None:
        super().setUp()
        self.peer = self.client()
        self.peer.heard()

    def refused(self, line: str) -> str:
        """The text of the ERROR that a line brings; nothing else may be logged."""
        with self.logged() as logged:
            self.peer.say(line)
        self.assertTrue(self.peer.is_closed, line)
        [answer] = self.peer.heard()
        self.assertEqual(len(logged.records), 1)
        self.assertIsNone(logged.records[0].exc_info)
        self.assertTrue(answer.startswith("ERROR "))
        return answer

    def test_blank_lines_are_skipped(self) -> None:
        self.peer.say("", "   ", "", "PING 1", "PING ", "PING ☃")
        self.assertFalse(self.peer.is_closed)
        self.assertEqual(self.peer.connection.inbound, {"PING": 3})

    def test_unknown_words_are_refused(self) -> None:
        self.assertIn("HELLO", self.refused("HELLO"))

    def test_commands_of_the_other_side_are_refused(self) -> None:
        self.assertIn("RDATA", self.refused("RDATA events 1 []"))

    def test_every_command_of_the_master_is_refused_from_a_worker(self) -> None:
        for command in commands.COMMANDS:
            if not command.sent_by & commands.Side.WORKER:
                self.peer = self.client()
                self.peer.heard()
                self.assertIn(command.NAME, self.refused(f"{command.NAME} x 1 []"))

    def test_a_payload_that_does_not_parse_is_refused(self) -> None:
        self.assertIn("USER_SYNC", self.refused("USER_SYNC @a:test stop 1"))

    def test_a_command_without_payload_is_refused(self) -> None:
        self.assertIn("REPLICATE", self.refused("REPLICATE"))

    def test_percent_signs_and_quotes_come_back_as_they_were(self) -> None:
        self.assertIn("""%s"'%d""", self.refused("""%s"'%d"""))

    def test_an_unknown_stream_is_refused(self) -> None:
        self.assertIn("nosuch", self.refused("REPLICATE nosuch 1"))

    def test_all_streams_cannot_be_asked_for_from_a_number(self) -> None:
        self.refused("REPLICATE ALL 1")

    def test_what_is_not_utf8_is_refused(self) -> None:
        with self.logged():
            self.peer.connection.dataReceived(b"PING \xff\n")
        self.assertTrue(self.peer.is_closed)

    def test_a_line_that_is_too_long_is_refused_before_its_end(self) -> None:
        with self.logged():
            self.peer.connection.dataReceived(b"PING " + b"x" * MAX_LINE_BYTES)
        self.assertTrue(self.peer.is_closed)

    def test_lines_behind_a_refused_one_are_not_acted_upon(self) -> None:
        with self.logged():
            self.peer.say("HELLO", "FEDERATION_ACK 1")
        self.assertEqual(self.commands.said, [])

    def test_a_failure_while_acting_is_logged_and_the_connection_stays(self) -> None:
        with self.assertLogs("synapse_lite", "ERROR"):
            self.peer.say("USER_SYNC @broken:test start 1")
        self.peer.say("USER_SYNC @a:test start 1")
        self.assertFalse(self.peer.is_closed)
        self.assertEqual(len(self.commands.said), 1)

    def test_an_error_of_the_peer_is_logged(self) -> None:
        with self.logged() as logged:
            self.peer.say("ERROR I am 100%s tired")
        self.assertIn("100%s tired", logged.output[0])

    def test_a_side_cannot_send_commands_of_the_other(self) -> None:
        with self.assertRaises(CommandError):
            self.peer.connection.send(commands.Name("x"))
        self.assertEqual(self.peer.heard(), [])

    def test_a_command_with_a_newline_is_refused_before_it_is_sent(self) -> None:
        with self.assertRaises(CommandError):
            self.peer.connection.send(commands.Sync("a\nb"))
        self.assertEqual(self.peer.heard(), [])


class KeepAliveTests(ReplicationCase):
    def test_a_ping_is_sent_only_when_nothing_else_was(self) -> None:
        client = self.client()
        client.heard()
        self.reactor.advance(4)
        self.publisher.sync("x")
        self.reactor.advance(1)
        self.assertEqual(client.heard(), ["SYNC x"])
        self.reactor.advance(5)
        self.assertEqual(client.heard(), [f"PING {self.clock.time_ms()}"])

    def test_who_never_pings_is_not_cut(self) -> None:
        client = self.client()
        self.advance(120)
        self.assertFalse(client.is_closed)

    def test_who_pings_once_and_falls_silent_is_cut(self) -> None:
        client = self.client()
        client.say("PING 1")
        self.advance(25)
        self.assertFalse(client.is_closed)
        with self.logged("WARNING"):
            self.advance(5)
        self.assertTrue(client.is_closed)
        self.assertEqual(client.heard()[-1], "ERROR Ping timeout")

    def test_any_line_shows_that_the_peer_is_alive(self) -> None:
        client = self.client()
        client.say("PING 1")
        for _ in range(10):
            self.advance(10)
            client.say("NAME again")
        self.assertFalse(client.is_closed)

    def test_bytes_of_an_unfinished_line_show_it_too(self) -> None:
        client = self.client()
        client.say("PING 1")
        for _ in range(10):
            self.advance(10)
            client.connection.dataReceived(b"NAME")
        self.assertFalse(client.is_closed)

    def test_a_stall_of_this_process_is_not_held_against_the_peer(self) -> None:
        client = self.client()
        client.say("PING 1")
        self.reactor.advance(60)
        self.assertFalse(client.is_closed)
        self.reactor.advance(5)
        self.assertFalse(client.is_closed)
        with self.logged("WARNING"):
            self.advance(30)
        self.assertTrue(client.is_closed)

    def test_a_connection_that_does_not_close_is_cut(self) -> None:
        client = self.client()
        aborted: list[float] = []
        client.transport.abortConnection = lambda: aborted.append(self.clock.time())
        with self.logged():
            client.say("HELLO")
        began = self.clock.time()
        self.advance(30)
        self.assertEqual(aborted, [began + 25])

    def test_nothing_runs_on_behind_a_lost_connection(self) -> None:
        client = self.client()
        with self.logged():
            client.say("PING 1", "HELLO")
        client.gone()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.publisher.connections, set())


class BackPressureTests(ReplicationCase):
    def setUp(self) -> None:
        super().setUp()
        self.slow = self.client()
        self.slow.say("REPLICATE receipts NOW")
        self.other = self.client()
        self.other.say("REPLICATE receipts NOW")
        self.slow.heard()
        self.other.heard()
        self.slow.connection.pauseProducing()

    def write(self, count: int, text: str = "") -> None:
        self.now(self.master.add(*([receipt(number, text)] for number in range(count))))

    def test_commands_wait_and_go_out_in_order_before_new_ones(self) -> None:
        self.write(3)
        self.publisher.sync("behind")
        self.assertEqual(self.slow.heard(), [])
        self.assertEqual(self.slow.connection.pending_commands, 4)
        self.slow.connection.resumeProducing()
        self.publisher.sync("last")
        self.assertEqual(self.slow.heard(), [*self.other.heard()[:4], "SYNC last"])
        self.assertEqual(self.slow.connection.pending_commands, 0)

    def test_a_transport_that_fills_up_again_is_not_overrun(self) -> None:
        self.write(3)
        transport: Any = self.slow.transport
        write = transport.write

        def fill(data: bytes) -> None:
            write(data)
            self.slow.connection.pauseProducing()

        transport.write = fill
        self.slow.connection.resumeProducing()
        self.assertEqual(len(self.slow.heard()), 1)
        self.assertEqual(self.slow.connection.pending_commands, 2)

    def test_who_does_not_read_is_cut_and_others_are_not_disturbed(self) -> None:
        self.write(MAX_QUEUED_COMMANDS)
        self.assertFalse(self.slow.is_closed)
        with self.logged():
            self.write(1)
        self.assertTrue(self.slow.is_closed)
        self.assertEqual(self.slow.heard(), ["ERROR Failed to keep up"])
        self.assertEqual(self.slow.connection.pending_commands, 0)
        self.assertEqual(len(self.other.heard()), MAX_QUEUED_COMMANDS + 1)

    def test_the_bytes_that_wait_are_bounded_too(self) -> None:
        size = MAX_LINE_BYTES - 1000
        with self.logged():
            for _ in range(MAX_QUEUED_BYTES // size + 1):
                self.write(1, "x" * size)
        self.assertTrue(self.slow.is_closed)
        self.assertFalse(self.other.is_closed)

    def test_nothing_is_queued_for_a_closed_connection(self) -> None:
        with self.logged():
            self.slow.say("HELLO")
        self.write(1)
        self.assertEqual(self.slow.connection.pending_commands, 0)


class LargeRowTests(ReplicationCase):
    def test_a_large_row_passes(self) -> None:
        store, _, link = self.worker()
        self.now(self.master.add([receipt(1, "x" * 100_000)]))
        link.flush()
        self.assertEqual(store.applied, [(1, "$event1")])

    def test_a_row_that_no_line_can_hold_makes_workers_start_again(self) -> None:
        store, follower, link = self.worker()
        with self.logged():
            self.now(self.master.add([receipt(1, "x" * MAX_LINE_BYTES)]))
            link.flush()
        self.now(self.master.add([receipt(2)]))
        link.flush()
        self.assertTrue(follower.is_connected)
        self.assertEqual(store.applied, [(2, "$event2")])
        self.assertIn(("receipts", 1), store.reset_to)
        self.assertEqual(store.token_of(RECEIPTS), 2)


class ShutdownTests(ReplicationCase):
    def test_workers_are_told_why(self) -> None:
        client: Client = self.client()
        client.heard()
        with self.logged():
            self.now(self.publisher.stop())
        self.assertEqual(client.heard(), ["ERROR Server shutting down"])
        self.assertTrue(client.is_closed)
