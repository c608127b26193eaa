"""A master, and workers beside it, in one reactor: fake clock, database in memory, no sockets."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar
from unittest import TestCase

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock as FakeReactor

from synapse_lite.app._errors import translate_store_error
from synapse_lite.app._process import Process
from synapse_lite.app.table import MASTER
from synapse_lite.config import Config, config_from_dict
from synapse_lite.config.listeners import Listener, ListenerResource
from synapse_lite.crypto.signing import generate_signing_key
from synapse_lite.http.site import Site, build_site
from synapse_lite.rest.servlets import SERVLETS
from synapse_lite.server import Homeserver
from synapse_lite.storage._base import BaseStore, FollowerStore, MasterStore
from synapse_lite.storage.background_updates import BackgroundUpdater
from synapse_lite.storage.database import DatabasePool
from synapse_lite.storage.engines import create_engine
from synapse_lite.storage.schema.prepare import prepare_database
from synapse_lite.streams import EPOCH_SHIFT, Live, Stream
from synapse_lite.util.background import start
from synapse_lite.util.clock import Clock
from synapse_lite.util.threads import InlineThreads, Threads

from .http import Answer, Connection, make_request, start_request
from .openapi import check_answer

T = TypeVar("T")

_ALL_ROWS = 1_000_000

START_SECONDS = 1_700_000_000
"""What the fake clock shows at first."""

SIGNING_KEY = generate_signing_key("test")

LISTENER = Listener(
    port=8008,
    resources=(
        ListenerResource(
            names=("client", "federation", "media", "keys", "health", "metrics", "replication")
        ),
    ),
)

# Tests ask for more than a person would; those of limits set them.
UNLIMITED = {"per_second": 1000, "burst_count": 1000}
DEFAULTS: dict[str, Any] = {
    "server_name": "test",
    "database": {"name": "sqlite3", "args": {"database": ":memory:"}},
    "bcrypt_rounds": 4,
    "enable_registration": True,
    "enable_registration_without_verification": True,
    "registration_shared_secret": "shared",
    "rc_message": UNLIMITED,
    "rc_registration": UNLIMITED,
    "rc_login": {
        "address": UNLIMITED,
        "account": UNLIMITED,
        "failed_attempts": UNLIMITED,
        "token": UNLIMITED,
    },
    "rc_joins": {"local": UNLIMITED, "remote": UNLIMITED},
    "rc_joins_per_room": UNLIMITED,
    "rc_invites": {"per_room": UNLIMITED, "per_user": UNLIMITED, "per_issuer": UNLIMITED},
    "rc_room_creation": UNLIMITED,
    "rc_3pid_validation": UNLIMITED,
    "rc_openid": UNLIMITED,
    "rc_refresh": UNLIMITED,
    "rc_presence": {"per_user": UNLIMITED},
}


def make_config(overrides: Mapping[str, Any] | None = None) -> Config:
    """A configuration for tests."""
    return config_from_dict({**DEFAULTS, **(overrides or {})})


def now(awaitable: Coroutine[Deferred[Any], Any, T] | Deferred[T]) -> T:
    """The result of something that does not wait for time to pass. Fails if it does."""
    results: list[Any] = []
    deferred = awaitable if isinstance(awaitable, Deferred) else start(awaitable)
    deferred.addBoth(results.append)
    if not results:
        raise AssertionError("This waits for something")
    result = results[0]
    if hasattr(result, "raiseException"):
        result.raiseException()
    value: T = result
    return value


class Server:
    """One process: its homeserver, store and site."""

    def __init__(
        self, process: Process, config: Config, reactor: FakeReactor, db: DatabasePool
    ) -> None:
        self.process = process
        self.reactor = reactor
        self.db = db
        self.hs = Homeserver(
            config,
            Clock(reactor),
            reactor,  # type: ignore[arg-type]  # the fake reactor has what is used of it
            signing_key=SIGNING_KEY,
            process_name=process.name,
            instance_name=process.name,
            bindings=process.bindings,
        )
        self.store: Any = process.store(self.hs, db)
        self.hs.provide_store(self.store)
        self.hs.provide(DatabasePool, db)
        self.hs.provide(BackgroundUpdater, BackgroundUpdater(db, self.hs.clock))
        self.hs.provide(Threads, InlineThreads(self.hs))
        self._site: Site | None = None

    @property
    def site(self) -> Site:
        """The site with every servlet that this kind of process mounts."""
        if self._site is None:
            kinds = None if self.process.is_master else self.process.kinds
            self._site = build_site(
                self.hs, LISTENER, SERVLETS, kinds=kinds, translate_error=translate_store_error
            )
        return self._site

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        access_token: str | None = None,
        *,
        judged: bool = True,
        **kwargs: Any,
    ) -> Answer:
        """One request and its answer, judged by the specification unless told otherwise."""
        if not path.startswith("/"):
            path = f"/_matrix/client/v3/{path}"
        answer = make_request(self.site, method, path, body, access_token, **kwargs)
        if judged and answer.headers.get("content-type", "").startswith("application/json"):
            check_answer(method, path, answer.status, answer.json)
        return answer

    def start_request(
        self, method: str, path: str, body: Any = None, access_token: str | None = None
    ) -> Connection:
        """Send a request that may wait; see `Connection`."""
        if not path.startswith("/"):
            path = f"/_matrix/client/v3/{path}"
        return start_request(self.site, method, path, body, access_token)


class Master(Server):
    """A master on an empty database, and what tests do on it all the time."""

    store: Any

    def register(self, localpart: str, password: str = "secret password") -> str:
        """Register a user. Returns an access token."""
        answer = self.request(
            "POST",
            "register",
            {"username": localpart, "password": password, "auth": {"type": "m.login.dummy"}},
        )
        assert answer.status == 200, answer.body
        token: str = answer.json["access_token"]
        return token

    def ok(self, method: str, path: str, body: Any = None, access_token: str | None = None) -> Any:
        """The JSON of an answer that must be 200."""
        answer = self.request(method, path, body, access_token)
        assert answer.status == 200, (answer.status, answer.body)
        return answer.json

    def create_room(self, access_token: str, **options: Any) -> str:
        """Create a room. Returns its id."""
        room_id: str = self.ok("POST", "createRoom", options, access_token)["room_id"]
        return room_id

    def send(self, access_token: str, room_id: str, text: str, txn_id: str | None = None) -> str:
        """Send a text message. Returns the event id."""
        self._sent = getattr(self, "_sent", 0) + 1
        event_id: str = self.ok(
            "PUT",
            f"rooms/{room_id}/send/m.room.message/{txn_id or self._sent}",
            {"msgtype": "m.text", "body": text},
            access_token,
        )["event_id"]
        return event_id


def make_master(overrides: Mapping[str, Any] | None = None) -> Master:
    """A master on an empty database in memory."""
    reactor = FakeReactor()
    reactor.advance(START_SECONDS)
    config = make_config(overrides)
    db = DatabasePool(
        create_engine(config.database),
        reactor,  # type: ignore[arg-type]  # in immediate mode nothing of it is used but time
        Clock(reactor),
        immediate=True,
    )
    now(prepare_database(db))
    master = Master(MASTER, config, reactor, db)
    assert isinstance(master.store, MasterStore)
    now(master.store.load_positions())
    MASTER.prepare(master.hs)
    return master


class Follower(Server):
    """A worker that is told every row at once, without a connection in between."""

    def __init__(self, process: Process, master: Master) -> None:
        super().__init__(process, master.hs.config, master.reactor, master.db.sharing())
        assert isinstance(self.store, FollowerStore)
        self._followed = set(self.store.followed)
        for stream in self.store.followed:
            self._begin(stream, master)
        master.store.follow(self._rows)
        process.prepare(self.hs)

    def _begin(self, stream: Stream, master: Master) -> None:
        """From now on; of what is in the memory of the master, everything."""
        token = master.store.current_token(stream)
        if not isinstance(stream.rows, Live):
            self.store.start_at(stream, token)
            return
        begin = token >> EPOCH_SHIFT << EPOCH_SHIFT
        self.store.start_at(stream, begin)
        for at, row in now(master.store.rows_between(stream, begin, token, _ALL_ROWS)):
            self._rows(stream, at, [row])
        self._rows(stream, token, ())

    def _rows(self, stream: Stream, token: int, rows: Any) -> None:
        if stream in self._followed:
            # Through the wire form, as over a connection.
            wire = [stream.from_wire(stream.to_wire(row)) for row in rows]
            self.store.process_rows(stream, token, wire)


def make_worker(process: Process, master: Master) -> Follower:
    """A worker of a kind beside a master."""
    return Follower(process, master)


class SameAnswerCase(TestCase):
    """Asks master and worker stores the same question."""

    master: Master
    worker: Follower

    def check(self, method: str, *args: Any) -> Any:
        """Both must give the same answer, which is returned."""
        expected = now(getattr(self.master.store, method)(*args))
        self.assertEqual(now(getattr(self.worker.store, method)(*args)), expected)
        return expected


__all__ = ["BaseStore", "Follower", "Master", "SameAnswerCase", "make_config", "make_master"]
