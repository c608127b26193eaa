"""A master's store with its persist queue, a worker's store beside it, and rooms to fill them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from synapse_lite.config import config_from_dict
from synapse_lite.events.context import EventContext
from synapse_lite.events.event import Event
from synapse_lite.handlers.persistence import EventPersister, EventToPersist
from synapse_lite.handlers.room_preparation import RoomPreparation
from synapse_lite.replication.send_event import PersistedEvent
from synapse_lite.server import Homeserver
from synapse_lite.state.service import StateService
from synapse_lite.storage._base import MasterStore
from synapse_lite.storage.database import DatabasePool
from synapse_lite.storage.memberships import MembershipsStore
from synapse_lite.storage.persist_events import ClientTxn, PersistEventsStore
from synapse_lite.storage.presence import PresenceStore
from synapse_lite.storage.relations import RelationsWorkerStore
from synapse_lite.storage.slaved import SlavedEventsStore
from synapse_lite.storage.timeline import TimelineWorkerStore
from synapse_lite.streams import EVENTS, Stream
from tests.events.support import Room
from tests.harness.databases import DatabaseCase
from tests.storage.stores import prepare_tables

SERVER = "one"
"""The server of Alice and Bob; Carol and Dave are on another."""


class EventsStore(
    PersistEventsStore,
    RelationsWorkerStore,
    TimelineWorkerStore,
    MembershipsStore,
    PresenceStore,
    MasterStore,
):
    """As much of the master's store as events need."""


class Kernel:
    """As much of a homeserver as stores and the persist queue ask for."""

    def __init__(self, case: DatabaseCase, db: DatabasePool) -> None:
        self.name = SERVER
        self.clock = case.clock
        self.reactor = case.reactor
        self.config = config_from_dict(
            {
                "server_name": SERVER,
                "database": {"name": "sqlite3", "args": {"database": ":memory:"}},
                "rc_message": {"per_second": 0.01, "burst_count": 3},
            }
        )
        self.db = db
        self.parts: dict[type, Any] = {}

    def part(self, cls: type) -> Any:
        if cls not in self.parts:
            self.parts[cls] = cls(self)
        return self.parts[cls]

    def provide_store(self, store: Any) -> None:
        for cls in type(store).__mro__:
            self.parts[cls] = store

    def is_mine(self, matrix_id: str) -> bool:
        return matrix_id.endswith(f":{SERVER}")


class Servers:
    """A master and a worker on one database; the worker is told every row through its wire form."""

    store: EventsStore
    worker: SlavedEventsStore
    persister: EventPersister

    def __init__(self, case: DatabaseCase) -> None:
        self.case = case
        self.db = case.db
        self.rows: list[tuple[Stream, int, Any]] = []

    async def start(self, *, prepare: bool = True) -> Servers:
        """Set everything up; on a database that has been used before without `prepare`."""
        if prepare:
            await prepare_tables(self.db)
        self.kernel = kernel = Kernel(self.case, self.db)
        self.store = EventsStore(cast(Homeserver, kernel), self.db)
        kernel.provide_store(self.store)
        await self.store.load_positions()
        self.persister = kernel.part(EventPersister)
        self.preparation = kernel.part(RoomPreparation)
        self.states = kernel.part(StateService)
        self.worker_db = self.db.sharing()
        worker_kernel = cast(Homeserver, Kernel(self.case, self.worker_db))
        self.worker = SlavedEventsStore(worker_kernel, self.worker_db)
        for stream in self.worker.followed:
            self.worker.start_at(stream, self.store.current_token(stream))
        self.store.follow(self._rows)
        return self

    def _rows(self, stream: Stream, token: int, rows: Sequence[Any]) -> None:
        self.rows += [(stream, token, row) for row in rows]
        if stream in self.worker.followed:
            wire = [stream.from_wire(stream.to_wire(row)) for row in rows]
            self.worker.process_rows(stream, token, wire)

    async def persist(
        self,
        *events: Event,
        txn: ClientTxn | None = None,
        context: EventContext | None = None,
        is_local: bool | None = None,
        backfilled: bool = False,
    ) -> list[PersistedEvent]:
        """Persist events, each in its turn; those of our users count as local."""
        answers = []
        for event in events:
            local = event.sender.endswith(f":{SERVER}") if is_local is None else is_local
            item = EventToPersist(
                event, EventContext() if context is None else context, is_local=local, txn=txn
            )
            answers += await self.persister.persist_many([item], backfilled=backfilled)
        return answers

    async def persist_room(self, room: Room) -> None:
        """Persist all that was sent to a room so far."""
        await self.persist(*room.events.values())

    @property
    def now(self) -> int:
        """The position of events."""
        return self.store.current_token(EVENTS)

    async def ask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Ask master and worker the same; the answer, which must be the same."""
        answer = await getattr(self.store, method)(*args, **kwargs)
        other = await getattr(self.worker, method)(*args, **kwargs)
        self.case.assertEqual(other, answer)  # type: ignore[attr-defined]  # a case is a TestCase
        return answer
