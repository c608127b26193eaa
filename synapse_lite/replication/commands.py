"""The commands of the replication protocol, one class each.

A command is one line: its word, a space, and a payload that the class writes and reads. Only the
last field of a payload may hold spaces. Which side understands which command follows from
`sent_by`; nothing else lists them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import attrs
import msgspec

from ..util.json import JsonError, JsonValue, decode_json, decode_stored_json, encode_json_text

MAX_ERROR_CHARACTERS = 500
"""Longer texts of ERROR are cut."""


class Side(enum.Flag):
    """The ends of a connection."""

    MASTER = enum.auto()
    WORKER = enum.auto()


BOTH = Side.MASTER | Side.WORKER


class CommandError(ValueError):
    """A payload that its command cannot read; the message says why, without quoting it."""


class Command:
    """Base of the commands. `sent_by` says which side may send it.

    `kept_offline` ranks what a worker keeps while it has no connection: nothing at 0, and when
    the queue is full a lower number is dropped first.
    """

    NAME: ClassVar[str]
    sent_by: ClassVar[Side]
    kept_offline: ClassVar[int] = 0

    def payload(self) -> str:
        """What follows the word."""
        raise NotImplementedError

    def to_line(self) -> str:
        """The line, without its end. Raises CommandError if a field holds a newline."""
        line = f"{self.NAME} {self.payload()}"
        if "\n" in line:
            raise CommandError(f"{self.NAME} must not hold a newline")
        return line

    @classmethod
    def from_line(cls, payload: str) -> Self:
        """The command of a payload. Raises CommandError."""
        raise NotImplementedError


@attrs.frozen
class _TextCommand(Command):
    """A command that is one text."""

    text: str

    def payload(self) -> str:
        return self.text

    @classmethod
    def from_line(cls, payload: str) -> Self:
        return cls(payload)


class Server(_TextCommand):
    """First line of the master: the server name that it works for."""

    NAME = "SERVER"
    sent_by = Side.MASTER


@attrs.frozen
class Version(Command):
    """The version of the protocol that the sender speaks."""

    NAME = "VERSION"
    sent_by = BOTH

    number: int

    def payload(self) -> str:
        return str(self.number)

    @classmethod
    def from_line(cls, payload: str) -> Self:
        return cls(_number(payload))


class Challenge(_TextCommand):
    """A nonce, which the worker must answer with AUTH before anything else."""

    NAME = "CHALLENGE"
    sent_by = Side.MASTER


@attrs.frozen
class Auth(Command):
    """Proof of the shared secret: worker name and the hex digest that `authentication` makes."""

    NAME = "AUTH"
    sent_by = Side.WORKER

    name: str
    digest: str = attrs.field(repr=False)

    def payload(self) -> str:
        return f"{_word(self.name)} {_word(self.digest)}"

    @classmethod
    def from_line(cls, payload: str) -> Self:
        name, digest = _fields(payload, 2)
        return cls(name, digest)


class Name(_TextCommand):
    """What the worker is called, for logs and metrics."""

    NAME = "NAME"
    sent_by = Side.WORKER


@attrs.frozen
class Replicate(Command):
    """Send a stream from a token on. `token` None means NOW; stream `ALL` goes with NOW only."""

    NAME = "REPLICATE"
    sent_by = Side.WORKER
    ALL: ClassVar[str] = "ALL"

    stream: str
    token: int | None

    def payload(self) -> str:
        return f"{_word(self.stream)} {'NOW' if self.token is None else self.token}"

    @classmethod
    def from_line(cls, payload: str) -> Self:
        stream, token = _fields(payload, 2)
        if token.upper() == "NOW":
            return cls(stream, None)
        if stream == cls.ALL:
            raise CommandError("ALL can only be replicated from NOW")
        return cls(stream, _number(token))


@attrs.frozen
class Position(Command):
    """The stream has reached a token: everything up to it has been sent."""

    NAME = "POSITION"
    sent_by = Side.MASTER

    stream: str
    token: int

    def payload(self) -> str:
        return f"{_word(self.stream)} {self.token}"

    @classmethod
    def from_line(cls, payload: str) -> Self:
        stream, token = _fields(payload, 2)
        return cls(stream, _number(token))


@attrs.frozen
class CatchUp(Command):
    """Missed rows of a stream up to a token follow, then POSITION. Tells a worker its lag."""

    NAME = "CATCHUP"
    sent_by = Side.MASTER

    stream: str
    token: int

    def payload(self) -> str:
        return f"{_word(self.stream)} {self.token}"

    @classmethod
    def from_line(cls, payload: str) -> Self:
        stream, token = _fields(payload, 2)
        return cls(stream, _number(token))


class RestartReason(enum.Enum):
    """Why rows cannot be sent one by one."""

    BEHIND = "behind"
    """Too many rows were missed."""

    EPOCH = "epoch"
    """The stream lives in the memory of the master, which has been started since."""

    AHEAD = "ahead"
    """The worker asked from a token that this master has not reached."""

    OVERSIZED = "oversized"
    """A row is longer than a line may be."""


@attrs.frozen
class Restart(Command):
    """Forget what you know of the stream and go on from the token: not all rows can be sent."""

    NAME = "RESTART"
    sent_by = Side.MASTER

    stream: str
    token: int
    reason: RestartReason

    def payload(self) -> str:
        return f"{_word(self.stream)} {self.token} {self.reason.value}"

    @classmethod
    def from_line(cls, payload: str) -> Self:
        stream, token, reason = _fields(payload, 3)
        try:
            return cls(stream, _number(token), RestartReason(reason))
        except ValueError as error:
            raise CommandError("unknown reason") from error


@attrs.frozen
class RowData(Command):
    """A row. `token` None (`batch` on the wire) means that more rows of the same token follow."""

    NAME = "RDATA"
    sent_by = Side.MASTER

    stream: str
    token: int | None
    row: list[JsonValue]

    def payload(self) -> str:
        token = "batch" if self.token is None else self.token
        return f"{_word(self.stream)} {token} {encode_json_text(self.row)}"

    @classmethod
    def from_line(cls, payload: str) -> Self:
        stream, token, text = _fields(payload, 3)
        try:
            row = decode_stored_json(text)
        except msgspec.DecodeError as error:
            raise CommandError("the row is not JSON") from error
        if not isinstance(row, list):
            raise CommandError("the row is not an array")
        return cls(stream, None if token == "batch" else _number(token), row)


class Error(_TextCommand):
    """Why the sender closes the connection now."""

    NAME = "ERROR"
    sent_by = BOTH

    def payload(self) -> str:
        return " ".join(self.text.split())[:MAX_ERROR_CHARACTERS]


class Ping(_TextCommand):
    """Keep-alive. The text is arbitrary; by habit the milliseconds of the sender's clock."""

    NAME = "PING"
    sent_by = BOTH


class Sync(_TextCommand):
    """A barrier for tests: whoever has read it has read all rows sent before."""

    NAME = "SYNC"
    sent_by = Side.MASTER


@attrs.frozen
class UserSync(Command):
    """A user has begun, or ended, to sync at this worker; `last_sync_ms` by its clock.

    `presence` is what the clients ask to be shown as (`set_presence`); empty if they do not say.
    It may change while they sync: then `start` is sent again. Never kept for later: who is syncing
    is said anew on each connection.
    """

    NAME = "USER_SYNC"
    sent_by = Side.WORKER

    user_id: str
    is_syncing: bool
    last_sync_ms: int
    presence: str = ""
    PRESENCES: ClassVar[tuple[str, ...]] = ("", "online", "unavailable")

    def payload(self) -> str:
        state = "start" if self.is_syncing else "end"
        presence = f" {_word(self.presence)}" if self.presence else ""
        return f"{_word(self.user_id)} {state} {self.last_sync_ms}{presence}"

    @classmethod
    def from_line(cls, payload: str) -> Self:
        user_id, state, rest = _fields(payload, 3)
        if state not in ("start", "end"):
            raise CommandError("the state must be start or end")
        last_sync_ms, _, presence = rest.partition(" ")
        if presence not in cls.PRESENCES:
            raise CommandError("the presence must be online or unavailable")
        return cls(user_id, state == "start", _number(last_sync_ms), presence)


@attrs.frozen
class FederationAck(Command):
    """The federation sender has taken over everything up to the token, and stored that."""

    NAME = "FEDERATION_ACK"
    sent_by = Side.WORKER
    kept_offline = 3

    token: int

    def payload(self) -> str:
        return str(self.token)

    @classmethod
    def from_line(cls, payload: str) -> Self:
        return cls(_number(payload))


@attrs.frozen
class RemovePusher(Command):
    """A push gateway has refused the key: delete the pusher."""

    NAME = "REMOVE_PUSHER"
    sent_by = Side.WORKER
    kept_offline = 4

    app_id: str
    pushkey: str
    user_id: str

    def payload(self) -> str:
        return encode_json_text([self.app_id, self.pushkey, self.user_id])

    @classmethod
    def from_line(cls, payload: str) -> Self:
        return cls(*_columns(payload, (str, str, str)))


@attrs.frozen
class InvalidateCache(Command):
    """An entry of a cached read is stale in every process; `keys` None means all entries."""

    NAME = "INVALIDATE_CACHE"
    sent_by = Side.WORKER
    kept_offline = 2

    cache: str
    keys: tuple[JsonValue, ...] | None

    def payload(self) -> str:
        keys = None if self.keys is None else list(self.keys)
        return f"{_word(self.cache)} {encode_json_text(keys)}"

    @classmethod
    def from_line(cls, payload: str) -> Self:
        cache, text = _fields(payload, 2)
        keys = _json(text)
        if keys is None:
            return cls(cache, None)
        if not isinstance(keys, list) or any(isinstance(key, (dict, list)) for key in keys):
            raise CommandError("the keys must be an array of plain values, or null")
        return cls(cache, tuple(keys))


@attrs.frozen
class UserIp(Command):
    """A client made a request. The token is named by its id: the secret itself is never sent."""

    NAME = "USER_IP"
    sent_by = Side.WORKER
    kept_offline = 1

    user_id: str
    access_token_id: int | None
    ip: str
    user_agent: str
    device_id: str | None
    last_seen_ms: int

    def payload(self) -> str:
        columns = [
            self.access_token_id,
            self.ip,
            self.user_agent,
            self.device_id,
            self.last_seen_ms,
        ]
        return f"{_word(self.user_id)} {encode_json_text(columns)}"

    @classmethod
    def from_line(cls, payload: str) -> Self:
        user_id, text = _fields(payload, 2)
        kinds = ((int, type(None)), str, str, (str, type(None)), int)
        return cls(user_id, *_columns(text, kinds))


COMMANDS: tuple[type[Command], ...] = (
    Server,
    Version,
    Challenge,
    Auth,
    Name,
    Replicate,
    CatchUp,
    RowData,
    Position,
    Restart,
    Error,
    Ping,
    Sync,
    UserSync,
    FederationAck,
    RemovePusher,
    InvalidateCache,
    UserIp,
)


def commands_sent_by(side: Side) -> Mapping[str, type[Command]]:
    """What a side may send, by the word."""
    return {command.NAME: command for command in COMMANDS if command.sent_by & side}


def _word(text: str) -> str:
    """A field that is not the last: it must not be empty nor hold spaces."""
    if not text or " " in text:
        raise CommandError("a field that is not the last must be one word")
    return text


def _fields(payload: str, count: int) -> list[str]:
    fields = payload.split(" ", count - 1)
    if len(fields) != count or not all(fields):
        raise CommandError(f"{count} fields are needed")
    return fields


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise CommandError("a number is needed")
    return int(text)


def _json(text: str) -> JsonValue:
    try:
        return decode_json(text)
    except JsonError as error:
        raise CommandError("the last field is not JSON") from error


def _columns(text: str, kinds: tuple[Any, ...]) -> list[Any]:
    """The items of a JSON array, of the given Python types; more items are passed over."""
    columns = _json(text)
    if not isinstance(columns, list) or len(columns) < len(kinds):
        raise CommandError(f"an array of {len(kinds)} is needed")
    for value, kind in zip(columns, kinds, strict=False):
        if not isinstance(value, kind) or isinstance(value, bool):
            raise CommandError("an item of the array has the wrong type")
    return columns[: len(kinds)]
