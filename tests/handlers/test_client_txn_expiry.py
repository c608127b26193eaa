"""Transaction ids of clients are kept for a day."""

from __future__ import annotations

from synapse_lite.api.constants import EventTypes
from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.handlers.client_txn_expiry import ClientTxnExpiry
from synapse_lite.storage.persist_events import ClientTxn
from tests.events.support import ALICE, Room
from tests.harness.databases import MemoryDatabase
from tests.storage.rooms import Servers


class ClientTxnExpiryTests(MemoryDatabase):
    async def test_a_day(self) -> None:
        servers = await Servers(self).start()
        room = Room(ROOM_VERSIONS["12"])
        await servers.persist_room(room)
        event = room.send(ALICE, EventTypes.MESSAGE, {})
        await servers.persist(event, txn=ClientTxn(ALICE, "DEV", room.room_id, "t"))
        expiry = servers.kernel.part(ClientTxnExpiry)
        await expiry.start()
        asked = ("get_event_id_for_txn", ALICE, "DEV", room.room_id, "t")
        self.reactor.pump([3600] * 23)
        self.assertEqual(await servers.ask(*asked), event.event_id)
        self.reactor.pump([3600] * 2)
        self.assertIsNone(await servers.ask(*asked))
        await expiry.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
