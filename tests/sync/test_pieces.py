"""What clients share of /sync, and how long it is kept."""

from __future__ import annotations

from synapse_lite.handlers.event_format import EventFormatter
from synapse_lite.sync.event_form import WHOLE
from synapse_lite.sync.pieces import Piece, Pieces, Timeline
from tests.harness.homeserver import now
from tests.rest.client.rooms import RoomsCase


class PiecesTests(RoomsCase):
    """Pieces of one room."""

    def setUp(self) -> None:
        super().setUp()
        self.room_id = self.room()
        self.pieces = Pieces(self.master.hs, self.master.hs.part(EventFormatter))

    def timeline(self, text: str) -> Timeline:
        """One message."""
        event = self.event(self.master.send(self.alice, self.room_id, text))
        return Timeline(room_id=self.room_id, events=(event,), limited=False, prev_batch="s1")

    def get(self, timeline: Timeline) -> Piece:
        """The piece of it."""
        piece: Piece = now(self.pieces.get(timeline, WHOLE))
        return piece

    def test_is_shared(self) -> None:
        """Made once, and anew once it is old."""
        shown = self.timeline("hello")
        first = self.get(shown)
        self.assertIs(self.get(shown), first)
        self.master.reactor.advance(10)
        self.assertIsNot(self.get(shown), first)

    def test_is_kept_no_longer_than_it_is_used(self) -> None:
        """However many come, only those of the last seconds are there; who comes again stays."""
        again = self.timeline("again")
        for number in range(5):
            self.get(self.timeline(f"message {number}"))
            kept = self.get(again)
            self.master.reactor.advance(6)
        self.assertEqual(len(self.pieces._kept), 3)
        self.assertLessEqual(len(self.pieces._made), 4)
        self.get(self.timeline("last"))
        self.assertIs(self.get(again), kept)
