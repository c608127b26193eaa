from __future__ import annotations

import socket

from prometheus_client import generate_latest

from synapse_lite.replication.commands import FederationAck
from synapse_lite.streams import RECEIPTS
from synapse_lite.util.metrics import REGISTRY
from tests.replication.support import ReplicationCase, receipt

PREFIX = "synapse_lite_replication_"


def value(metric: str, /, **labels: str) -> float | None:
    """What the metrics endpoint would show."""
    return REGISTRY.get_sample_value(PREFIX + metric, labels)


class MetricsTests(ReplicationCase):
    def test_connections_are_labelled_with_name_and_id_while_they_last(self) -> None:
        client = self.client()
        client.say("NAME foo", "PING 1", "PING 2")
        labels = {"name": "foo", "conn_id": client.connection.connection_id}
        self.assertEqual(value("inbound_commands_total", command="PING", **labels), 2)
        self.assertEqual(value("outbound_commands_total", command="SERVER", **labels), 1)
        self.assertEqual(value("pending_commands", **labels), 0)
        client.gone()
        self.assertNotIn(client.connection.connection_id, generate_latest(REGISTRY).decode())

    def test_pending_commands(self) -> None:
        client = self.client()
        client.say("NAME foo")
        client.connection.pauseProducing()
        self.publisher.sync("x")
        labels = {"name": "foo", "conn_id": client.connection.connection_id}
        self.assertEqual(value("pending_commands", **labels), 1)
        self.assertEqual(value("transport_buffer_bytes", **labels), len("SYNC x\n"))

    def test_connections_and_their_streams_are_counted(self) -> None:
        before = value("total_connections") or 0
        followed = value("connections_per_stream", stream_name="receipts") or 0
        first, second = self.client(), self.client()
        first.say("REPLICATE receipts NOW")
        self.assertEqual(value("total_connections"), before + 2)
        self.assertEqual(value("connections_per_stream", stream_name="receipts"), followed + 1)
        first.gone()
        second.gone()
        self.assertEqual(value("total_connections"), before)

    def test_rows_and_their_bytes_are_counted_on_both_sides(self) -> None:
        _, _, link = self.worker()
        names = ("stream_updates_total", "stream_bytes_total", "inbound_rdata_total")
        rows, size, inbound = (value(name, stream_name="receipts") or 0 for name in names)
        self.now(self.master.add([receipt(1), receipt(2)]))
        [pump] = link.pumps
        sent = sum(len(data) for data in pump.serverIO.stream)
        link.flush()
        after = [value(name, stream_name="receipts") for name in names]
        self.assertEqual(after, [rows + 2, size + sent, inbound + 2])

    def test_commands_of_workers_are_counted(self) -> None:
        _, follower, link = self.worker()
        before = value("worker_commands_total", command="FEDERATION_ACK") or 0
        follower.send(FederationAck(1))
        link.flush()
        self.assertEqual(value("worker_commands_total", command="FEDERATION_ACK"), before + 1)

    def test_reasons_of_closing_are_counted(self) -> None:
        before = value("close_reason_total", reason_type="unknown stream") or 0
        with self.logged():
            self.client().say("REPLICATE nosuch 1")
        self.assertEqual(value("close_reason_total", reason_type="unknown stream"), before + 1)

    def test_restarts_are_counted(self) -> None:
        before = value("restarts_total", stream_name="receipts", reason="ahead") or 0
        with self.logged():
            self.client().say("REPLICATE receipts 99")
        after = value("restarts_total", stream_name="receipts", reason="ahead")
        self.assertEqual(after, before + 1)

    def test_the_lag_of_a_worker_is_shown_until_it_stops(self) -> None:
        _, follower, link = self.worker()
        link.refuses = True
        link.cut()
        self.advance(3)
        self.assertEqual(value("lag_ms", stream_name="receipts"), 3000)
        self.now(follower.stop())
        self.assertIsNone(value("lag_ms", stream_name="receipts"))

    def test_the_kernel_is_asked_where_there_is_a_socket(self) -> None:
        near, far = socket.socketpair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        client = self.client()
        client.transport.socket = near
        far.send(b"12345")
        labels = {"name": "unnamed", "conn_id": client.connection.connection_id}
        self.assertEqual(value("kernel_receive_bytes", **labels), 5)
        self.assertEqual(value("kernel_send_bytes", **labels), 0)
        near.close()
        self.assertIsNone(value("kernel_receive_bytes", **labels))

    def test_nothing_is_logged_for_each_row_at_info(self) -> None:
        store, _, link = self.worker()
        with self.assertNoLogs("synapse_lite.replication", "INFO"):
            self.now(self.master.add(*([receipt(number)] for number in range(50))))
            link.flush()
        self.assertEqual(store.token_of(RECEIPTS), 50)
