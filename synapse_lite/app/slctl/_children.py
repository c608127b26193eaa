"""Processes in the foreground that never outlive this one.

Signals are taken synchronously: they are blocked while slctl works, and looked for wherever it
waits. So there is no moment at which a signal could leave something half started behind.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

import attrs

from ._system import environment

_PR_SET_PDEATHSIG = 1
_STOP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
_WATCHED = _STOP_SIGNALS | {signal.SIGCHLD}

STOP_SECONDS = 20.0

_libc = ctypes.CDLL(None, use_errno=True)


class Stopped(Exception):
    """A signal asked slctl to stop."""


class ChildDiedError(Exception):
    """A child ended that should have gone on."""

    def __init__(self, child: Child, code: int) -> None:
        super().__init__(f"{child.name} ended with code {code}")
        self.child = child


@attrs.define(eq=False)
class Child:
    """A running child; `log_files` show why it ended."""

    name: str
    process: subprocess.Popen[bytes]
    log_files: Sequence[str]


class Children:
    """The children of this process, in the order in which they were started."""

    def __init__(self) -> None:
        self.running: list[Child] = []

    def watch_signals(self) -> None:
        """From now on signals are only seen by `wait`."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)

    def start(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        folder: str,
        output: str,
        log_files: Sequence[str] = (),
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> Child:
        """Start a child in a session of its own; `output` is a file for what it prints.

        `death_signal` is what the kernel sends it when this process dies without a chance to
        stop it.
        """
        with open(output, "ab") as file:
            process = subprocess.Popen(
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment(),
                start_new_session=True,
                preexec_fn=_preparation(death_signal, os.getpid()),
            )
        child = Child(name, process, (output, *log_files))
        self.running.append(child)
        return child

    def wait(self, seconds: float | None = None) -> None:
        """Let time pass, or wait for ever.

        Raises Stopped as soon as a signal comes, ChildDiedError as soon as a child has ended.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            self._check_children()
            remaining = 3600.0 if deadline is None else deadline - time.monotonic()
            if remaining <= 0:
                return
            found = signal.sigtimedwait(_WATCHED, remaining)
            if found is not None and found.si_signo in _STOP_SIGNALS:
                raise Stopped(signal.Signals(found.si_signo).name)

    def wait_until(self, is_so: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait until something is so. Raises TimeoutError, and what `wait` raises."""
        deadline = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{what} took longer than {seconds:.0f} s")
            self.wait(0.05)

    def _check_children(self) -> None:
        for child in self.running:
            code = child.process.poll()
            if code is not None:
                raise ChildDiedError(child, code)

    def stop_all(self) -> None:
        """End all children, the newest group first: see `stop`. Signals that come now are kept."""
        self.stop(list(reversed(self.running)))

    def stop(self, children: Sequence[Child]) -> None:
        """Ask children to end, wait, kill what is left."""
        for child in children:
            if child.process.poll() is None:
                child.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for child in children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            if child in self.running:
                self.running.remove(child)


def _preparation(death_signal: signal.Signals, parent: int) -> Callable[[], None]:
    """What the child does before it becomes another program."""

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)

    return prepare
