"""One end of a replication connection: lines, keep-alive, time-outs and back-pressure.

A session, with `worker_replication_secret` set (without it there is neither CHALLENGE nor AUTH,
and the master goes on with PING at once, so that people can talk it with `nc`)::

    master > SERVER example.com
    master > VERSION 1
    master > CHALLENGE 8d5e…                nothing but AUTH is listened to until it is right
    worker > AUTH synchrotron1 5f0c…
    master > PING 1700000000000             the worker is let in; time-outs are armed there
    worker > VERSION 1
    worker > NAME synchrotron1
    worker > USER_IP …                      what was queued while there was no connection
    worker > PING 1700000000003
    worker > REPLICATE receipts 41
    worker > REPLICATE typing 0
    worker > USER_SYNC @a:example.com start 1699999990000
    master > CATCHUP receipts 43            what was missed follows
    master > RDATA receipts batch ["!r:example.com",…]
    master > RDATA receipts 43 ["!r:example.com",…]
    master > POSITION receipts 43           from here on rows come as they are written
    master > RESTART typing 30064771072 epoch
    master > POSITION typing 30064771072
    master > RDATA receipts 44 [...]

A stream of one connection, on the master (`subscription.py`)::

    state        event                          does                          next
    (none)       REPLICATE                      CATCHUP, missed rows          connecting
    connecting   live row                       queue it                      connecting
    connecting   all missed rows sent           POSITION, then queued rows    subscribed
    connecting   too many rows missed           RESTART, then as above        subscribed
    subscribed   live row                       send it                       subscribed
    any          REPLICATE again                forget the queue, catch up    connecting
    any          connection lost                forget                        (none)

Either side closes with ERROR and a reason. A line that is not understood, or is not for this side
to receive, is such a reason; an exception while acting on a well-formed command is not.
"""

from __future__ import annotations

import logging
import secrets
import string
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from ..util.async_helpers import Wakeup
from ..util.clock import Clock, Repeating
from . import commands
from .commands import Command, CommandError, Side, commands_sent_by
from .metrics import CLOSES, OPEN

logger = logging.getLogger(__name__)

PROTOCOL_VERSION = 1
"""Raised with each change of the protocol; peers may differ by one, and the newer one adapts."""

MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_UNAUTHENTICATED_LINE_BYTES = 1024
PING_SECONDS = 5.0
SILENCE_SECONDS = 25.0
HANDSHAKE_SECONDS = 10.0
ABORT_SECONDS = 25.0
"""How long a connection may take to close before it is cut."""

MAX_QUEUED_COMMANDS = 10_000
MAX_QUEUED_BYTES = 64 * 1024 * 1024

_ID_CHARACTERS = string.ascii_lowercase + string.digits


class ProtocolError(Exception):
    """The peer did what it must not; the message goes to it with ERROR. `reason` is for metrics."""

    def __init__(self, message: str, reason: str = "protocol") -> None:
        super().__init__(message)
        self.reason = reason


@implementer(IPushProducer)
class ReplicationConnection(LineOnlyReceiver):
    """What both ends share. Subclasses have a method `on_<word>` for each command they receive.

    `closed` fires when the connection has gone. `connection_id`, not the peer's name, is what
    state of a connection is keyed by: names need not be unique.
    """

    delimiter = b"\n"
    MAX_LENGTH = MAX_LINE_BYTES
    transport: Any
    """What Twisted makes us speak over: TCP, TLS or a pair in memory."""
    side: Side
    peer_side: Side

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.connection_id = "".join(secrets.choice(_ID_CHARACTERS) for _ in range(5))
        self.peer_name = "unnamed"
        self.inbound: dict[str, int] = {}
        self.outbound: dict[str, int] = {}
        self.subscribed_names: frozenset[str] = frozenset()
        self.is_master_side = self.side is Side.MASTER
        self.closed = Wakeup()
        self.is_open = False
        self.only: type[Command] | None = None
        """The one command that is listened to during the handshake; None for all."""
        self.is_let_in = False
        """Whether the handshake is over."""
        self._handlers = self._find_handlers()
        self._queue: deque[tuple[bytes, int]] = deque()
        self._queued_bytes = 0
        self._queued_commands = 0
        self._is_paused = False
        self._drained: list[Deferred[None]] = []
        self._ticking: Repeating | None = None
        self._abort_timer: IDelayedCall | None = None
        self._handshake_timer: IDelayedCall | None = None
        self._last_sent = self._last_received = self._last_tick = 0.0
        self._has_pinged = False

    def _find_handlers(self) -> dict[str, tuple[type[Command], Callable[[Any], None]]]:
        """Raises AttributeError if this side lacks a method for a command."""
        return {
            name: (command, getattr(self, f"on_{name.lower()}"))
            for name, command in commands_sent_by(self.peer_side).items()
        }

    def __repr__(self) -> str:
        return f"<replication {self.peer_name}-{self.connection_id}>"

    # Connecting and closing.

    def connectionMade(self) -> None:
        """Begin: subclasses go on with their greeting."""
        self.is_open = True
        self._last_sent = self._last_received = self._last_tick = self.clock.time()
        for option in ("setTcpNoDelay", "setTcpKeepAlive"):
            if hasattr(self.transport, option):
                getattr(self.transport, option)(True)
        self.transport.registerProducer(self, True)
        self._ticking = self.clock.every(PING_SECONDS, self._tick, name="replication keep-alive")
        self._handshake_timer = self.clock.later(
            HANDSHAKE_SECONDS, self._leave_silent_peer, "The handshake took too long", "handshake"
        )
        OPEN.connections.add(self)
        logger.info("Connected: %r", self)

    def let_in(self) -> None:
        """The handshake is over: keep-alive begins, longer lines are read."""
        self.is_let_in = True
        self.only = None
        self.MAX_LENGTH = MAX_LINE_BYTES
        _cancel(self._handshake_timer)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted says that the connection has gone, for whatever reason."""
        self._end()
        OPEN.connections.discard(self)
        _cancel(self._abort_timer)
        logger.info("Disconnected: %r: %s", self, reason.getErrorMessage())
        self.closed.fire()

    def _end(self) -> None:
        """Nothing is sent, queued or acted upon from now on."""
        self.is_open = False
        if self._ticking is not None:
            self._ticking.stop()
            self._ticking = None
        _cancel(self._handshake_timer)
        self._queue.clear()
        self._queued_bytes = self._queued_commands = 0
        self._wake_drained()

    def close(self, reason: str) -> None:
        """Close without a word. `reason` is for metrics."""
        if not self.is_open:
            return
        CLOSES.labels(reason).inc()
        self._end()
        # While a producer is registered, TLS transports would not close.
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        self._abort_timer = self.clock.later(ABORT_SECONDS, self.transport.abortConnection)

    def close_with_error(self, message: str, reason: str, *, level: int = logging.ERROR) -> None:
        """Tell the peer why, ahead of whatever is queued, and close. `level` is for the log."""
        if not self.is_open:
            return
        logger.log(level, "Closing %r: %s", self, message)
        self._write(commands.Error(message).to_line().encode("utf-8") + b"\n")
        self.close(reason)

    # Receiving.

    def dataReceived(self, data: bytes) -> None:
        """Note that the peer is alive when its bytes are read, then take them apart."""
        self._last_received = self.clock.time()
        super().dataReceived(data)  # type: ignore[no-untyped-call]  # Twisted has no types here

    def lineLengthExceeded(self, line: bytes) -> None:
        """The peer sends a line that is longer than it may be."""
        self.close_with_error(f"A line is longer than {self.MAX_LENGTH} bytes", "line too long")

    def lineReceived(self, line: bytes) -> None:
        """Read one line and act on it."""
        if not self.is_open or not line.strip():
            return
        try:
            handler, command = self._parse(line)
        except ProtocolError as error:
            self.close_with_error(str(error), error.reason)
            return
        self.inbound[command.NAME] = self.inbound.get(command.NAME, 0) + 1
        try:
            handler(command)
        except ProtocolError as error:
            self.close_with_error(str(error), error.reason)
        except Exception:
            logger.exception("Failed to act on a line of %r: %.200r", self, line)

    def _parse(self, line: bytes) -> tuple[Callable[[Any], None], Command]:
        try:
            word, _, payload = line.decode("utf-8").partition(" ")
        except UnicodeDecodeError as error:
            raise ProtocolError("A line is not UTF-8") from error
        found = self._handlers.get(word)
        if found is None:
            raise ProtocolError(f"Command {word[:40]} is not known or not for this side")
        command, handler = found
        if self.only is not None and command is not self.only:
            raise ProtocolError(f"{self.only.NAME} must come first", "handshake")
        try:
            return handler, command.from_line(payload)
        except CommandError as error:
            raise ProtocolError(f"Malformed {word}: {error}") from error

    def on_ping(self, command: commands.Ping) -> None:
        """From now on the peer must not fall silent."""
        self._has_pinged = True

    def on_error(self, command: commands.Error) -> None:
        """The peer closes the connection and says why."""
        logger.error("Error from %r: %s", self, command.payload())

    def on_version(self, command: commands.Version) -> None:
        """Refuse a peer that is more than one version older or newer."""
        if abs(command.number - PROTOCOL_VERSION) > 1:
            raise ProtocolError(
                f"Protocol version {command.number} cannot talk to version {PROTOCOL_VERSION}",
                "version",
            )

    # Sending.

    def send(self, command: Command) -> None:
        """Send a command, or queue it while the transport is full.

        Raises CommandError, before anything is sent, if a field cannot stand on a line.
        """
        if not command.sent_by & self.side:
            raise CommandError(f"{command.NAME} is not sent by this side")
        self.send_lines(command.NAME, command.to_line().encode("utf-8") + b"\n")

    def send_lines(self, name: str, lines: bytes, count: int = 1) -> None:
        """Send ready lines, with their ends, of `count` commands of one kind."""
        if not self.is_open:
            return
        self.outbound[name] = self.outbound.get(name, 0) + count
        if self._is_paused or self._queue:
            self._enqueue(lines, count)
        else:
            self._write(lines)

    def _enqueue(self, lines: bytes, count: int) -> None:
        self._queue.append((lines, count))
        self._queued_commands += count
        self._queued_bytes += len(lines)
        if self._queued_commands > MAX_QUEUED_COMMANDS or self._queued_bytes > MAX_QUEUED_BYTES:
            self.close_with_error("Failed to keep up", "back-pressure")

    def _write(self, lines: bytes) -> None:
        self._last_sent = self.clock.time()
        self.transport.write(lines)

    def send_ping(self) -> None:
        """Say that this side is alive, and its time in milliseconds."""
        self.send(commands.Ping(str(self.clock.time_ms())))

    def pauseProducing(self) -> None:
        """The transport has enough: queue from now on."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        """The transport has room: send what is queued, in order, before anything new."""
        self._is_paused = False
        while self._queue and not self._is_paused:
            lines, count = self._queue.popleft()
            self._queued_commands -= count
            self._queued_bytes -= len(lines)
            self._write(lines)
        if not self._is_paused:
            self._wake_drained()

    def stopProducing(self) -> None:
        """The transport has gone; `connectionLost` follows."""
        self._is_paused = True

    async def drained(self) -> None:
        """Wait until the transport takes more, or the connection has gone."""
        if self.is_open and (self._is_paused or self._queue):
            waiter: Deferred[None] = Deferred()
            self._drained.append(waiter)
            await waiter

    def _wake_drained(self) -> None:
        waiters, self._drained = self._drained, []
        for waiter in waiters:
            waiter.callback(None)

    # Keep-alive.

    def _tick(self) -> None:
        now = self.clock.time()
        stalled = now - self._last_tick - PING_SECONDS
        self._last_tick = now
        if stalled > PING_SECONDS:
            # This process was stuck; what the peer sent meanwhile waits to be read.
            self._last_received = now
        if self.is_let_in and now - self._last_sent >= PING_SECONDS:
            self.send_ping()
        if self._has_pinged and now - self._last_received > SILENCE_SECONDS:
            self._leave_silent_peer("Ping timeout", "ping timeout")

    def _leave_silent_peer(self, message: str, reason: str) -> None:
        """Close what hears nothing: a fault of the network or the peer, not of this process."""
        self.close_with_error(message, reason, level=logging.WARNING)

    # What is measured.

    @property
    def pending_commands(self) -> int:
        """Commands queued here because the transport is full."""
        return self._queued_commands

    @property
    def buffered_bytes(self) -> int:
        """Bytes queued here and in the transport."""
        buffered: int = len(getattr(self.transport, "dataBuffer", b""))
        buffered += getattr(self.transport, "_tempDataLen", 0) - getattr(
            self.transport, "offset", 0
        )
        return self._queued_bytes + buffered

    @property
    def descriptor(self) -> int | None:
        """The file descriptor of the socket, if there is one."""
        handle = getattr(self.transport, "socket", None)
        number: int = -1 if handle is None else handle.fileno()
        # A socket that is closed has no number any more.
        return number if number >= 0 else None


def _cancel(timer: IDelayedCall | None) -> None:
    if timer is not None and timer.active():
        timer.cancel()
