"""Sends an open file over a connection, as fast as the client takes it and no faster."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

_PIECE_BYTES = 64 * 1024


@implementer(IPushProducer)
class FileSender:
    """Writes at most `length` bytes, closes the file, and calls `done(bytes sent)` once."""

    def __init__(
        self, file: BinaryIO, length: int, consumer: IConsumer, done: Callable[[int], None]
    ) -> None:
        self._file = file
        self._length = length
        self._consumer = consumer
        self._done = done
        self._sent = 0
        self._paused = True
        self._stopped = False

    def start(self) -> None:
        """Begin to write."""
        self._consumer.registerProducer(self, True)
        if self._paused and not self._stopped:
            self.resumeProducing()

    def pauseProducing(self) -> None:
        """The consumer has enough for now."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Write until the consumer has enough. It pauses us from within `write`."""
        self._paused = False
        while not self._paused and not self._stopped:
            piece = self._file.read(min(_PIECE_BYTES, self._length - self._sent))
            if not piece:
                self._consumer.unregisterProducer()
                self._end()
                return
            self._sent += len(piece)
            self._consumer.write(piece)

    def stopProducing(self) -> None:
        """The client has gone."""
        self._end()

    def _end(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._file.close()
            self._done(self._sent)
