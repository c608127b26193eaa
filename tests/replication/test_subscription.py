"""How connections are brought up to date: what was missed, POSITION, then what is new."""

from __future__ import annotations

import random
from typing import Any

from synapse_lite.replication.subscription import CHUNK_ROWS, MAX_MISSED_ROWS
from synapse_lite.streams import CACHES, RECEIPTS, STREAMS, TYPING, TypingRow
from synapse_lite.util.background import start
from synapse_lite.util.json import decode_json

from .support import Client, ReplicationCase, receipt


def received(lines: list[str], stream: str = "receipts") -> list[tuple[int, list[str]]]:
    """The event ids of RDATA by token, as a worker would collect them."""
    groups: list[tuple[int, list[str]]] = []
    batch: list[str] = []
    for line in lines:
        if not line.startswith(f"RDATA {stream} "):
            continue
        _, _, token, row = line.split(" ", 3)
        batch.append(decode_json(row)[3])
        if token != "batch":
            groups.append((int(token), batch))
            batch = []
    assert not batch, "a batch without its end"
    return groups


class CatchUpTests(ReplicationCase):
    def fill(self, count: int) -> None:
        self.now(self.master.add(*([receipt(number)] for number in range(1, count + 1))))

    def ask(self, *lines: str) -> list[str]:
        self.peer = self.client()
        self.peer.heard()
        self.peer.say(*lines)
        return self.peer.heard()

    def test_now_brings_only_the_position(self) -> None:
        self.fill(3)
        self.assertEqual(self.ask("REPLICATE receipts now"), ["POSITION receipts 3"])
        self.assertEqual(self.master.reads, 0)

    def test_all_streams_now(self) -> None:
        lines = self.ask("REPLICATE ALL NOW")
        self.assertEqual(
            [line.split(" ")[:2] for line in lines],
            [["POSITION", stream.name] for stream in STREAMS],
        )

    def test_missed_rows_come_before_the_position(self) -> None:
        self.fill(3)
        lines = self.ask("REPLICATE receipts 1")
        self.assertEqual(lines[0], "CATCHUP receipts 3")
        self.assertEqual(received(lines), [(2, ["$event2"]), (3, ["$event3"])])
        self.assertEqual(lines[-1], "POSITION receipts 3")

    def test_rows_are_plain_json_values(self) -> None:
        self.fill(1)
        row = '["!room:test","m.read","@user:test","$event1",{"text":""},"",0]'
        self.assertIn(f"RDATA receipts 1 {row}", self.ask("REPLICATE receipts 0"))
        self.fill(1)
        [live] = self.peer.heard()
        self.assertEqual(live, f"RDATA receipts 2 {row}")

    def test_the_same_token_costs_no_query(self) -> None:
        self.fill(3)
        before = self.master.db.counts.transactions
        self.assertEqual(self.ask("REPLICATE receipts 3"), ["POSITION receipts 3"])
        self.assertEqual(self.master.db.counts.transactions, before)

    def test_rows_of_one_token_are_a_batch(self) -> None:
        self.now(self.master.add([receipt(1), receipt(2), receipt(3)]))
        for lines in (self.ask("REPLICATE receipts 0"), self.live_lines()):
            tokens = [line.split(" ")[2] for line in lines if line.startswith("RDATA")]
            self.assertEqual(tokens[:2], ["batch", "batch"])
            self.assertTrue(tokens[2].isdigit())

    def live_lines(self) -> list[str]:
        self.now(self.master.add([receipt(1), receipt(2), receipt(3)]))
        return self.peer.heard()

    def test_a_move_without_rows_brings_a_position(self) -> None:
        self.ask("REPLICATE receipts NOW")

        async def fail() -> None:
            async with self.master.writing(RECEIPTS):
                raise RuntimeError("rolled back")

        self.failureResultOf(start(fail()), RuntimeError)
        self.assertEqual(self.peer.heard(), ["POSITION receipts 1"])

    def test_a_portion_that_ends_within_a_token_loses_nothing(self) -> None:
        sizes = [CHUNK_ROWS - 2, 5, 1, CHUNK_ROWS, 3 * CHUNK_ROWS + 1, 2]
        number = 0
        batches = []
        for size in sizes:
            batches.append([receipt(number + index) for index in range(size)])
            number += size
        self.now(self.master.add(*batches))
        groups = received(self.ask("REPLICATE receipts 0"))
        self.assertEqual([(token, len(ids)) for token, ids in groups], list(enumerate(sizes, 1)))
        flat = [event_id for _, ids in groups for event_id in ids]
        self.assertEqual(flat, [f"$event{index}" for index in range(number)])

    def test_missed_rows_wait_for_a_client_that_reads_slowly(self) -> None:
        self.fill(3 * CHUNK_ROWS)
        peer = self.client()
        peer.connection.pauseProducing()
        peer.say("REPLICATE receipts 0")
        self.assertLessEqual(peer.connection.pending_commands, CHUNK_ROWS + 1)
        for _ in range(4):
            peer.connection.pauseProducing()
            peer.connection.resumeProducing()
        self.assertEqual(len(received(peer.heard())), 3 * CHUNK_ROWS)

    def test_a_second_request_begins_anew(self) -> None:
        self.fill(3)
        self.ask("REPLICATE receipts NOW")
        self.peer.say("REPLICATE receipts 2")
        lines = self.peer.heard()
        self.assertEqual(received(lines), [(3, ["$event3"])])
        self.fill(1)
        self.assertEqual(received(self.peer.heard()), [(4, ["$event1"])])

    def test_a_second_request_while_the_first_runs(self) -> None:
        self.fill(3)
        self.master.read_seconds = 1
        peer = self.client()
        peer.say("REPLICATE receipts 0", "REPLICATE receipts 1")
        self.advance(3)
        self.assertEqual(received(peer.heard()), [(2, ["$event2"]), (3, ["$event3"])])

    def test_rows_of_streams_not_asked_for_do_not_come(self) -> None:
        self.ask("REPLICATE caches NOW")
        self.fill(1)
        self.assertEqual(self.peer.heard(), [])

    def test_a_failure_closes_with_an_error(self) -> None:
        self.fill(1)

        async def broken(*args: Any) -> list[Any]:
            raise RuntimeError("no database")

        self.master.rows_between = broken  # type: ignore[method-assign]  # stands for a fault
        with self.logged():
            lines = self.ask("REPLICATE receipts 0")
        self.assertEqual(lines[-1], "ERROR Cannot catch up with stream receipts")
        self.assertTrue(self.peer.is_closed)

    def test_a_client_that_leaves_meanwhile_leaves_nothing_behind(self) -> None:
        self.fill(3)
        self.master.read_seconds = 1
        peer = self.client()
        peer.say("REPLICATE receipts 0")
        peer.gone()
        self.advance(2)
        self.fill(1)
        self.assertEqual(self.publisher.connections, set())
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.commands.lost, [peer.connection.connection_id])


class TooFarBehindTests(ReplicationCase):
    def test_just_within_the_limit(self) -> None:
        rows = ([receipt(number)] for number in range(MAX_MISSED_ROWS - 1))
        self.now(self.master.add(*rows))
        peer = self.client()
        peer.say("REPLICATE receipts 0")
        self.assertEqual(len(received(peer.heard())), MAX_MISSED_ROWS - 1)

    def test_too_many_rows_restart_the_stream(self) -> None:
        self.now(self.master.add(*([receipt(number)] for number in range(MAX_MISSED_ROWS))))
        peer = self.client()
        peer.say("REPLICATE receipts 0")
        lines = peer.heard()
        self.assertEqual(
            lines[-2:],
            [f"RESTART receipts {MAX_MISSED_ROWS} behind", f"POSITION receipts {MAX_MISSED_ROWS}"],
        )
        self.now(self.master.add([receipt(1)]))
        self.assertEqual(received(peer.heard()), [(MAX_MISSED_ROWS + 1, ["$event1"])])

    def test_one_token_with_too_many_rows_restarts_the_stream(self) -> None:
        self.now(self.master.add([receipt(number) for number in range(2 * MAX_MISSED_ROWS + 1)]))
        peer = self.client()
        peer.say("REPLICATE receipts 0")
        self.assertEqual(peer.heard()[-2:], ["RESTART receipts 1 behind", "POSITION receipts 1"])

    def test_a_worker_recovers(self) -> None:
        store, follower, link = self.worker()
        self.now(store.get_receipts_for_room("!room:test"))
        link.refuses = True
        link.cut()
        self.now(self.master.add(*([receipt(number)] for number in range(MAX_MISSED_ROWS + 50))))
        link.refuses = False
        with self.logged() as logged:
            self.advance(6, link)
        self.assertIn("receipts", "".join(logged.output))
        self.assertEqual(self.now(store.get_receipts_for_room("!room:test")), MAX_MISSED_ROWS + 50)
        self.assertEqual(store.token_of(RECEIPTS), MAX_MISSED_ROWS + 50)
        attempts = link.attempts
        store.applied.clear()
        self.now(self.master.add([receipt(7)]))
        self.advance(60, link)
        self.assertEqual(store.applied, [(MAX_MISSED_ROWS + 51, "$event7")])
        self.assertEqual(link.attempts, attempts)
        self.assertTrue(follower.is_connected)

    def test_a_worker_that_is_ahead_is_told_so(self) -> None:
        peer = self.client()
        peer.heard()
        with self.logged():
            peer.say("REPLICATE receipts 5")
        self.assertEqual(peer.heard(), ["RESTART receipts 0 ahead", "POSITION receipts 0"])


class LiveStreamTests(ReplicationCase):
    def test_tokens_of_an_earlier_master_bring_everything_anew(self) -> None:
        self.master.publish_live(TYPING, [TypingRow("!room:test", ["@a:test"])])
        token = self.master.current_token(TYPING)
        begin = token - 1
        for since in (0, begin - 1, begin - (1 << 32) + 7):
            peer = self.client()
            peer.heard()
            peer.say(f"REPLICATE typing {since}")
            self.assertEqual(
                peer.heard(),
                [
                    f"RESTART typing {begin} epoch",
                    f"CATCHUP typing {token}",
                    f'RDATA typing {token} ["!room:test",["@a:test"]]',
                    f"POSITION typing {token}",
                ],
            )

    def test_tokens_of_this_master_bring_what_is_newer(self) -> None:
        self.master.publish_live(TYPING, [TypingRow("!room:test", ["@a:test"])])
        token = self.master.current_token(TYPING)
        self.master.publish_live(TYPING, [TypingRow("!other:test", [])])
        peer = self.client()
        peer.heard()
        peer.say(f"REPLICATE typing {token}")
        self.assertEqual(
            peer.heard(),
            [
                f"CATCHUP typing {token + 1}",
                f'RDATA typing {token + 1} ["!other:test",[]]',
                f"POSITION typing {token + 1}",
            ],
        )

    def test_tokens_that_this_master_has_not_reached_bring_everything_anew(self) -> None:
        self.master.publish_live(TYPING, [TypingRow("!room:test", ["@a:test"])])
        token = self.master.current_token(TYPING)
        peer = self.client()
        peer.heard()
        with self.logged():
            peer.say(f"REPLICATE typing {token + (1 << 32)}")
        lines = peer.heard()
        self.assertEqual(lines[0], f"RESTART typing {token - 1} ahead")
        self.assertIn(f'RDATA typing {token} ["!room:test",["@a:test"]]', lines)

    def test_all_rows_come_however_many(self) -> None:
        for number in range(MAX_MISSED_ROWS):
            self.master.publish_live(TYPING, [TypingRow(f"!{number}:test", [])])
        peer = self.client()
        peer.heard()
        peer.say("REPLICATE typing 0")
        lines = peer.heard()
        self.assertEqual(sum(line.startswith("RDATA") for line in lines), MAX_MISSED_ROWS)


class HandOverTests(ReplicationCase):
    """Rows are written while others subscribe; every one must come once, and in order."""

    def check(self, lines: list[str], since: int, upto: int) -> None:
        groups = received(lines)
        self.assertEqual([token for token, _ in groups], list(range(since + 1, upto + 1)))
        for token, event_ids in groups:
            self.assertEqual(event_ids, self.written[token])
        position = next(index for index, line in enumerate(lines) if line.startswith("POSITION"))
        reached = int(lines[position].split(" ")[2])
        self.assertTrue(all(token <= reached for token, _ in received(lines[:position])))
        self.assertTrue(all(token > reached for token, _ in received(lines[position:])))

    def test_twenty_clients_subscribe_in_a_storm_of_writes(self) -> None:
        chance = random.Random(20)
        self.written: dict[int, list[str]] = {}
        self.master.read_seconds = 0.3
        self.number = 0
        clients: list[tuple[Client, int]] = []
        for _ in range(300):
            self.write(chance.randint(1, 3))
            if len(clients) < 20 and chance.random() < 0.15:
                since = chance.randint(0, self.master.current_token(RECEIPTS))
                client = self.client()
                client.say(f"REPLICATE receipts {since}")
                clients.append((client, since))
            self.reactor.advance(0.05)
        self.advance(2)
        self.assertEqual(len(clients), 20)
        for client, since in clients:
            self.check(client.heard(), since, self.master.current_token(RECEIPTS))

    def write(self, size: int) -> None:
        rows = [receipt(self.number + index) for index in range(size)]
        self.number += size
        self.now(self.master.add(rows))
        self.written[self.master.current_token(RECEIPTS)] = [row.event_id for row in rows]

    def test_a_row_that_arrives_meanwhile_comes_after_the_position(self) -> None:
        self.written = {}
        self.number = 0
        self.write(2)
        self.master.read_seconds = 1
        client = self.client()
        client.heard()
        client.say("REPLICATE receipts 0")
        self.write(2)
        self.assertEqual(client.heard(), ["CATCHUP receipts 1"])
        self.advance(1)
        lines = client.heard()
        self.assertEqual(
            [line.split(" ")[0] for line in lines],
            ["RDATA", "RDATA", "POSITION", "RDATA", "RDATA"],
        )
        self.check(lines, 0, 2)

    def test_what_waits_for_a_slow_database_is_bounded(self) -> None:
        self.now(self.master.add([receipt(0)]))
        self.master.read_seconds = 100
        client = self.client()
        client.say("REPLICATE receipts 0")
        with self.logged():
            for _ in range(11):
                self.now(self.master.add(*([receipt(number)] for number in range(1000))))
        self.assertTrue(client.is_closed)
        self.assertEqual(client.heard()[-1], "ERROR Failed to keep up")


class PublishTests(ReplicationCase):
    def test_rows_are_encoded_once_for_all(self) -> None:
        clients = [self.client() for _ in range(5)]
        for client in clients:
            client.say("REPLICATE receipts NOW")
            client.heard()
        writes: list[bytes] = []
        for client in clients:
            client.transport.write = writes.append
        self.now(self.master.add([receipt(1), receipt(2)]))
        self.assertEqual(len(writes), 5)
        self.assertEqual(len({id(data) for data in writes}), 1)

    def test_with_nobody_there_positions_move_all_the_same(self) -> None:
        self.now(self.master.add(*([receipt(number)] for number in range(20_000))))
        client = self.client()
        client.heard()
        client.say("REPLICATE receipts 20000")
        self.assertEqual(client.heard(), ["POSITION receipts 20000"])

    def test_many_writes_over_several_streams_arrive_once(self) -> None:
        store, _, link = self.worker()
        for number in range(200):
            self.now(self.master.add([receipt(number)]))
            self.master.publish_live(TYPING, [TypingRow(f"!{number}:test", ["@a:test"])])
        link.flush()
        self.assertEqual(store.applied, [(n + 1, f"$event{n}") for n in range(200)])
        self.assertEqual(len(store.typing), 200)
        for stream in (RECEIPTS, TYPING, CACHES):
            self.assertEqual(store.token_of(stream), self.master.current_token(stream))
