"""Child processes of a test: none of them outlives the test run, and none is left after a test."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

MARKER_VARIABLE = "SYNAPSE_LITE_TEST_DEPLOYMENT"
"""Environment variable with the marker of a deployment, by which what is left of it is found."""

STOP_SECONDS = 20.0
ROOT = Path(__file__).parents[2]

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

# Below what Linux gives to outgoing connections, so that nobody takes the port of a process while
# it is being restarted.
_PORTS = range(12_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody uses, all different."""
    found: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("There are no free ports")


@attrs.define
class ChildProcess:
    """A command with what it prints in a file; it can be started again after it has ended.

    The kernel sends it `death_signal` when the test run dies.
    """

    name: str
    command: Sequence[str]
    folder: Path
    marker: str
    death_signal: signal.Signals = signal.SIGKILL
    process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> Path:
        """What the process has printed, over all its starts."""
        return self.folder / f"{self.name}.out"

    @property
    def running(self) -> subprocess.Popen[bytes]:
        """The process, which must have been started."""
        assert self.process is not None, f"{self.name} was not started"
        return self.process

    @property
    def pid(self) -> int:
        """The process id of the last start."""
        return self.running.pid

    def start(self) -> None:
        """Start it in a session of its own."""
        assert self.process is None or self.process.poll() is not None, f"{self.name} runs already"
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen(
                list(self.command),
                cwd=self.folder,
                env={**environment(), MARKER_VARIABLE: self.marker},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent(os.getpid(), self.death_signal),
            )

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self.running.send_signal(number)

    def kill(self) -> None:
        """End it without any chance to tidy up, and wait until it is gone."""
        self.running.kill()
        self.running.wait(STOP_SECONDS)

    def stop(self) -> int:
        """Ask it to end; kills it when it does not. Returns its exit code."""
        process = self.running
        if process.poll() is None:
            process.terminate()
            process.send_signal(signal.SIGCONT)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {STOP_SECONDS} s") from None

    def pss_kib(self) -> int:
        """The proportional set size of the process in KiB."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
        raise AssertionError("The kernel does not tell the proportional set size")

    def queued_seconds(self) -> float:
        """How long it was ready to run, but the processors were busy with something else."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text("ascii").split()[1]) / 1e9


def _die_with_parent(parent: int, death_signal: signal.Signals) -> Callable[[], None]:
    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def environment() -> dict[str, str]:
    """The environment of a program of this source tree, wherever it is started."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}


def left_over(marker: str) -> list[str]:
    """The processes of a deployment that live, with their command lines."""
    return [f"{pid}: {command}" for pid, command in processes_of(marker).items()]


def processes_of(marker: str) -> dict[int, str]:
    """The command lines of the processes of a deployment: by environment, folder or command.

    nginx, for one, overwrites its environment, but stays in the folder.
    """
    found = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ")
            places = (process / "environ").read_bytes(), command, os.readlink(process / "cwd")
        except OSError:  # it has ended meanwhile, or is not ours
            continue
        if any(marker in os.fsdecode(place) for place in places):
            found[int(process.name)] = os.fsdecode(command)
    return found


def wait_for(is_so: Callable[[], bool], seconds: float, what: str) -> None:
    """Look every 20 ms whether something is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.02)
