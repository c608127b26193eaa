"""Which process this is, told so that others on the same machine can see whether it still lives."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import attrs

_PROC = Path("/proc")


@attrs.frozen
class ProcessIdentity:
    """One run of one process.

    `boot_id` names the run of the kernel and `pid_namespace` the space in which `pid` has its
    meaning (containers have their own); both are empty where the system does not tell.
    `pid_started` is in clock ticks since boot: a pid is used again, but not with the same start.
    """

    name: str
    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    pid_started: int

    @classmethod
    def of_this_process(cls, name: str) -> ProcessIdentity:
        """The identity of the running process, under the name that people know it by."""
        pid = os.getpid()
        return cls(
            name=name,
            host=socket.gethostname(),
            boot_id=_read("sys/kernel/random/boot_id"),
            pid_namespace=_read_link("self/ns/pid"),
            pid=pid,
            pid_started=_start_of(pid) or 0,
        )

    def is_alive(self, seen_from: ProcessIdentity) -> bool | None:
        """Whether the process runs, asked from another one; None if that cannot be seen there."""
        here = (seen_from.boot_id, seen_from.pid_namespace)
        if not all(here) or here != (self.boot_id, self.pid_namespace):
            return None
        return _start_of(self.pid) == self.pid_started

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid} on {self.host})"


def _read(path: str) -> str:
    try:
        return (_PROC / path).read_text("ascii").strip()
    except OSError:
        return ""


def _read_link(path: str) -> str:
    try:
        return os.readlink(_PROC / path)
    except OSError:
        return ""


def _start_of(pid: int) -> int | None:
    """When a process started, in ticks since boot; None if there is none, or only its remains."""
    # The second field is the program's name in brackets, which may hold spaces and brackets.
    fields = _read(f"{pid}/stat").rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in ("Z", "X"):
        return None
    return int(fields[19])
