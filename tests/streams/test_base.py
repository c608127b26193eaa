"""What a stream declaration checks and how rows travel."""

from __future__ import annotations

import json

from twisted.trial.unittest import TestCase

from synapse_lite.streams import (
    LIVE,
    PRESENCE,
    STREAMS,
    Counter,
    EventRow,
    PresenceRow,
    ReceiptRow,
    RowError,
    Stream,
    Wakes,
    row,
    stream_named,
)


@row
class Row:
    """For tests."""

    user_id: str
    count: int
    names: list[str]
    data: dict[str, int] | None
    note: str | None = None


STREAM = Stream(name="test", says="For tests.", row=Row, counter=Counter("test"), rows=LIVE)


class WireTestCase(TestCase):
    """The wire form of rows."""

    def test_there_and_back(self) -> None:
        sent = Row("@a:b", 3, ["x"], {"k": 1}, None)
        wire = STREAM.to_wire(sent)
        self.assertEqual(wire, ["@a:b", 3, ["x"], {"k": 1}, None])
        self.assertEqual(STREAM.from_wire(json.loads(json.dumps(wire))), sent)

    def test_rows_of_an_older_peer_are_shorter(self) -> None:
        self.assertEqual(STREAM.from_wire(["@a:b", 3, [], None]), Row("@a:b", 3, [], None))

    def test_unknown_columns_are_ignored(self) -> None:
        self.assertEqual(
            STREAM.from_wire(["@a:b", 3, [], None, "n", "new", 7]), Row("@a:b", 3, [], None, "n")
        )

    def test_rows_that_do_not_fit(self) -> None:
        for wrong in (
            None,
            {},
            [],
            ["@a:b", 3, []],
            [None, 3, [], None],
            ["@a:b", "3", [], None],
            ["@a:b", True, [], None],
            ["@a:b", 3, [1], None],
            ["@a:b", 3, [], []],
            ["@a:b", 3, [], None, 5],
        ):
            self.assertRaises(RowError, STREAM.from_wire, wrong)

    def test_a_key_must_name_fields(self) -> None:
        with self.assertRaises(ValueError) as caught:
            Stream(
                name="bad",
                says="",
                row=Row,
                counter=Counter("bad"),
                rows=LIVE,
                stale={"get_x": ("room_id",)},
            )
        self.assertIn("room_id", str(caught.exception))

    def test_row_types_must_be_plain_json(self) -> None:
        @row
        class Odd:
            when: float

        with self.assertRaises(TypeError):
            Stream(name="odd", says="", row=Odd, counter=Counter("odd"), rows=LIVE)


class StreamsTestCase(TestCase):
    """The list of streams."""

    # The wire form of every stream, pinned: columns are only ever appended.
    COLUMNS = {
        "current_state_deltas": "room_id type state_key event_id membership sender",
        "caches": "cache_func keys invalidation_ts",
        "events": "event_id room_id type state_key redacts membership relates_to heads outlier"
        " rel_type frees has_relations notice",
        "backfill": "event_id room_id type state_key redacts membership relates_to heads outlier"
        " rel_type frees has_relations notice",
        "receipts": "room_id receipt_type user_id event_id data thread_id event_stream_ordering",
        "typing": "room_id user_ids",
        "presence": "user_id state last_active_ts last_federation_update_ts last_user_sync_ts"
        " status_msg currently_active",
        "account_data": "user_id room_id data_type data",
        "tag_account_data": "user_id room_id data",
        "push_rules": "user_id",
        "public_rooms": "room_id visibility appservice_id network_id",
    }

    def test_columns(self) -> None:
        self.assertEqual({stream.name: " ".join(stream.fields) for stream in STREAMS}, self.COLUMNS)

    def test_names_find_streams(self) -> None:
        for stream in STREAMS:
            self.assertIs(stream_named(stream.name), stream)
        self.assertIsNone(stream_named("state"))

    def test_what_rows_wake(self) -> None:
        events = stream_named("events")
        receipts = stream_named("receipts")
        assert events is not None and receipts is not None
        member = EventRow("$e", "!r:x", "m.room.member", "@u:x", None, "join")
        self.assertEqual(events.wakes(member).users, ("@u:x",))
        self.assertEqual(events.wakes(member).rooms, ("!r:x",))
        message = EventRow("$e", "!r:x", "m.room.message", None, None)
        self.assertEqual(events.wakes(message).users, ())
        receipt = ReceiptRow("!r:x", "m.read", "@u:x", "$e", {})
        self.assertEqual(receipts.wakes(receipt).rooms, ("!r:x",))
        presence = PresenceRow("@u:x", "online", 1, 2, 3, None, True)
        self.assertEqual(PRESENCE.wakes(presence), Wakes(sharing=("@u:x",)))

    def test_presence_on_the_wire(self) -> None:
        wire = ["@u:x", "unavailable", 1, 2, 3, "at lunch", False]
        row = PresenceRow("@u:x", "unavailable", 1, 2, 3, "at lunch", False)
        self.assertEqual(PRESENCE.to_wire(row), wire)
        self.assertEqual(PRESENCE.from_wire(wire), row)
        self.assertRaises(RowError, PRESENCE.from_wire, ["@u:x", "online", 1, 2, 3, None])
        self.assertRaises(RowError, PRESENCE.from_wire, ["@u:x", "online", 1, 2, 3, None, 1])

    def test_events_come_last_of_their_counter(self) -> None:
        """A wake-up by an event must find the state changes of its commit applied."""
        names = [stream.name for stream in STREAMS]
        self.assertLess(names.index("current_state_deltas"), names.index("events"))
