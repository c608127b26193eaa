from __future__ import annotations

from click.testing import CliRunner

from synapse_lite.config import config_from_dict
from synapse_lite.replication.tail import Tail, main
from synapse_lite.replication.worker_connection import WorkerConnection
from synapse_lite.streams import RECEIPTS, STREAMS, TYPING, TypingRow
from tests.harness.replication import connect_pair
from tests.replication.support import ReplicationCase, receipt


class TailTests(ReplicationCase):
    secret = "a long secret"

    def test_rows_are_shown_with_the_names_of_their_columns(self) -> None:
        shown: list[str] = []
        config = config_from_dict(
            {"server_name": "test", "worker_replication_secret": "a long secret"}
        )
        self.now(self.master.add([receipt(1)]))
        tail = Tail(config, self.clock, [RECEIPTS], shown.append)
        connection = WorkerConnection(tail)
        server = self.publisher.factory.buildProtocol(None)
        pump = connect_pair(server, connection, self.reactor)
        pump.flush()
        self.assertEqual(shown, ["# receipts is at 1"])
        self.now(self.master.add([receipt(2, "two words")]))
        self.master.publish_live(TYPING, [TypingRow("!room:test", [])])
        pump.flush()
        self.assertEqual(
            shown[1:],
            [
                'receipts 2 room_id="!room:test" receipt_type="m.read" user_id="@user:test"'
                ' event_id="$event2" data={"text":"two words"} thread_id=""'
                " event_stream_ordering=0"
            ],
        )
        self.now(self.publisher.stop())
        pump.flush()
        self.assertEqual(shown[-1], "# connection lost")

    def test_an_unknown_stream_is_named_with_those_there_are(self) -> None:
        path = self.mktemp()
        with open(path, "w", encoding="utf-8") as file:
            file.write("server_name: test\n")
        result = CliRunner().invoke(main, ["-c", path, "nosuch"])
        self.assertEqual(result.exit_code, 2)
        self.assertIn("nosuch", result.output)
        for stream in STREAMS:
            self.assertIn(stream.name, result.output)

    def test_a_configuration_that_cannot_be_read_is_said(self) -> None:
        result = CliRunner().invoke(main, ["-c", self.mktemp()])
        self.assertEqual(result.exit_code, 1)
        self.assertIn("cannot be read", result.output)
