"""Each area's store over the base that follows the master."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from synapse_lite.storage.slaved import SLAVED_STORES
from synapse_lite.streams import STREAMS
from tests.harness.homeserver import make_master


class SlavedStoresTestCase(TestCase):
    """The stores by the names under which workers know them."""

    def test_each_builds_and_cannot_write(self) -> None:
        master = make_master()
        for cls in SLAVED_STORES:
            store = cls(master.hs, master.db.sharing())
            self.assertFalse(hasattr(store, "writing"), cls.__name__)

    def test_every_stream_has_a_follower(self) -> None:
        master = make_master()
        followed = {
            stream.name
            for cls in SLAVED_STORES
            for stream in cls(master.hs, master.db.sharing()).followed
        }
        self.assertEqual({stream.name for stream in STREAMS} - followed, set())
