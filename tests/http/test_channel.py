"""How a connection writes, and its timer. What it reads is tested with the site."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock as FakeReactor
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactor
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from synapse_lite.http.channel import Channel

SMALL = b"a small answer"


class WriteTests(TestCase):
    """Bytes on a real socket."""

    def setUp(self) -> None:
        ours, self.theirs = socket.socketpair()
        for end in (ours, self.theirs):
            end.setblocking(False)
            self.addCleanup(end.close)
        self.reactor = MemoryReactor()
        self.transport = Connection(ours, Protocol(), self.reactor)
        self.transport.connected = True
        self.channel = Channel()
        self.channel.transport = self.transport

    def received(self) -> bytes:
        """What has arrived by now."""
        parts = []
        try:
            while part := self.theirs.recv(1024 * 1024):
                parts.append(part)
        except BlockingIOError:
            pass
        return b"".join(parts)

    def test_is_sent_at_once(self) -> None:
        """Without the reactor having a turn."""
        self.channel.write(SMALL)
        self.assertEqual(self.received(), SMALL)
        self.assertEqual(self.reactor.getWriters(), [])

    def test_what_the_kernel_does_not_take_waits(self) -> None:
        """And what is written after it comes after it."""
        large = bytes(range(256)) * 16384
        self.channel.write(large)
        self.channel.write(SMALL)
        self.assertEqual(self.reactor.getWriters(), [self.transport])
        arrived = b""
        for _ in range(1000):
            arrived += self.received()
            if not self.reactor.getWriters():
                break
            self.transport.doWrite()
        self.assertEqual(arrived + self.received(), large + SMALL)

    def test_a_broken_connection_is_left_to_the_reactor(self) -> None:
        """It closes the connection, as after any write that fails."""
        self.theirs.close()
        self.channel.write(SMALL)
        self.assertEqual(self.reactor.getWriters(), [self.transport])
        self.assertIsInstance(self.transport.doWrite(), Exception)


class _Factory:
    def __init__(self, reactor: FakeReactor) -> None:
        self.seconds = reactor.seconds
        self.channels: set[Channel] = set()


class TimerTests(TestCase):
    """One timer for deadlines that move all the time."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.channel: Any = Channel()
        self.channel.factory = _Factory(self.reactor)
        self.channel.callLater = self.reactor.callLater
        self.timed_out: list[float] = []
        self.channel.timeoutConnection = lambda: self.timed_out.append(self.reactor.seconds())

    def test_a_later_deadline_counts(self) -> None:
        """The timer rings early, and waits for the rest."""
        self.channel.setTimeout(10)
        self.reactor.advance(8)
        self.channel.setTimeout(10)
        self.reactor.pump([1] * 9)
        self.assertEqual(self.timed_out, [])
        self.reactor.advance(1)
        self.assertEqual(self.timed_out, [18])

    def test_an_earlier_deadline_counts(self) -> None:
        """As when the head of a request begins on an idle connection."""
        self.channel.setTimeout(120)
        self.channel.setTimeout(30)
        self.reactor.advance(30)
        self.assertEqual(self.timed_out, [30])

    def test_no_deadline(self) -> None:
        """Nothing happens, until there is one again."""
        self.channel.setTimeout(10)
        self.assertEqual(self.channel.setTimeout(None), 10)
        self.channel.resetTimeout()
        self.reactor.advance(1000)
        self.assertEqual(self.timed_out, [])
        self.channel.setTimeout(10)
        self.reactor.advance(10)
        self.assertEqual(self.timed_out, [1010])

    def test_nothing_is_left_of_a_lost_connection(self) -> None:
        """Its timer does not keep it alive."""
        self.channel.setTimeout(10)
        self.channel.connectionLost(Failure(ConnectionResetError()))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
