"""A client of the client-server API on asyncio streams: one user, connections that stay open.

A user has one connection for each request that it has under way, so that a waiting /sync does not
hold up what else it does.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any
from urllib.parse import quote, urlencode

import attrs

PASSWORD = "correct horse battery staple"
V3 = "/_matrix/client/v3"
ANSWER_SECONDS = 120.0
LARGEST_ANSWER = 256 * 1024 * 1024
_HEAD_BYTES = 65_536

Json = dict[str, Any]


class AnswerError(Exception):
    """An answer other than 200, or one that is not HTTP."""


@attrs.frozen
class Address:
    """Where a server listens on the loopback."""

    port: int
    host: str = "127.0.0.1"


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.is_usable = True

    @property
    def is_closed(self) -> bool:
        """Whether the other side has closed it; proxies do after a while."""
        return self._reader.at_eof()

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        self.is_usable = False
        self._writer.write(request)
        await self._writer.drain()
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = head.split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines if line)
        }
        body = await self._body(headers)
        self.is_usable = headers.get("connection", "").lower() != "close"
        return int(status_line.split(" ", 2)[1]), body

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunks()
        size = int(headers.get("content-length", "0"))
        if size > LARGEST_ANSWER:
            raise AnswerError(f"an answer of {size} bytes")
        return await self._reader.readexactly(size)

    async def _chunks(self) -> bytes:
        parts: list[bytes] = []
        total = 0
        while True:
            size = int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16)
            parts.append((await self._reader.readexactly(size + 2))[:-2])
            total += size
            if size == 0:
                return b"".join(parts)
            if total > LARGEST_ANSWER:
                raise AnswerError(f"an answer of more than {LARGEST_ANSWER} bytes")

    def close(self) -> None:
        self._writer.close()


class Session:
    """Requests of one log-in, or of nobody while `token` is empty."""

    def __init__(self, address: Address, user_id: str = "", token: str = "") -> None:
        self.user_id = user_id
        self._address = address
        self._token = token
        self._idle: list[_Connection] = []

    async def call(self, method: str, path: str, body: object = None) -> Json:
        """The JSON of an answer of a path below /_matrix/client/v3. Raises AnswerError."""
        status, answer = await self.exchange(method, V3 + path, body)
        if status != 200:
            raise AnswerError(f"{method} {path}: {status} {answer[:300]!r}")
        decoded: Json = json.loads(answer)
        return decoded

    async def exchange(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Status and body of an answer. Raises OSError, TimeoutError or AnswerError."""
        connection = self._idle_connection() or await self._connect()
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await connection.exchange(self._request(method, path, body))
        if connection.is_usable:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _idle_connection(self) -> _Connection | None:
        """One that waits for nothing and that the other side has not closed meanwhile."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed:
                return connection
            connection.close()
        return None

    async def _connect(self) -> _Connection:
        return _Connection(
            *await asyncio.open_connection(
                self._address.host, self._address.port, limit=_HEAD_BYTES
            )
        )

    def _request(self, method: str, path: str, body: object) -> bytes:
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._address.host}:{self._address.port}"]
        if self._token:
            lines.append(f"Authorization: Bearer {self._token}")
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + content

    def close(self) -> None:
        """Close the connections that wait for nothing."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    # --- what users do

    async def register(self, name: str) -> Session:
        """Make an account; the server lets anybody in."""
        auth = {"type": "m.login.dummy"}
        answer = await self.call(
            "POST", "/register", {"username": name, "password": PASSWORD, "auth": auth}
        )
        return Session(self._address, answer["user_id"], answer["access_token"])

    async def log_in(self, user_id: str) -> Session:
        """Log in with the password, as a new device."""
        answer = await self.call(
            "POST",
            "/login",
            {
                "type": "m.login.password",
                "identifier": {"type": "m.id.user", "user": user_id},
                "password": PASSWORD,
            },
        )
        return Session(self._address, answer["user_id"], answer["access_token"])

    async def create_room(self) -> str:
        """Create a public room. Returns its id."""
        answer = await self.call("POST", "/createRoom", {"preset": "public_chat", "name": "Room"})
        room_id: str = answer["room_id"]
        return room_id

    async def join(self, room_id: str) -> None:
        """Join a room."""
        await self.call("POST", f"/join/{quote(room_id)}", {})

    async def send(self, room_id: str, text: str, txn_id: str) -> str:
        """Send a message. Returns the event id."""
        path = f"/rooms/{quote(room_id)}/send/m.room.message/{quote(txn_id, safe='')}"
        answer = await self.call("PUT", path, {"msgtype": "m.text", "body": text})
        event_id: str = answer["event_id"]
        return event_id

    async def sync(self, since: str = "", timeout_ms: int = 0) -> Json:
        """One /sync."""
        query = {"timeout": str(timeout_ms), **({"since": since} if since else {})}
        return await self.call("GET", f"/sync?{urlencode(query)}")

    async def page(self, room_id: str, limit: int) -> Json:
        """The newest events of a room."""
        return await self.call("GET", f"/rooms/{quote(room_id)}/messages?dir=b&limit={limit}")

    async def send_receipt(self, room_id: str, event_id: str) -> None:
        """Say that everything up to an event has been read."""
        await self.call(
            "POST", f"/rooms/{quote(room_id)}/receipt/m.read/{quote(event_id, safe='')}", {}
        )

    async def set_typing(self, room_id: str, *, is_typing: bool) -> None:
        """Say whether the user is typing."""
        path = f"/rooms/{quote(room_id)}/typing/{quote(self.user_id)}"
        body = {"typing": True, "timeout": 30_000} if is_typing else {"typing": False}
        await self.call("PUT", path, body)

    async def set_presence(self, status: str) -> None:
        """Be online, with a text that others see."""
        path = f"/presence/{quote(self.user_id)}/status"
        await self.call("PUT", path, {"presence": "online", "status_msg": status})

    async def leave(self, room_id: str) -> None:
        """Leave a room."""
        await self.call("POST", f"/rooms/{quote(room_id)}/leave", {})

    async def set_account_data(self, data_type: str, content: Json) -> None:
        """Keep something for oneself, in all devices."""
        path = f"/user/{quote(self.user_id)}/account_data/{quote(data_type)}"
        await self.call("PUT", path, content)


async def timed(action: Any) -> float:
    """The seconds until something awaitable is done."""
    began = time.perf_counter()
    await action
    return time.perf_counter() - began
