"""What tests of rooms have in common: a master, some users, and a look into a room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from twisted.trial.unittest import TestCase

from synapse_lite.events.event import Event
from tests.harness.databases import create_postgres_database, drop_postgres_database
from tests.harness.homeserver import Answer, make_master, now

ALICE = "@alice:test"
BOB = "@bob:test"
CAROL = "@carol:test"


class RoomsCase(TestCase):
    """Three users on a master; `alice`, `bob` and `carol` are their access tokens.

    `overrides` are added to the configuration; with `postgres` the database is one of PostgreSQL.
    """

    overrides: ClassVar[Mapping[str, Any]] = {}
    postgres: ClassVar[bool] = False

    def setUp(self) -> None:
        overrides = self.overrides
        if self.postgres:
            address = create_postgres_database()
            self.addCleanup(drop_postgres_database, address)
            overrides = {**overrides, "database": {"name": "psycopg2", "args": {"dsn": address}}}
        self.master = make_master(overrides)
        self.addCleanup(lambda: now(self.master.db.stop()))
        self.alice = self.master.register("alice")
        self.bob = self.master.register("bob")
        self.carol = self.master.register("carol")

    def request(
        self, method: str, path: str, body: Any = None, token: str | None = None, **options: Any
    ) -> Answer:
        """A request by Alice, unless another token is given."""
        return self.master.request(method, path, body, token or self.alice, **options)

    def ok(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        """The JSON of an answer that must be 200."""
        return self.master.ok(method, path, body, token or self.alice)

    def assert_error(self, answer: Answer, status: int, errcode: str) -> None:
        """The answer must be this error."""
        self.assertEqual(
            (answer.status, answer.json.get("errcode")), (status, errcode), answer.body
        )

    def room(self, **options: Any) -> str:
        """A room that Alice has created; public unless told otherwise."""
        options.setdefault("preset", "public_chat")
        return self.master.create_room(self.alice, **options)

    def join(self, room_id: str, token: str) -> None:
        """Let somebody join."""
        self.ok("POST", f"join/{room_id}", {}, token)

    # What is in the room

    def event(self, event_id: str) -> Event:
        """A stored event."""
        event: Event = now(self.master.store.get_event(event_id))
        return event

    def events(self, room_id: str) -> list[Event]:
        """All events of a room in the order in which they were stored."""
        ids = now(
            self.master.db.read(
                "events_of_room",
                lambda txn: txn.query(
                    "SELECT event_id FROM events WHERE room_id = ? ORDER BY stream_ordering",
                    (room_id,),
                ),
            )
        )
        return [self.event(event_id) for (event_id,) in ids]

    def state_event(self, room_id: str, event_type: str, state_key: str = "") -> Event | None:
        """An event of the current state."""
        event: Event | None = now(
            self.master.store.get_current_state_event(room_id, event_type, state_key)
        )
        return event

    def state(self, room_id: str, event_type: str, state_key: str = "") -> Any:
        """The content of an event of the current state; None if there is none."""
        event = self.state_event(room_id, event_type, state_key)
        return None if event is None else event.content

    def membership(self, room_id: str, user_id: str) -> str | None:
        """What a user is in a room."""
        content = self.state(room_id, "m.room.member", user_id)
        return None if content is None else content["membership"]
