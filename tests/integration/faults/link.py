"""TCP between a worker and the master, which can be cut, stalled, and reset within a line."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable

_CHUNK = 64 * 1024
_NO_LINGER = struct.pack("ii", 1, 0)


class Link:
    """Passes connections on from ports of its own to other ports of this machine.

    The first port is that of the streams, in whose lines `break_line` resets.
    """

    def __init__(self, *targets: int) -> None:
        self.ports: list[int] = []
        self._lock = threading.Lock()
        self._pairs: set[_Pair] = set()
        self._flowing = threading.Event()
        self._flowing.set()
        self._is_cut = False
        self._breaks_line = False
        self._listeners: list[socket.socket] = []
        for target in targets:
            listener = socket.create_server(("127.0.0.1", 0))
            self._listeners.append(listener)
            self.ports.append(listener.getsockname()[1])
            self._start(self._accept, listener, target)

    # --- what can happen to it

    def cut(self) -> None:
        """Reset all connections, and each new one, until `heal`."""
        self._is_cut = True
        self._flowing.set()
        self._reset_all()

    def stall(self) -> None:
        """Let nothing through, without a sign of it to either end, until `heal`."""
        self._flowing.clear()

    def break_line(self) -> None:
        """Pass on half of what the master next says on the streams, then reset all."""
        self._breaks_line = True

    @property
    def is_line_broken(self) -> bool:
        """Whether the break that was asked for has happened."""
        return not self._breaks_line

    def heal(self) -> None:
        """Go on. What was stalled is lost with its connection, as after a long cut."""
        if not self._flowing.is_set():
            self._reset_all()
        self._is_cut = self._breaks_line = False
        self._flowing.set()

    def close(self) -> None:
        """End everything."""
        for listener in self._listeners:
            # Closing alone would not wake the thread that accepts.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    # --- the threads

    @staticmethod
    def _start(function: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def _accept(self, listener: socket.socket, target: int) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:  # closed
                return
            if self._is_cut:
                _reset(near)
                continue
            try:
                far = socket.create_connection(("127.0.0.1", target), timeout=10)
            except OSError:
                _reset(near)
                continue
            far.settimeout(None)
            pair = _Pair(near, far)
            with self._lock:
                self._pairs.add(pair)
            is_stream = listener is self._listeners[0]
            self._start(self._pump, pair, near, far, False)
            self._start(self._pump, pair, far, near, is_stream)

    def _pump(
        self, pair: _Pair, source: socket.socket, sink: socket.socket, breakable: bool
    ) -> None:
        try:
            while data := source.recv(_CHUNK):
                self._flowing.wait()
                if breakable and self._breaks_line and b" " in data:
                    # Half of a line at least, and not its end.
                    sink.sendall(data[: max(1, len(data) // 2)].rstrip(b"\n"))
                    self._breaks_line = False
                    break
                sink.sendall(data)
            else:
                self._flowing.wait()
                sink.shutdown(socket.SHUT_WR)
                if not pair.is_over():
                    return
        except OSError:  # either end has gone, so does the other
            pass
        self._forget(pair)

    def _forget(self, pair: _Pair) -> None:
        with self._lock:
            self._pairs.discard(pair)
        pair.reset()

    def _reset_all(self) -> None:
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._forget(pair)


class _Pair:
    """The two ends of a connection that is passed on."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self._ends = (near, far)
        self._directions = 2

    def is_over(self) -> bool:
        """Called when one direction has ended well; whether it was the last."""
        self._directions -= 1
        return self._directions == 0

    def reset(self) -> None:
        """End both at once."""
        for end in self._ends:
            _reset(end)


def _reset(connection: socket.socket) -> None:
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        # Wakes the thread that reads; the reset itself goes out with the close.
        connection.shutdown(socket.SHUT_RD)
    except OSError:
        pass  # it has ended by itself
    connection.close()
