"""What operations may cost, counted: the budgets of the project, with warm caches.

Raise one only with the reason in the commit. What a commit of many events costs, and events from
other servers, stands in `tests.handlers.test_persistence`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from synapse_lite.app.kinds.client_reader import CLIENT_READER
from synapse_lite.app.kinds.event_creator import EVENT_CREATOR
from synapse_lite.app.kinds.synchrotron import SYNCHROTRON
from synapse_lite.replication.send_event import EventSink
from tests.handlers.test_event_creation import WireSink
from tests.harness.costs import Costs, costs_of
from tests.harness.homeserver import Server, make_worker
from tests.rest.client.rooms import RoomsCase

NOTHING = (0, 0)
COMMIT_STATEMENTS = 10

INITIAL_TRANSACTIONS = 6
ROOMS_PER_TRANSACTION = 100
COLD_TRANSACTIONS = 5
"""What a process that has only just begun reads more: the token, the account, and its like; and the
rooms of those who are online."""


class BudgetCase(RoomsCase):
    """A master and workers with Alice and Bob in a room, all of them warm."""

    def setUp(self) -> None:
        super().setUp()
        self.reader = make_worker(CLIENT_READER, self.master)
        self.creator = make_worker(EVENT_CREATOR, self.master)
        self.creator.hs.provide(EventSink, WireSink(self.master.hs.part(EventSink)))
        self.syncer = make_worker(SYNCHROTRON, self.master)
        self.room_id = self.room_of_two()
        self.since: dict[str, str] = {}
        for token in (self.alice, self.bob):
            for server in (self.master, self.syncer):
                self.since[token] = self.sync(server, token)["next_batch"]
        for server in (self.master, self.creator):
            self.send(server, "warm")

    def room_of_two(self) -> str:
        """A public room."""
        room_id: str = self.master.create_room(self.alice, preset="public_chat")
        self.ok("POST", f"join/{room_id}", {}, self.bob)
        return room_id

    def sync(self, server: Server, token: str, since: str | None = None) -> Any:
        """One /sync that does not wait."""
        answer = server.request("GET", f"sync?since={since}" if since else "sync", None, token)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def send(self, server: Server, text: str, room_id: str | None = None) -> None:
        """A message of Alice."""
        txn_id = quote(f"{text}-{server.process.name}")
        path = f"rooms/{room_id or self.room_id}/send/m.room.message/{txn_id}"
        body = {"msgtype": "m.text", "body": text}
        answer = server.request("PUT", path, body, self.alice, judged=False)
        self.assertEqual(answer.status, 200, answer.body)


class RequestBudgets(BudgetCase):
    """What comes before every operation."""

    def test_who_asks_is_known(self) -> None:
        """Tokens and accounts are in caches, in every process."""
        for server in (self.master, self.reader):
            server.request("GET", "account/whoami", None, self.alice)
            with costs_of(self.master, self.reader) as costs:
                answer = server.request("GET", "account/whoami", None, self.alice, judged=False)
            self.assertEqual(answer.status, 200)
            self.assertEqual(costs, Costs(encodings=1))


class SendBudgets(BudgetCase):
    """Messages."""

    def check_commit(self, costs: Costs) -> None:
        """One transaction of few statements, and no other thread."""
        self.assertEqual(costs.transactions, 1)
        self.assertLessEqual(costs.statements, COMMIT_STATEMENTS)
        self.assertEqual(costs.thread_hops, 1)

    def test_through_the_master(self) -> None:
        """One commit."""
        with costs_of(self.master) as costs:
            self.send(self.master, "hello")
        self.check_commit(costs)

    def test_through_a_worker(self) -> None:
        """Nothing in the worker, one commit in the master."""
        with costs_of(self.creator) as in_worker, costs_of(self.master) as in_master:
            self.send(self.creator, "hello")
        self.assertEqual(in_worker.database, NOTHING)
        self.check_commit(in_master)

    def test_encoded_a_fixed_number_of_times(self) -> None:
        """To hash, to sign, to store, to tell of; the client's body and its answer."""
        with costs_of(self.master) as costs:
            self.send(self.master, "hello")
        self.assertLessEqual(costs.encodings, 8)
        self.assertLessEqual(costs.decodings, 2)

    def test_members_cost_nothing(self) -> None:
        """A room of fifty is as cheap as a room of two."""
        with costs_of(self.master) as of_two:
            self.send(self.master, "hello")
        for number in range(48):
            self.ok("POST", f"join/{self.room_id}", {}, self.master.register(f"member{number}"))
        self.send(self.master, "again warm")
        with costs_of(self.master) as of_fifty:
            self.send(self.master, "hello again")
        self.assertEqual(of_fifty, of_two)


class SyncBudgets(BudgetCase):
    """/sync."""

    def servers(self) -> tuple[Server, ...]:
        """Those that answer it."""
        return (self.master, self.syncer)

    def test_without_news(self) -> None:
        """Nothing but the encoding of the answer."""
        for server in self.servers():
            since = self.sync(server, self.bob, self.since[self.bob])["next_batch"]
            with costs_of(self.master, self.syncer) as costs:
                answer = server.request("GET", f"sync?since={since}", None, self.bob, judged=False)
            self.assertEqual(answer.status, 200)
            self.assertEqual(costs, Costs(encodings=1))

    def test_news_that_this_process_has_shown(self) -> None:
        """The room's part is joined as ready bytes: only the answer around it is encoded."""
        for server in self.servers():
            since = {t: self.sync(server, t)["next_batch"] for t in (self.alice, self.bob)}
            self.send(self.master, f"news for {server.process.name}")
            self.sync(server, self.alice, since[self.alice])
            with costs_of(self.master, self.syncer) as costs:
                answer = self.sync(server, self.bob, since[self.bob])
            self.assertIn(self.room_id, answer["rooms"]["join"])
            self.assertEqual(costs.database, NOTHING)

    def test_news_of_the_master(self) -> None:
        """It has the event that it has just written."""
        since = self.sync(self.master, self.bob)["next_batch"]
        self.send(self.master, "news")
        with costs_of(self.master) as costs:
            self.sync(self.master, self.bob, since)
        self.assertEqual(costs.database, NOTHING)

    def test_news_of_a_worker_are_read_once(self) -> None:
        """One event or twenty, in one transaction for all who are told."""
        since = self.sync(self.syncer, self.bob)["next_batch"]
        for number in range(5):
            self.send(self.master, f"news {number}")
        with costs_of(self.syncer) as costs:
            self.sync(self.syncer, self.bob, since)
        self.assertLessEqual(costs.transactions, 1)

    def test_initial(self) -> None:
        """Statements do not come by the room."""
        count = 110
        for _ in range(count):
            self.send(self.master, "hello", self.master.create_room(self.alice))
        allowed = INITIAL_TRANSACTIONS + count // ROOMS_PER_TRANSACTION
        cold = make_worker(SYNCHROTRON, self.master)
        for server, more in ((self.master, 0), (self.syncer, 0), (cold, COLD_TRANSACTIONS)):
            with costs_of(server) as costs:
                answer = self.sync(server, self.alice)
            self.assertGreater(len(answer["rooms"]["join"]), count)
            self.assertLessEqual(costs.transactions, allowed + more, server.process.name)


class OtherBudgets(BudgetCase):
    """Receipts, typing, presence, joining."""

    def test_receipt(self) -> None:
        """One transaction of two statements."""
        event_ids = [self.master.send(self.alice, self.room_id, f"read {n}") for n in range(2)]
        for event_id in event_ids:
            with costs_of(self.master) as costs:
                path = f"rooms/{self.room_id}/receipt/m.read/{event_id}"
                self.ok("POST", path, {}, self.bob)
        self.assertEqual(costs.transactions, 1)
        self.assertLessEqual(costs.statements, 2)

    def test_typing(self) -> None:
        """In memory."""
        path = f"rooms/{self.room_id}/typing/@bob:test"
        with costs_of(self.master) as costs:
            self.ok("PUT", path, {"typing": True, "timeout": 30_000}, self.bob)
            self.ok("PUT", path, {"typing": False}, self.bob)
        self.assertEqual(costs.database, NOTHING)

    def test_presence(self) -> None:
        """In memory, and written behind."""
        self.ok("PUT", "presence/@bob:test/status", {"presence": "online"}, self.bob)
        self.master.reactor.advance(60)
        with costs_of(self.master) as costs:
            body = {"presence": "online", "status_msg": "busy"}
            self.ok("PUT", "presence/@bob:test/status", body, self.bob)
        self.assertEqual(costs.database, NOTHING)

    def test_join(self) -> None:
        """One transaction, as for any event."""
        room_id = self.master.create_room(self.alice, preset="public_chat")
        self.ok("POST", f"join/{room_id}", {}, self.carol)
        with costs_of(self.master) as costs:
            self.ok("POST", f"join/{room_id}", {}, self.bob)
        self.assertEqual(costs.transactions, 1)
