"""Whatever a client sends, it gets an answer that the specification allows.

SYNAPSE_LITE_TEST_BAD_INPUT is how many requests are tried at each endpoint, for longer runs by
hand; those are different ones each time.
"""

from __future__ import annotations

import collections
import logging
import os
import traceback
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from synapse_lite.http.endpoint import Endpoint, endpoints_of
from synapse_lite.rest.servlets import SERVLETS
from synapse_lite.storage import _attempt
from synapse_lite.storage.transaction import Transaction

from ..harness.databases import create_postgres_database, drop_postgres_database
from ..harness.homeserver import Master, make_master
from ..harness.http import start_request
from ..harness.openapi import check_answer
from ..harness.requests import DrawnRequest, strategy_for

COUNT_VARIABLE = "SYNAPSE_LITE_TEST_BAD_INPUT"
EXAMPLES = 24
LOOK_EVERY = 25
"""After so many requests everything is read once more, to see what they have left behind."""

MAX_SYNC_SECONDS = 181
_GATEWAY = 502
"""Of what only other servers could answer."""

_UNLIMITED = {"per_second": 1_000_000, "burst_count": 1_000_000}
_OVERRIDES = {
    "rc_message": _UNLIMITED,
    "rc_registration": _UNLIMITED,
    "rc_registration_token_validity": _UNLIMITED,
    "rc_login": {
        "address": _UNLIMITED,
        "account": _UNLIMITED,
        "failed_attempts": _UNLIMITED,
        "token": _UNLIMITED,
    },
    "rc_joins": {"local": _UNLIMITED, "remote": _UNLIMITED},
    "rc_joins_per_room": _UNLIMITED,
    "rc_invites": {"per_room": _UNLIMITED, "per_user": _UNLIMITED, "per_issuer": _UNLIMITED},
    "rc_room_creation": _UNLIMITED,
    "rc_3pid_validation": _UNLIMITED,
    "rc_openid": _UNLIMITED,
    "rc_refresh": _UNLIMITED,
    "rc_presence": {"per_user": _UNLIMITED},
    "rc_reports": _UNLIMITED,
    "rc_user_directory": _UNLIMITED,
    "turn_uris": ["turn:turn.example.com"],
    "turn_shared_secret": "secret",
    "login_via_existing_session": {"enabled": True},
}


def _operations() -> Iterator[tuple[Endpoint, str]]:
    """Every endpoint of the master with each of its methods."""
    for servlet in SERVLETS:
        for endpoint in endpoints_of(servlet):
            for method in endpoint.methods:
                yield endpoint, method


_MAX_BIGINT = 2**63


def _check_storable(value: Any) -> None:
    """Raise ValueError for what PostgreSQL does not take, on every database."""
    if isinstance(value, (list, tuple)):
        for item in value:
            _check_storable(item)
    elif isinstance(value, str):
        if "\0" in value:
            raise ValueError(f"A null character goes to the database in {value[:200]!r}")
        value.encode("utf-8")
    elif isinstance(value, int) and not -_MAX_BIGINT <= value < _MAX_BIGINT:
        raise ValueError(f"{value} goes to the database")


class _StrictTransaction(Transaction):
    """Looks at what goes to the database."""

    def execute(self, sql: str, args: Sequence[Any] = ()) -> None:
        """As above."""
        _check_storable(args)
        super().execute(sql, args)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """As above."""
        listed = list(rows)
        _check_storable(listed)
        super().executemany(sql, listed)

    def execute_values(
        self, sql: str, rows: Iterable[Sequence[Any]], *, fetch: bool = False
    ) -> list[Any]:
        """As above."""
        listed = list(rows)
        _check_storable(listed)
        return super().execute_values(sql, listed, fetch=fetch)


class _Errors(logging.Handler):
    """Keeps the last unexpected error, to show where it comes from."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info is not None:
            self.last = "".join(traceback.format_exception(*record.exc_info))


class World:
    """A server with some users and rooms, and the requests that it did not stand."""

    def __init__(self, overrides: dict[str, Any]) -> None:
        self._overrides = {**_OVERRIDES, **overrides}
        self.failures: dict[str, str] = {}
        self.statuses: collections.Counter[int] = collections.Counter()
        self.errors = _Errors()
        self.build()

    def build(self) -> None:
        """A new server."""
        self.master: Master = make_master(self._overrides)
        self.populate()

    def populate(self) -> None:
        """Users, rooms and whatever else there are ids of."""
        ok, master = self.master.ok, self.master
        self.serial = getattr(self, "serial", 0) + 1
        names = {name: f"{name}{self.serial}" for name in ("alice", "bob", "carol")}
        tokens = {name: master.register(localpart) for name, localpart in names.items()}
        alice, bob = tokens["alice"], tokens["bob"]
        self.tokens = {"alice": alice, "bob": bob, "nobody": None, "junk": "syt_junk"}
        known = {name: f"@{localpart}:test" for name, localpart in names.items()}
        known["room"] = master.create_room(alice, invite=[known["bob"]], name="R")
        alias = f"public{self.serial}"
        known["public_room"] = master.create_room(
            alice, preset="public_chat", visibility="public", room_alias_name=alias
        )
        known["old_room"] = master.create_room(alice, room_version="1", preset="public_chat")
        known["other_room"] = master.create_room(bob, invite=[known["carol"]])
        ok("POST", f"join/{known['room']}", {}, bob)
        known["message"] = master.send(alice, known["room"], "hello")
        known["other_event"] = master.send(bob, known["other_room"], "hidden")
        state = ok("GET", f"rooms/{known['room']}/state", None, alice)
        known["state_event"] = next(e for e in state if e["type"] == "m.room.name")["event_id"]
        known["alias"] = f"#{alias}:test"
        known["device"] = ok("GET", "account/whoami", None, alice)["device_id"]
        user = f"user/{known['alice']}"
        known["filter"] = ok("POST", f"{user}/filter", {"room": {}}, alice)["filter_id"]
        known["since"] = ok("GET", "sync", None, alice)["next_batch"]
        page = ok("GET", f"rooms/{known['room']}/messages?dir=b&limit=1", None, alice)
        known["page"] = page["end"]
        rule = {"actions": ["notify"], "pattern": "x"}
        ok("PUT", "pushrules/global/content/my.rule", rule, alice)
        known["rule"] = "my.rule"
        ok("PUT", f"{user}/account_data/org.example.type", {"x": 1}, alice)
        known["type"] = "org.example.type"
        ok("PUT", f"{user}/rooms/{known['room']}/tags/u.tag", {"order": 0.1}, alice)
        known["tag"] = "u.tag"
        session = master.request(
            "POST", "register", {"username": f"d{self.serial}", "password": "p" * 10}
        )
        known["session"] = session.json["session"]
        known["stranger"] = "@x:other.example"
        known["list_page"] = "WzEsMSwiIXg6dGVzdCJd"
        known["token"] = bob
        self.known = known

    def try_request(self, drawn: DrawnRequest) -> None:
        """Send a request and judge the answer."""
        target = drawn.target(self.known)
        body = drawn.encoded_body(self.known)
        self.master.reactor.advance(0.01)
        self.errors.last = ""
        try:
            self._send(drawn, target, body)
        except Exception as error:
            where = self.errors.last or traceback.format_exc()
            kind = "\n".join(where.splitlines()[-6:]) if self.errors.last else str(error)[-300:]
            told = f"{drawn.method} {target[:1000]} by {drawn.caller} {dict(drawn.headers)}\n"
            told += f"{body if body is None else body[:2000]!r}\n{where}\n{error}"
            self.failures.setdefault(f"{drawn.method} {drawn.template} {kind}", told)

    def _send(self, drawn: DrawnRequest, target: str, body: bytes | None) -> None:
        connection = start_request(
            self.master.site,
            drawn.method,
            target,
            body,
            None if "Authorization" in drawn.headers else self.tokens[drawn.caller],
            drawn.headers,
        )
        connection.pump(rounds=10)
        if drawn.template.endswith(("/sync", "/events")):
            connection.pump(rounds=2, seconds=MAX_SYNC_SECONDS)
        answer = connection.answer()
        connection.disconnect()
        if answer is None:
            raise AssertionError("It was not answered")
        self.statuses[answer.status] += 1
        if answer.status >= 500 and answer.status != _GATEWAY:
            raise AssertionError(f"It was answered {answer.status} {answer.body!r}")
        if answer.status == 200 and drawn.template.endswith("/fallback/web"):
            return  # a page for people
        if answer.headers.get("content-type") != "application/json":
            raise AssertionError(f"It was answered {answer.status}, not in JSON: {answer.headers}")
        check_answer(drawn.method, target, answer.status, answer.json)
        is_known = drawn.caller in ("alice", "bob") and "Authorization" not in drawn.headers
        if is_known and answer.status == 401 and (answer.json.get("errcode") == "M_UNKNOWN_TOKEN"):
            self.populate()  # the user has logged out, or is no more

    def look(self) -> None:
        """Read everything; what other requests wrote must not show up in a wrong form."""
        paths = ["sync", "sync?full_state=true&since=" + self.known["since"], "pushrules/"]
        paths += ["publicRooms", "devices", "joined_rooms", f"profile/{self.known['alice']}"]
        for room in ("room", "public_room", "old_room"):
            room_path = f"rooms/{self.known[room]}"
            paths += [f"{room_path}/{what}" for what in ("state", "members", "joined_members")]
            paths += [f"{room_path}/messages?dir=b&limit=50", f"{room_path}/aliases"]
            paths += [f"{room_path}/context/{self.known['message']}"]
            paths += [f"user/{self.known['alice']}/{room_path}/tags"]
        for path in paths:
            template = f"/_matrix/client/v3/{path}"
            for caller in ("alice", "bob"):
                self.try_request(DrawnRequest("GET", template, {}, (), None, {}, caller))


class EveryEndpoint:
    """Judges the answers to bad requests; subclasses say on which database."""

    patch: Any
    addCleanup: Any

    examples = EXAMPLES
    world: World

    def _overrides(self) -> dict[str, Any]:
        raise NotImplementedError

    def setUp(self) -> None:
        self.examples = int(os.environ.get(COUNT_VARIABLE, self.examples))
        self.patch(_attempt, "Transaction", _StrictTransaction)
        self.world = World(self._overrides())
        logger = logging.getLogger("synapse_lite")
        logger.addHandler(self.world.errors)
        self.addCleanup(logger.removeHandler, self.world.errors)
        self.addCleanup(self.world.master.db.stop)

    def _settings(self, count: int) -> Any:
        return settings(
            max_examples=count,
            derandomize=COUNT_VARIABLE not in os.environ,
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )

    def _try_all(self, strategy: st.SearchStrategy[DrawnRequest], count: int) -> None:
        tried = 0

        @self._settings(count)
        @given(strategy)
        def try_it(drawn: DrawnRequest) -> None:
            nonlocal tried
            tried += 1
            self.world.try_request(drawn)
            if tried % LOOK_EVERY == 0:
                self.world.look()

        try_it()
        self.world.look()

    def _check(self) -> None:
        failures = list(self.world.failures.values())
        if failures:
            shown = "\n\n".join(failures)
            raise AssertionError(f"{len(failures)} kinds of failure:\n{shown}")

    def test_each_endpoint(self) -> None:
        """Each endpoint for itself, so that none is left out."""
        for endpoint, method in _operations():
            self.world.populate()
            self._try_all(strategy_for(endpoint, method), self.examples)
        self._check()

    def test_mixed_requests(self) -> None:
        """Requests to all endpoints one after the other."""
        strategies = [strategy_for(endpoint, method) for endpoint, method in _operations()]
        self._try_all(st.one_of(strategies), 10 * self.examples)
        self._check()


class BadInputTestCase(EveryEndpoint, TestCase):
    """On SQLite."""

    def _overrides(self) -> dict[str, Any]:
        return {}


class PostgresBadInputTestCase(EveryEndpoint, TestCase):
    """On PostgreSQL, which refuses what SQLite takes; most of that is found above already."""

    examples = 8

    def _overrides(self) -> dict[str, Any]:
        address = create_postgres_database()
        self.addCleanup(drop_postgres_database, address)
        return {"database": {"name": "psycopg2", "args": {"dsn": address}}}
