"""A small client of the client-server API on the standard library."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import attrs

PASSWORD = "correct horse battery staple"
V3 = "/_matrix/client/v3"

WHOLE_TIMELINES = json.dumps({"room": {"timeline": {"limit": 1000}}})

Json = dict[str, Any]


class HttpError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, body: bytes, what: str) -> None:
        super().__init__(f"{what}: {status} {body[:500]!r}")
        self.status = status
        self.body = body


NO_ANSWER = (OSError, http.client.HTTPException)
"""What is raised when a process dies with the request."""


@attrs.frozen
class Client:
    """Requests to one URL, each over a connection of its own."""

    url: str
    tls: ssl.SSLContext | None = None
    timeout: float = 60.0

    def exchange(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body of an answer. Raises one of NO_ANSWER."""
        address = urlsplit(self.url).netloc
        if self.tls is not None:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                address, timeout=self.timeout, context=self.tls
            )
        else:
            connection = http.client.HTTPConnection(address, timeout=self.timeout)
        try:
            sent = None if body is None else json.dumps(body).encode()
            connection.request(method, path, body=sent, headers=dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def call(self, method: str, path: str, body: object = None, token: str | None = None) -> Json:
        """The JSON of an answer with status 200. Raises HttpError or one of NO_ANSWER."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        status, answer = self.exchange(method, path, body, headers)
        if status != 200:
            raise HttpError(status, answer, f"{method} {path}")
        decoded: Json = json.loads(answer)
        return decoded

    def register(self, name: str) -> User:
        """Make an account; the server lets anybody in."""
        answer = self.call(
            "POST",
            f"{V3}/register",
            {"username": name, "password": PASSWORD, "auth": {"type": "m.login.dummy"}},
        )
        return User(self, answer["user_id"], answer["access_token"])


@attrs.frozen
class User:
    """A logged-in user."""

    client: Client
    user_id: str
    token: str = attrs.field(repr=False)

    def through(self, client: Client) -> User:
        """The same log-in, at another URL of the same server."""
        return attrs.evolve(self, client=client)

    def call(self, method: str, path: str, body: object = None) -> Json:
        """A request below /_matrix/client/v3. Raises what `Client.call` raises."""
        return self.client.call(method, V3 + path, body, self.token)

    def create_room(self, **options: object) -> str:
        """Create a room, public unless told otherwise. Returns its id."""
        room_id: str = self.call("POST", "/createRoom", {"preset": "public_chat", **options})[
            "room_id"
        ]
        return room_id

    def join(self, room_id: str) -> None:
        """Join a room."""
        self.call("POST", f"/join/{quote(room_id)}", {})

    def send(self, room_id: str, text: str, txn_id: str) -> str:
        """Send a message. Returns the event id."""
        path = f"/rooms/{quote(room_id)}/send/m.room.message/{quote(txn_id, safe='')}"
        event_id: str = self.call("PUT", path, {"msgtype": "m.text", "body": text})["event_id"]
        return event_id

    def sync(
        self, since: str | None = None, timeout_ms: int = 0, set_presence: str = "offline"
    ) -> Json:
        """One /sync, with as much of the timelines as the server gives.

        It makes nobody online unless told to: that would be news to others.
        """
        query = {
            "timeout": str(timeout_ms),
            "filter": WHOLE_TIMELINES,
            "set_presence": set_presence,
        }
        if since is not None:
            query["since"] = since
        return self.call("GET", f"/sync?{urlencode(query)}")

    def messages(self, room_id: str) -> list[Json]:
        """All messages of a room in order, by walking back through it."""
        return [e for e in self.events(room_id) if e["type"] == "m.room.message"]

    def events(self, room_id: str) -> list[Json]:
        """All events of a room that the user may see, oldest first."""
        return list(self._walk_back(room_id))[::-1]

    def _walk_back(self, room_id: str) -> Iterator[Json]:
        start = ""
        while True:
            query = {"dir": "b", "limit": "100", **({"from": start} if start else {})}
            page = self.call("GET", f"/rooms/{quote(room_id)}/messages?{urlencode(query)}")
            yield from page["chunk"]
            start = page.get("end", "")
            if not start:
                return


def timeline_of(answer: Json, room_id: str) -> list[Json]:
    """The events of a room in an answer of /sync, which must have no gap before them."""
    room = answer.get("rooms", {}).get("join", {}).get(room_id)
    if room is None:
        return []
    timeline = room.get("timeline", {})
    assert not timeline.get("limited"), "the answer of /sync has a gap"
    events: list[Json] = timeline.get("events", [])
    return events


RETRIED = (502, 503, 504)
"""What a client takes as "try again": the proxy, or the worker, had nobody to ask."""
