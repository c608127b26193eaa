"""How the master brings one connection up to date with one stream, and keeps it there.

The position is read before the rows. Whatever is published while missed rows are fetched has a
greater token and waits until POSITION has been sent, so the worker gets every row once, in order.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from ..storage._base import MasterStore
from ..streams import EPOCH_SHIFT, Live, Stream
from ..util.json import encode_json
from .commands import CatchUp, Position, Restart, RestartReason, RowData
from .metrics import RESTARTS, STREAM_BYTES, STREAM_ROWS
from .protocol import (
    MAX_LINE_BYTES,
    MAX_QUEUED_BYTES,
    MAX_QUEUED_COMMANDS,
    ReplicationConnection,
)

logger = logging.getLogger(__name__)

MAX_MISSED_ROWS = 10_000
"""A worker that has missed this many rows of a stream starts again from now."""

CHUNK_ROWS = 500
"""Missed rows are read and sent in portions of about this many."""


@attrs.frozen
class Lines:
    """What is sent for one token of a stream: shared by all connections, encoded once."""

    name: str
    token: int
    data: bytes = attrs.field(repr=False)
    count: int = 1

    @classmethod
    def of(cls, command: Position | Restart | CatchUp) -> Lines:
        """A command about a stream."""
        return cls(command.NAME, command.token, command.to_line().encode("utf-8") + b"\n")


def lines_for(stream: Stream, token: int, rows: Sequence[Any]) -> Lines:
    """All rows of one token, the last with the number; POSITION when there is none.

    A row that is too long for a line, which no worker could ever read, becomes a RESTART.
    """
    if not rows:
        return Lines.of(Position(stream.name, token))
    batch = f"{RowData.NAME} {stream.name} batch ".encode()
    numbered = f"{RowData.NAME} {stream.name} {token} ".encode()
    encoded = [encode_json(stream.to_wire(row)) for row in rows]
    if max(map(len, encoded)) + len(numbered) + len(batch) > MAX_LINE_BYTES:
        logger.error("A row of stream %s at %d is too long to be sent", stream.name, token)
        return _restart(stream, token, RestartReason.OVERSIZED)
    parts = [part for row in encoded[:-1] for part in (batch, row, b"\n")]
    data = b"".join((*parts, numbered, encoded[-1], b"\n"))
    STREAM_ROWS.labels(stream.name).inc(len(rows))
    STREAM_BYTES.labels(stream.name).inc(len(data))
    return Lines(RowData.NAME, token, data, len(rows))


def _restart(stream: Stream, token: int, reason: RestartReason) -> Lines:
    RESTARTS.labels(stream.name, reason.value).inc()
    return Lines.of(Restart(stream.name, token, reason))


class _TooFarBehind(Exception):
    """More rows were missed than are sent one by one."""


class Subscription:
    """One stream of one connection. `since` is the last token that the worker has; None for now."""

    def __init__(
        self,
        store: MasterStore,
        connection: ReplicationConnection,
        stream: Stream,
        since: int | None,
    ) -> None:
        self.connection = connection
        self.stream = stream
        self.is_subscribed = False
        self._store = store
        self._since = since
        self._is_cancelled = False
        self._waiting: list[Lines] = []
        self._waiting_commands = 0
        self._waiting_bytes = 0

    def cancel(self) -> None:
        """Send nothing any more: the worker has subscribed anew, or gone."""
        self._is_cancelled = True
        self._waiting.clear()

    def publish(self, lines: Lines) -> None:
        """Rows that were written just now."""
        if self.is_subscribed:
            self._send(lines)
            return
        self._waiting.append(lines)
        self._waiting_commands += lines.count
        self._waiting_bytes += len(lines.data)
        if self._waiting_commands > MAX_QUEUED_COMMANDS or self._waiting_bytes > MAX_QUEUED_BYTES:
            self.connection.close_with_error("Failed to keep up", "back-pressure")

    async def run(self) -> None:
        """Send what was missed, then what has waited. Afterwards `publish` sends at once."""
        try:
            await self._catch_up()
        except Exception:
            logger.exception("Cannot catch up with stream %s for %r", self.stream, self.connection)
            self.connection.close_with_error(
                f"Cannot catch up with stream {self.stream.name}", "catch-up"
            )

    async def _catch_up(self) -> None:
        current = self._store.current_token(self.stream)
        since = self._start_from(current)
        if since < current:
            self._send(Lines.of(CatchUp(self.stream.name, current)))
        try:
            await self._send_missed(since, current)
        except _TooFarBehind:
            # What waits goes on from here, so everything up to now may be skipped.
            self._send(_restart(self.stream, current, RestartReason.BEHIND))
        if self._is_cancelled or not self.connection.is_open:
            return
        self._send(Lines.of(Position(self.stream.name, current)))
        for lines in self._waiting:
            if lines.token > current:
                self._send(lines)
        self._waiting.clear()
        self.is_subscribed = True

    def _start_from(self, current: int) -> int:
        """The token after which rows are missing, once the worker knows what it must forget."""
        since = current if self._since is None else self._since
        if self.stream.counter.in_memory:
            begin = current >> EPOCH_SHIFT << EPOCH_SHIFT
            if since < begin:
                self._send(_restart(self.stream, begin, RestartReason.EPOCH))
                return begin
            if since > current:
                logger.error(
                    "%r is ahead in stream %s: %d", self.connection, self.stream.name, since
                )
                # What is in memory is wanted whole: there is nowhere else to read it.
                self._send(_restart(self.stream, begin, RestartReason.AHEAD))
                return begin
        if since > current:
            logger.error("%r is ahead in stream %s: %d", self.connection, self.stream.name, since)
            self._send(_restart(self.stream, current, RestartReason.AHEAD))
        return min(since, current)

    async def _send_missed(self, since: int, upto: int) -> None:
        sent = 0
        limit = CHUNK_ROWS
        while since < upto and not self._is_cancelled and self.connection.is_open:
            rows = await self._store.rows_between(self.stream, since, upto, limit)
            groups = list(_by_token(rows))
            if len(rows) < limit:
                complete, end = groups, upto
            elif len(groups) > 1:
                # The limit may have cut the last token's rows in two.
                complete, end = groups[:-1], groups[-2][0]
            else:
                complete, end = [], since
                limit *= 2
            sent += sum(len(group) for _, group in complete)
            too_many = sent >= MAX_MISSED_ROWS or limit > 2 * MAX_MISSED_ROWS
            # Rows in memory are what is true now, and the worker can read them nowhere else.
            if too_many and not isinstance(self.stream.rows, Live):
                raise _TooFarBehind
            for token, group in complete:
                self._send(lines_for(self.stream, token, group))
            since = end
            await self.connection.drained()

    def _send(self, lines: Lines) -> None:
        if not self._is_cancelled:
            self.connection.send_lines(lines.name, lines.data, lines.count)


def _by_token(rows: Sequence[tuple[int, Any]]) -> Iterator[tuple[int, list[Any]]]:
    """Rows of one token together; the rows come in rising order."""
    group: list[Any] = []
    for index, (token, row) in enumerate(rows):
        group.append(row)
        if index + 1 == len(rows) or rows[index + 1][0] != token:
            yield token, group
            group = []
