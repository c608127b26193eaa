"""A client that syncs, at the master or at a synchrotron."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.app.table import SYNCHROTRON
from synapse_lite.util.json import encode_json
from tests.harness.homeserver import Master, Server, make_master, make_worker
from tests.harness.http import Connection
from tests.harness.openapi import check_answer

PATH = "/_matrix/client/v3/sync"

QUIET = {"next_batch", "device_one_time_keys_count", "device_unused_fallback_key_types"}
"""The keys of an answer without news."""


class Client:
    """A user's client. It sends to the master and syncs at `door`; `since` follows its answers."""

    def __init__(self, master: Master, door: Server, name: str) -> None:
        self.master = master
        self.door = door
        self.name = name
        self.user_id = f"@{name}:test"
        self.token = master.register(name)
        self.since: str | None = None

    def path(self, **options: Any) -> str:
        """The path of a sync."""
        if self.since is not None:
            options.setdefault("since", self.since)
        # Who is online is news to others: only where it is asked for.
        options.setdefault("set_presence", "offline")
        if isinstance(options.get("filter"), dict):
            options["filter"] = encode_json(options["filter"]).decode()
        return PATH + "?" + "&".join(f"{name}={_quoted(value)}" for name, value in options.items())

    def sync(self, **options: Any) -> Any:
        """Sync and go on from there."""
        answer = self.door.request("GET", self.path(**options), access_token=self.token)
        assert answer.status == 200, (answer.status, answer.body)
        self.since = answer.json["next_batch"]
        return answer.json

    def start_sync(self, timeout_ms: int = 30_000, **options: Any) -> Connection:
        """Begin to wait."""
        path = self.path(timeout=timeout_ms, **options)
        connection = self.door.start_request("GET", path, access_token=self.token)
        connection.pump(rounds=5)
        return connection

    def finish_sync(self, connection: Connection) -> Any:
        """The answer to a sync that was begun, which must have come without time passing."""
        connection.pump(rounds=20)
        answer = connection.answer()
        if answer is None:
            raise AssertionError("The sync still waits")
        check_answer("GET", PATH, answer.status, answer.json)
        self.since = answer.json["next_batch"]
        return answer.json

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the master that must succeed."""
        return self.master.ok(method, path, body, self.token)

    def create_room(self, **options: Any) -> str:
        """Create a room, public unless told otherwise."""
        options.setdefault("preset", "public_chat")
        return self.master.create_room(self.token, **options)

    def send(self, room_id: str, text: str) -> str:
        """Send a message."""
        return self.master.send(self.token, room_id, text)

    def set_state(self, room_id: str, event_type: str, content: Any, key: str = "") -> str:
        """Send a state event."""
        event_id: str = self.ok("PUT", f"rooms/{room_id}/state/{event_type}/{key}", content)[
            "event_id"
        ]
        return event_id

    def join(self, room_id: str) -> None:
        """Join a room."""
        self.ok("POST", f"rooms/{room_id}/join", {})

    def leave(self, room_id: str) -> None:
        """Leave a room."""
        self.ok("POST", f"rooms/{room_id}/leave", {})

    def invite(self, room_id: str, user_id: str) -> None:
        """Invite somebody."""
        self.ok("POST", f"rooms/{room_id}/invite", {"user_id": user_id})


def _quoted(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "".join(f"%{byte:02X}" for byte in str(value).encode())


def bodies(room: Any) -> list[str | None]:
    """The bodies of the messages in a timeline."""
    return [
        event["content"].get("body")
        for event in room["timeline"]["events"]
        if event["type"] == "m.room.message"
    ]


def state_of(room: Any) -> dict[tuple[str, str], Any]:
    """The contents of the state events of a room's part."""
    return {
        (event["type"], event["state_key"]): event["content"] for event in room["state"]["events"]
    }


class SyncCase(TestCase):
    """What the tests of /sync have; `at_worker` says where clients sync."""

    at_worker = False

    def setUp(self) -> None:
        self.master = make_master()
        self.door: Server = make_worker(SYNCHROTRON, self.master) if self.at_worker else self.master

    def client(self, name: str) -> Client:
        """A new user's client."""
        return Client(self.master, self.door, name)

    @property
    def transactions(self) -> int:
        """How many transactions the process of the door has run."""
        return self.door.db.counts.transactions
